//! The commands `silence`, `forget` and `login`: asked of the running monitor.

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use anyhow::{Context, anyhow, bail};
use nix::unistd::{Uid, User};
use switchboard_alert::{
    letter::{lasting, moment},
    rules::{Covers, Silence},
};
use switchboard_daemon::{Failure, Outcome};
use switchboard_fleet::config;

use crate::{
    clock::now_ms,
    control::{self, Ask, Told},
};

/// How long the monitor may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest silence, in seconds: 30 days.
const LONGEST_S: u64 = 30 * 86_400;

/// Arguments of `switchboard-monitor silence`.
#[derive(Debug, clap::Args)]
pub(crate) struct SilenceArgs {
    /// A server (`eu.example.net`), a worker (`eu.example.net/8081`), or `all`.
    #[arg(required_unless_present = "list")]
    what: Option<String>,
    /// How long: `90s`, `30m`, `2h`, `1d`; at most 30d.
    #[arg(long = "for", value_name = "TIME", value_parser = duration_ms, required_unless_present_any = ["list", "end"])]
    lasts_ms: Option<u64>,
    /// Why, for those who see it on the page.
    #[arg(long, default_value = "planned work")]
    reason: String,
    /// End it now.
    #[arg(long, conflicts_with_all = ["lasts_ms", "list"])]
    end: bool,
    /// Show the silences in force.
    #[arg(long, conflicts_with_all = ["what", "lasts_ms"])]
    list: bool,
}

/// Arguments of `switchboard-monitor forget`.
#[derive(Debug, clap::Args)]
pub(crate) struct ForgetArgs {
    /// The worker, as the overview page names it.
    worker: String,
}

/// Arguments of `switchboard-monitor login`.
#[derive(Debug, clap::Args)]
pub(crate) struct LoginArgs {
    /// The name that stands beside what is switched; this user's unless said.
    #[arg(long)]
    name: Option<String>,
}

/// Begins, ends or lists silences.
pub(crate) fn silence(config: &Path, args: SilenceArgs) -> Outcome {
    let ask = match (args.what, args.lasts_ms) {
        (Some(what), _) if args.end => Ask::End { what },
        (Some(what), Some(lasts_ms)) => Ask::Silence { what, lasts_ms, reason: args.reason },
        _ => Ask::List,
    };
    say(ask_monitor(config, &ask)?)
}

/// Forgets a worker.
pub(crate) fn forget(config: &Path, args: ForgetArgs) -> Outcome {
    say(ask_monitor(config, &Ask::Forget { worker: args.worker })?)
}

/// Prints a link that logs in its reader once.
pub(crate) fn login(config: &Path, args: LoginArgs) -> Outcome {
    let own = || User::from_uid(Uid::current()).ok().flatten().map(|user| user.name);
    let name = args.name.or_else(own).unwrap_or_else(|| "operator".into());
    say(ask_monitor(config, &Ask::Login { name })?)
}

fn ask_monitor(config: &Path, ask: &Ask) -> anyhow::Result<Told> {
    let config = config::load(config)?;
    let path = control::path(&config.monitor_dir());
    let nobody = || format!("{}: no `switchboard-monitor` runs here; start it", path.display());
    let mut stream = UnixStream::connect(&path).with_context(nobody)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    writeln!(stream, "{}", serde_json::to_string(ask)?)?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).context("the monitor does not answer: look at its log")?;
    serde_json::from_str(&line).map_err(|_| anyhow!("the monitor ended before it answered: look at its log"))
}

fn say(told: Told) -> Outcome {
    match told {
        Told::Done(text) => print(&text),
        Told::Silences(silences) if silences.is_empty() => print("no silence is in force"),
        Told::Silences(silences) => silences.iter().for_each(|silence| print(&words(silence))),
        Told::Failed(why) => return Err(Failure::Failed(anyhow!(why))),
    }
    Ok(())
}

fn words(silence: &Silence) -> String {
    let everything = silence.covers == Covers::All;
    let what = if everything { "everything" } else { control::name(&silence.covers) };
    let left = lasting(silence.until_ms.saturating_sub(now_ms()));
    format!("{what}: silent until {} ({left} left): {}", moment(silence.until_ms), silence.reason)
}

/// A time with its unit, in ms.
fn duration_ms(text: &str) -> anyhow::Result<u64> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let unit_s = match unit {
        "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => bail!("expected a number with s, m, h or d, as in 30m"),
    };
    let seconds = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit_s));
    match seconds {
        Some(seconds @ 1..=LONGEST_S) => Ok(seconds * 1000),
        _ => bail!("expected 1s to 30d"),
    }
}

#[allow(clippy::print_stdout, reason = "this is where the command speaks to a person")]
fn print(line: &str) {
    println!("{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!(duration_ms("90s").unwrap(), 90_000);
        assert_eq!(duration_ms("30m").unwrap(), 1_800_000);
        assert_eq!(duration_ms("30d").unwrap(), LONGEST_S * 1000);
        for text in ["", "5", "0s", "-1h", "31d", "1 h", "99999999999999999999d", "1w", "h"] {
            assert!(duration_ms(text).is_err(), "{text}");
        }
    }
}
