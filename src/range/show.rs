//! `switchboard range show`: what there is of customer IDs on this server, drawn.

use std::{path::Path, time::Duration};

use anyhow::anyhow;
use switchboard_daemon::{Failure, Outcome};
use switchboard_fleet::{
    config::{Config, Whole, load_whole},
    snapshot::Ids,
};
use switchboard_range::{Ledger, LedgerError, PgStore, Record};

use super::live;

/// Ranges shown of one ledger.
const RANGES_SHOWN: usize = 3;
/// Characters of a bar.
const BAR: usize = 20;

pub(super) fn run(config: &Path) -> Outcome {
    let whole = load_whole(config)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let running = runtime.block_on(live::ask(&whole));
    let mut faults = Vec::new();
    for (port, config) in &whole.instances {
        let live = running.get(port);
        faults.extend(instance(*port, config, live));
        let path = config.master_range_file(*port);
        if config.range.store.is_none() && (config.is_master(*port) || path.exists()) {
            faults.extend(master(*port, &path, live));
        }
        faults.extend(
            live.and_then(|live| live.fault.clone()).map(|fault| format!("instance {port}: {fault}")),
        );
    }
    if whole.server.range.store.is_some() {
        faults.extend(runtime.block_on(database(&whole)));
    }
    match faults.len() {
        0 => Ok(()),
        _ => Err(Failure::Failed(anyhow!(faults.join("\n")))),
    }
}

/// Prints what an instance holds; gives what is wrong with its ledger.
fn instance(port: u16, config: &Config, live: Option<&Ids>) -> Option<String> {
    let on_disk = Ledger::read_only(&config.range_file(port));
    let on_disk_left = on_disk.as_ref().ok().map(|record| record.holdings.left());
    let left = live.map(|live| live.left).or(on_disk_left);
    let size = live.map_or(config.range.size, |live| live.size.max(1));
    let share = left.map(|left| left as f64 / size as f64);
    let mut said = match (left, &on_disk) {
        (Some(left), _) => format!("{left} left"),
        (None, Err(LedgerError::Absent { .. })) => "no ledger yet".into(),
        (None, _) => "its ledger cannot be used".into(),
    };
    said.push_str(&match live {
        Some(live) => format!(", {}, {} at a time", pace(live), live.size),
        None => ", not running".into(),
    });
    if let Some(live) = live.filter(|live| live.stalls > 0) {
        said.push_str(&format!(
            ", was empty {} times for {:.1} s in all",
            live.stalls,
            live.stalled_ms as f64 / 1e3
        ));
    }
    if let Ok(record) = &on_disk {
        said.push_str(&ranges(record));
    }
    line(&format!("instance {port}"), share, &said);
    trouble(on_disk)
}

/// Prints what is left of the fleet's range; gives what is wrong with its ledger.
fn master(port: u16, path: &Path, live: Option<&Ids>) -> Option<String> {
    let on_disk = Ledger::read_only(path);
    let (mut share, mut said) = (None, "its ledger cannot be used".to_owned());
    if let Ok(record) = &on_disk {
        let left = record.holdings.left();
        let whole = record.whole.map_or(left, |whole| whole.count());
        share = Some(left as f64 / whole.max(1) as f64);
        said = match &record.moved {
            Some(moved) if moved.pending => format!("sealed, on its way to {}", moved.to),
            Some(moved) => format!("moved to {}", moved.to),
            None => format!("{left} of {whole} left, epoch {}{}", record.epoch, lasts(live)),
        };
        share = share.filter(|_| record.moved.is_none());
        said.push_str(&ranges(record));
    } else if matches!(on_disk, Err(LedgerError::Absent { .. })) {
        said = "no ledger yet: `switchboard range init` makes it".into();
    }
    line(&format!("master {port}"), share, &said);
    trouble(on_disk)
}

async fn database(whole: &Whole) -> Option<String> {
    let url = whole.server.range.store.as_ref()?;
    let state = match PgStore::new(url.expose(), whole.server.timeouts.lookup.get()) {
        Ok(store) => store.state().await,
        Err(error) => Err(error),
    };
    match state {
        Ok(state) => {
            let whole = state.whole.count();
            line(
                "database",
                Some(state.left as f64 / whole as f64),
                &format!("{} of {whole} left", state.left),
            );
            None
        }
        Err(error) => {
            line("database", None, "cannot be asked");
            Some(error.to_string())
        }
    }
}

fn trouble(on_disk: Result<Record, LedgerError>) -> Option<String> {
    on_disk.err().filter(|error| !matches!(error, LedgerError::Absent { .. })).map(|error| error.to_string())
}

fn pace(live: &Ids) -> String {
    match live.lasts_s {
        Some(lasts) => {
            format!("lasts {} at {:.1} a second", duration(Duration::from_secs(lasts)), live.per_second)
        }
        None => "none given lately".into(),
    }
}

fn lasts(live: Option<&Ids>) -> String {
    let lasts = live.and_then(|live| live.master_lasts_s);
    lasts.map(|lasts| format!(", lasts {}", duration(Duration::from_secs(lasts)))).unwrap_or_default()
}

fn ranges(record: &Record) -> String {
    let ranges: Vec<_> = record.holdings.ranges().take(RANGES_SHOWN).map(|range| range.to_string()).collect();
    let more = record.holdings.ranges().len().saturating_sub(RANGES_SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    if ranges.is_empty() { String::new() } else { format!("; on disk {}{more}", ranges.join(", ")) }
}

fn line(name: &str, share: Option<f64>, said: &str) {
    super::print(&format!("{name:<14} {} {said}", bar(share)));
}

/// A bar, full at 1; spaces if nothing is known.
fn bar(share: Option<f64>) -> String {
    let Some(share) = share else { return " ".repeat(BAR) };
    // Anything left is shown as such.
    let full = ((share.clamp(0.0, 1.0) * BAR as f64).round() as usize).max(usize::from(share > 0.0));
    format!("{}{}", "█".repeat(full), "░".repeat(BAR - full))
}

fn duration(time: Duration) -> String {
    match time.as_secs() {
        s @ 0..120 => format!("{s} s"),
        s @ 120..7200 => format!("{} min", s / 60),
        s @ 7200..172_800 => format!("{} h", s / 3600),
        s => format!("{} days", s / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_said_in_one_unit() {
        let said = [0, 119, 120, 7199, 7200, 172_799, 172_800].map(|s| duration(Duration::from_secs(s)));
        assert_eq!(said, ["0 s", "119 s", "2 min", "119 min", "2 h", "47 h", "2 days"]);
    }

    #[test]
    fn a_bar_is_empty_only_when_nothing_is_left() {
        let full = |share| bar(Some(share)).chars().filter(|c| *c == '█').count();
        assert_eq!([0.0, 1e-9, 0.5, 1.0, 7.0].map(full), [0, 1, 10, 20, 20]);
        assert_eq!(bar(None).len(), BAR);
    }
}
