//! The statistics line: what the instance did in the last period, appended to `stats_file`, with the columns of the
//! original service.
//!
//! The file begins anew at 10 MiB; the previous one is kept beside it with `.1`.

use std::{
    cell::{Cell, RefCell},
    fs::{self, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    rc::Rc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use hashbrown::HashSet;
use nix::sys::{
    resource::{Usage, UsageWho, getrusage},
    time::{TimeVal, TimeValLike},
};
use switchboard_fleet::CustomerId;
use tokio::time::interval;

use crate::hub::Hub;

/// A file of this length is put aside.
const FILE_BYTES_MAX: u64 = 10 << 20;
/// Customers told apart within one period; beyond it the numbers of unique ones stand still.
const UNIQUE_MAX: usize = 1 << 20;

/// What happened in the current period. Counted only where somebody reads it.
#[derive(Debug, Default)]
pub(crate) struct Period {
    counting: Cell<bool>,
    polls: Cell<u64>,
    agents: RefCell<HashSet<CustomerId>>,
    customers: RefCell<HashSet<CustomerId>>,
    completed: Cell<u64>,
    failed: Cell<u64>,
    took: Cell<Duration>,
    running: Cell<u64>,
    running_min: Cell<u64>,
    running_max: Cell<u64>,
}

impl Period {
    /// An agent has parked a poll.
    pub(crate) fn polled(&self, id: CustomerId) {
        if self.counting.get() {
            add(&self.polls, 1);
            note(&self.agents, id);
        }
    }

    /// A transaction has begun.
    pub(crate) fn began(&self, id: CustomerId) {
        add(&self.running, 1);
        self.running_max.set(self.running_max.get().max(self.running.get()));
        if self.counting.get() {
            note(&self.customers, id);
        }
    }

    /// A transaction is no longer running.
    pub(crate) fn ended(&self) {
        self.running.set(self.running.get().saturating_sub(1));
        self.running_min.set(self.running_min.get().min(self.running.get()));
    }

    /// A transaction was answered in full, or broke off, after so long.
    pub(crate) fn finished(&self, completed: bool, took: Duration) {
        add(if completed { &self.completed } else { &self.failed }, 1);
        self.took.set(self.took.get() + took);
    }

    /// Begins the next period.
    fn turn(&self) {
        for counter in [&self.polls, &self.completed, &self.failed] {
            counter.set(0);
        }
        self.took.set(Duration::ZERO);
        self.running_min.set(self.running.get());
        self.running_max.set(self.running.get());
        self.agents.borrow_mut().clear();
        self.customers.borrow_mut().clear();
    }
}

fn add(counter: &Cell<u64>, more: u64) {
    counter.set(counter.get() + more);
}

fn note(set: &RefCell<HashSet<CustomerId>>, id: CustomerId) {
    let mut set = set.borrow_mut();
    if set.len() < UNIQUE_MAX {
        set.insert(id);
    }
}

/// Writes a line every `stats.period` to `path`, until the instance ends.
pub(crate) async fn write_forever(hub: Rc<Hub>, path: PathBuf) {
    hub.period.counting.set(true);
    let period = hub.config.stats.period.get();
    let mut ticks = interval(period);
    ticks.tick().await;
    let mut before = Before::now(&hub);
    loop {
        ticks.tick().await;
        let now = Before::now(&hub);
        let line = line(&hub, &before, &now);
        hub.period.turn();
        before = now;
        let path = path.clone();
        let written = tokio::task::spawn_blocking(move || append(&path, &line)).await;
        if let Ok(Err(error)) = written {
            tracing::warn!(%error, "the statistics line cannot be written");
        }
    }
}

/// What only grows, at the beginning of a period.
struct Before {
    at: Instant,
    cpu: Option<Usage>,
    bytes: u64,
}

impl Before {
    fn now(hub: &Hub) -> Self {
        Self {
            at: Instant::now(),
            cpu: getrusage(UsageWho::RUSAGE_SELF).ok(),
            bytes: hub.counters.bytes.get(),
        }
    }
}

/// Time, port, max RSS (KiB), CPU user (s), CPU system (s), CPU (%), CPU time (s), agents in the period, unique agents,
/// transactions in the period, unique, min and max concurrent, failed, mean duration (ms), bytes in all, bytes in the
/// period. The three CPU times are since the start, the percentage is the period's.
fn line(hub: &Hub, before: &Before, now: &Before) -> String {
    let seconds = |time: TimeVal| time.num_microseconds() as f64 / 1e6;
    let user = now.cpu.as_ref().map_or(0.0, |cpu| seconds(cpu.user_time()));
    let system = now.cpu.as_ref().map_or(0.0, |cpu| seconds(cpu.system_time()));
    let used_before =
        before.cpu.as_ref().map_or(0.0, |cpu| seconds(cpu.user_time()) + seconds(cpu.system_time()));
    let share = (user + system - used_before) / now.at.duration_since(before.at).as_secs_f64().max(1e-9);
    let rss = now.cpu.as_ref().map_or(0, Usage::max_rss);
    let period = &hub.period;
    let finished = period.completed.get() + period.failed.get();
    format!(
        "{},{},{rss},{user:.3},{system:.3},{:.1},{:.3},{},{},{finished},{},{},{},{},{:.1},{},{}\n",
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        hub.own.port,
        share * 100.0,
        user + system,
        period.polls.get(),
        period.agents.borrow().len(),
        period.customers.borrow().len(),
        period.running_min.get(),
        period.running_max.get(),
        period.failed.get(),
        period.took.get().as_secs_f64() * 1e3 / finished.max(1) as f64,
        now.bytes,
        now.bytes - before.bytes,
    )
}

fn append(path: &Path, line: &str) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|file| file.len() >= FILE_BYTES_MAX) {
        let mut previous = path.as_os_str().to_owned();
        previous.push(".1");
        fs::rename(path, previous)?;
    }
    OpenOptions::new().create(true).append(true).open(path)?.write_all(line.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_file_is_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stats.csv");
        append(&path, "one\n").unwrap();
        append(&path, "two\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\n");
        fs::write(&path, vec![b'x'; FILE_BYTES_MAX as usize]).unwrap();
        append(&path, "three\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "three\n");
        assert!(folder.path().join("stats.csv.1").exists());
    }

    #[test]
    fn a_period_knows_its_least_and_most() {
        let period = Period::default();
        let id = CustomerId::new(1).unwrap();
        period.began(id);
        period.began(id);
        period.turn();
        period.ended();
        period.began(id);
        period.began(id);
        assert_eq!((period.running_min.get(), period.running_max.get()), (1, 3));
    }
}
