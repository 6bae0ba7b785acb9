//! `switchboard reload`: tells the running `up` to read its configuration again, and waits for what comes of it.

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use anyhow::{Context, anyhow};
use switchboard_daemon::{Failure, Outcome};
use switchboard_fleet::config;

use crate::up::control::{DONE, FAILED, RELOAD, socket};

/// How long one instance may take to start, besides the drain of the one before.
const START_MAX: Duration = Duration::from_secs(20);

/// Asks, and says what `up` did.
pub(crate) fn run(config: &Path) -> Outcome {
    // A configuration with faults is told here, where the person is, and `up` is left in peace.
    let config = config::load(config)?;
    let path = socket(&config.state_dir);
    let nobody = || format!("{}: no `switchboard up` runs here; start it", path.display());
    let mut stream = UnixStream::connect(&path).with_context(nobody)?;
    // Instances are restarted one after another, then the monitor.
    let each = config.timeouts.drain.get() + START_MAX;
    let count = u32::try_from(config.instances.len()).unwrap_or(u32::MAX).saturating_add(2);
    stream.set_read_timeout(Some(each.saturating_mul(count)))?;
    writeln!(stream, "{RELOAD}")?;
    for line in BufReader::new(stream).lines() {
        let line = line.context("`switchboard up` does not answer; look at what it prints")?;
        if line == DONE {
            return Ok(());
        }
        if let Some(reason) = line.strip_prefix(FAILED) {
            return Err(Failure::Failed(anyhow!("{reason}")));
        }
        say(&line);
    }
    Err(Failure::Failed(anyhow!(
        "`switchboard up` ended before the reload was done; look at what it printed"
    )))
}

#[allow(clippy::print_stdout, reason = "this is where the command speaks to a person")]
fn say(line: &str) {
    println!("{line}");
}
