//! `switchboard range`: what this server holds of the fleet's customer IDs, and the making of the master's ledger.

mod live;

use std::{path::Path, time::Duration};

use anyhow::anyhow;
use switchboard_fleet::{
    CustomerId,
    config::{Whole, load_instance, load_whole},
};
use switchboard_range::{IdRange, Ledger, LedgerError};

use crate::error::{Failure, Outcome};

/// Arguments of `switchboard range`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// What this server's instances and its master hold, what is left, and how long it lasts.
    Show,
    /// Make the master's ledger, on the master's server: the range of customer IDs of the whole fleet.
    Init {
        /// The first ID.
        #[arg(long, value_name = "ID")]
        from: CustomerId,
        /// The last ID, inclusive.
        #[arg(long, value_name = "ID")]
        to: CustomerId,
    },
}

/// Runs the command.
pub(crate) fn run(config: &Path, args: Args) -> Outcome {
    match args.command {
        Command::Show => show(&load_whole(config)?),
        Command::Init { from, to } => init(config, from, to),
    }
}

fn init(config: &Path, from: CustomerId, to: CustomerId) -> Outcome {
    let usage = |message: String| Err(Failure::Configuration(anyhow!(message)));
    let Some(range) = IdRange::new(from, to) else {
        return usage(format!("--from {from} is larger than --to {to}: expected the first and the last ID"));
    };
    let server = switchboard_fleet::config::load(config)?;
    if !server.is_master(server.master.port) {
        return usage(format!(
            "{}: the fleet's master is {}, on another server: run this there",
            config.display(),
            server.master
        ));
    }
    let path = load_instance(config, server.master.port)?.master_range_file();
    let ledger = Ledger::init_master(&path, range)?;
    print(&format!("{}: the master holds {} ({} IDs)", path.display(), range, ledger.left()));
    Ok(())
}

/// Between the two looks at running instances that tell how fast IDs are given.
const SAMPLE: Duration = Duration::from_secs(1);

fn show(whole: &Whole) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let samples = runtime.block_on(live::sample(whole, SAMPLE));
    let mut unreadable = Vec::new();
    for (port, config) in &whole.instances {
        let live = samples.get(port);
        let name = format!("instance {port}");
        let on_disk = Ledger::read_only(&config.range_file(*port));
        unreadable.extend(line(&name, on_disk, live.map(|live| live.own)));
        if config.is_master(*port) {
            let on_disk = Ledger::read_only(&config.master_range_file());
            unreadable.extend(line("master", on_disk, live.and_then(|live| live.master)));
        }
    }
    match unreadable.len() {
        0 => Ok(()),
        _ => Err(Failure::Failed(anyhow!(unreadable.join("\n")))),
    }
}

/// Prints what one ledger holds; gives what was wrong with it.
fn line(
    name: &str,
    on_disk: Result<switchboard_range::Record, LedgerError>,
    live: Option<live::Sample>,
) -> Option<String> {
    let held = match &on_disk {
        Ok(record) => describe(record),
        Err(LedgerError::Absent { .. }) => "no ledger yet".into(),
        Err(_) => "its ledger cannot be used".into(),
    };
    let running = live.map_or_else(|| "does not answer at /status".into(), describe_live);
    print(&format!("{name}: {held}; {running}"));
    match on_disk {
        Err(error) if !matches!(error, LedgerError::Absent { .. }) => Some(error.to_string()),
        _ => None,
    }
}

/// Ranges shown of one ledger.
const RANGES_SHOWN: usize = 4;

fn describe(record: &switchboard_range::Record) -> String {
    let ranges: Vec<_> = record.holdings.ranges().take(RANGES_SHOWN).map(|range| range.to_string()).collect();
    let more = record.holdings.ranges().len().saturating_sub(RANGES_SHOWN);
    let more = if more > 0 { format!(" and {more} more ranges") } else { String::new() };
    match record.holdings.left() {
        0 => "nothing left on disk".into(),
        left => format!("{left} left on disk: {}{more}", ranges.join(", ")),
    }
}

fn describe_live(sample: live::Sample) -> String {
    let lasts = match sample.lasts() {
        Some(time) => format!("lasts {} at the present rate", duration(time)),
        None => "none given in the last second".into(),
    };
    format!("running, {} left, {lasts}", sample.left)
}

fn duration(time: Duration) -> String {
    match time.as_secs() {
        s @ 0..120 => format!("{s} s"),
        s @ 120..7200 => format!("{} min", s / 60),
        s @ 7200..172_800 => format!("{} h", s / 3600),
        s => format!("{} days", s / 86_400),
    }
}

#[allow(clippy::print_stdout, reason = "this is where the command speaks to a person")]
fn print(text: &str) {
    println!("{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_said_in_one_unit() {
        let said = [0, 119, 120, 7199, 7200, 172_799, 172_800].map(|s| duration(Duration::from_secs(s)));
        assert_eq!(said, ["0 s", "119 s", "2 min", "119 min", "2 h", "47 h", "2 days"]);
    }
}
