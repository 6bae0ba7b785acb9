//! How a worker is: memory, CPU time, host.

use std::{cell::Cell, fs, sync::atomic::Ordering, time::Duration};

use nix::{
    sys::{
        resource::{UsageWho, getrusage},
        time::{TimeVal, TimeValLike},
    },
    unistd::gethostname,
};
use switchboard_fleet::report::WorkerState;

use crate::{config::Subject, group};

/// What of a state does not change, and what it must not fall behind.
#[derive(Debug)]
pub(crate) struct Vitals {
    /// Where the worker listens.
    pub(crate) address: String,
    /// Its version.
    pub(crate) version: String,
    host: String,
    subject: Subject,
    counted: Cell<Counted>,
}

impl Vitals {
    /// Of `subject`, on this machine.
    pub(crate) fn new(address: String, version: String, subject: Subject) -> Self {
        let host = gethostname().unwrap_or_default().to_string_lossy().into_owned();
        Self { address, version, host, subject, counted: Cell::default() }
    }

    /// The state now, `uptime` after the start of this process, with so many reports lost, and with what is said to be wrong.
    pub(crate) fn state(&self, uptime: Duration, lost: u64, wrong: Vec<String>) -> WorkerState {
        let (pid, rss_bytes, cpu_us, uptime_s) = match &self.subject {
            Subject::Own => (std::process::id(), rss_bytes("self"), cpu_us(), uptime.as_secs()),
            Subject::Group(pid) => self.group(pid.load(Ordering::Relaxed)),
        };
        WorkerState {
            rss_bytes,
            cpu_us,
            uptime_s,
            host: self.host.clone(),
            address: self.address.clone(),
            version: self.version.clone(),
            pid,
            lost,
            wrong,
        }
    }

    /// Process, memory, CPU time and uptime of a group. One that is not there uses nothing.
    fn group(&self, pid: u32) -> (u32, u64, u64, u64) {
        let group = group::look(pid);
        let pid = group.as_ref().map_or(0, |_| pid);
        let group = group.unwrap_or_default();
        let counted = self.counted.get().with(pid, group.cpu_us);
        self.counted.set(counted);
        (pid, group.rss_bytes, counted.total(), group.uptime_s)
    }
}

/// CPU time of one group after another, as one counter that never falls.
#[derive(Debug, Clone, Copy, Default)]
struct Counted {
    pid: u32,
    cpu_us: u64,
    /// What groups before this one have used.
    before_us: u64,
}

impl Counted {
    fn with(self, pid: u32, cpu_us: u64) -> Self {
        if pid == self.pid {
            return Self { cpu_us: self.cpu_us.max(cpu_us), ..self };
        }
        Self { pid, cpu_us, before_us: self.total() }
    }

    fn total(self) -> u64 {
        self.before_us + self.cpu_us
    }
}

/// CPU time of this process, user and system, in microseconds.
fn cpu_us() -> u64 {
    let micros = |time: TimeVal| u64::try_from(time.num_microseconds()).unwrap_or(0);
    getrusage(UsageWho::RUSAGE_SELF)
        .map_or(0, |usage| micros(usage.user_time()) + micros(usage.system_time()))
}

/// Resident memory of a process, which `/proc/PID/status` tells in KiB whatever the size of a page.
pub(crate) fn rss_bytes(pid: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let value = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = value.and_then(|value| value.split_whitespace().next()).and_then(|kib| kib.parse::<u64>().ok());
    kib.unwrap_or_default() * 1024
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, atomic::AtomicU32};

    #[test]
    fn a_process_has_memory_and_uses_time() {
        let vitals = Vitals::new("a".into(), "1".into(), Subject::Own);
        let before = vitals.state(Duration::from_millis(2900), 7, Vec::new());
        while cpu_us() <= before.cpu_us {}
        assert!((1 << 16..1 << 40).contains(&before.rss_bytes), "{before:?}");
        assert!(!before.host.is_empty() && before.uptime_s == 2 && before.lost == 7);
        assert!(vitals.state(Duration::ZERO, 0, Vec::new()).cpu_us > before.cpu_us);
    }

    #[test]
    fn the_counter_of_a_group_never_falls() {
        let counted = Counted::default().with(7, 100).with(7, 90);
        assert_eq!(counted.total(), 100);
        // It dies, nobody runs, another one is started.
        let counted = counted.with(0, 0).with(0, 0).with(8, 5).with(8, 30);
        assert_eq!(counted.total(), 130);
    }

    #[test]
    fn the_state_of_another_process() {
        let pid = Arc::new(AtomicU32::new(0));
        let vitals = Vitals::new(String::new(), String::new(), Subject::Group(pid.clone()));
        let none = vitals.state(Duration::from_secs(9), 3, Vec::new());
        assert_eq!((none.pid, none.rss_bytes, none.cpu_us, none.uptime_s, none.lost), (0, 0, 0, 0, 3));
        pid.store(std::process::id(), Ordering::Relaxed);
        let some = vitals.state(Duration::from_secs(9), 3, vec!["a".into()]);
        assert_eq!(some.pid, std::process::id());
        assert!(some.rss_bytes > 1 << 16 && some.wrong == ["a"], "{some:?}");
    }
}
