//! How this process is: memory, CPU time, host.

use std::{fs, time::Duration};

use nix::sys::{
    resource::{UsageWho, getrusage},
    time::{TimeVal, TimeValLike},
};
use switchboard_fleet::report::WorkerState;

/// What of a state does not change.
#[derive(Debug)]
pub(crate) struct Vitals {
    /// Where the worker listens.
    pub(crate) address: String,
    /// Its version.
    pub(crate) version: String,
    host: String,
}

impl Vitals {
    /// On this machine.
    pub(crate) fn new(address: String, version: String) -> Self {
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        Self { address, version, host: host.trim().to_owned() }
    }

    /// The state now, `uptime` after the start and with so many reports lost.
    pub(crate) fn state(&self, uptime: Duration, lost: u64) -> WorkerState {
        WorkerState {
            rss_bytes: rss_bytes(),
            cpu_us: cpu_us(),
            uptime_s: uptime.as_secs(),
            host: self.host.clone(),
            address: self.address.clone(),
            version: self.version.clone(),
            pid: std::process::id(),
            lost,
        }
    }
}

/// CPU time of this process, user and system, in microseconds.
fn cpu_us() -> u64 {
    let micros = |time: TimeVal| u64::try_from(time.num_microseconds()).unwrap_or(0);
    getrusage(UsageWho::RUSAGE_SELF)
        .map_or(0, |usage| micros(usage.user_time()) + micros(usage.system_time()))
}

/// Resident memory, which `/proc/self/status` tells in KiB whatever the size of a page.
fn rss_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let value = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = value.and_then(|value| value.split_whitespace().next()).and_then(|kib| kib.parse::<u64>().ok());
    kib.unwrap_or_default() * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_memory_and_uses_time() {
        let vitals = Vitals::new("a".into(), "1".into());
        let before = vitals.state(Duration::from_millis(2900), 7);
        while cpu_us() <= before.cpu_us {}
        assert!((1 << 16..1 << 40).contains(&before.rss_bytes), "{before:?}");
        assert!(!before.host.is_empty() && before.uptime_s == 2 && before.lost == 7);
        assert!(vitals.state(Duration::ZERO, 0).cpu_us > before.cpu_us);
    }
}
