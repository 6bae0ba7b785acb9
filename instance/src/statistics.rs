//! The statistics line: what the instance did in the last period, appended to `stats_file`, with the columns of the
//! original service.
//!
//! The file begins anew at 10 MiB; the previous one is kept beside it with `.1`.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    rc::Rc,
    time::Instant,
};

use nix::sys::{
    resource::{Usage, UsageWho, getrusage},
    time::{TimeVal, TimeValLike},
};
use tokio::time::interval;

use crate::{
    hub::{Hub, now_ms},
    period::Period,
};

/// A file of this length is put aside.
const FILE_BYTES_MAX: u64 = 10 << 20;

/// Writes a line every `stats.period` to `path`, until the instance ends.
pub(crate) async fn write_forever(hub: Rc<Hub>, path: PathBuf) {
    let period = hub.config.stats.period.get();
    let mut ticks = interval(period);
    ticks.tick().await;
    let mut before = Before::now(&hub);
    loop {
        ticks.tick().await;
        let now = Before::now(&hub);
        let line = line(now_ms() / 1000, hub.own.port, &hub.periods.line, &before, &now);
        hub.periods.line.turn();
        before = now;
        let path = path.clone();
        let written = tokio::task::spawn_blocking(move || append(&path, &line)).await;
        if let Ok(Err(error)) = written {
            tracing::warn!(%error, "the statistics line cannot be written");
        }
    }
}

/// What only grows, at the beginning of a period.
#[derive(Debug, Clone, Copy)]
struct Before {
    at: Instant,
    user_s: f64,
    system_s: f64,
    rss_kib_max: i64,
    bytes: u64,
}

impl Before {
    fn now(hub: &Hub) -> Self {
        let cpu = getrusage(UsageWho::RUSAGE_SELF).ok();
        let seconds = |time: TimeVal| time.num_microseconds() as f64 / 1e6;
        Self {
            at: Instant::now(),
            user_s: cpu.as_ref().map_or(0.0, |cpu| seconds(cpu.user_time())),
            system_s: cpu.as_ref().map_or(0.0, |cpu| seconds(cpu.system_time())),
            rss_kib_max: cpu.as_ref().map_or(0, Usage::max_rss),
            bytes: hub.counters.bytes.get(),
        }
    }
}

/// Time, port, max RSS (KiB), CPU user (s), CPU system (s), CPU (%), CPU time (s), agents in the period, unique agents,
/// transactions in the period, unique, min and max concurrent, failed, mean duration (ms), bytes in all, bytes in the
/// period. The three CPU times are since the start, the percentage is the period's.
fn line(at_s: u64, port: u16, period: &Period, before: &Before, now: &Before) -> String {
    let cpu_s = now.user_s + now.system_s;
    let used_s = cpu_s - before.user_s - before.system_s;
    let share = used_s / now.at.duration_since(before.at).as_secs_f64().max(1e-9);
    let finished = period.completed.get() + period.failed.get();
    let took = period.took_completed.get() + period.took_failed.get();
    format!(
        "{at_s},{port},{},{:.3},{:.3},{:.1},{cpu_s:.3},{},{},{finished},{},{},{},{},{:.1},{},{}\n",
        now.rss_kib_max,
        now.user_s,
        now.system_s,
        share * 100.0,
        period.polls.get(),
        period.agents.borrow().len(),
        period.customers.borrow().len(),
        period.running_min.get(),
        period.running_max.get(),
        period.failed.get(),
        took.as_secs_f64() * 1e3 / finished.max(1) as f64,
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
    use crate::period::Periods;
    use std::time::Duration;
    use switchboard_fleet::CustomerId;

    #[test]
    fn the_columns_of_the_original_service() {
        let periods = Periods::default();
        periods.line.begin();
        let [a, b] = [1, 2].map(|id| CustomerId::new(id).unwrap());
        for id in [a, a, b] {
            periods.polled(id);
        }
        for id in [a, a, a] {
            periods.began(id);
        }
        periods.ended();
        periods.finished(true, Duration::from_millis(10));
        periods.ended();
        periods.finished(false, Duration::from_millis(21));
        let at = Instant::now();
        let before = Before { at, user_s: 1.0, system_s: 0.5, rss_kib_max: 4000, bytes: 100 };
        let at = at + Duration::from_secs(60);
        let now = Before { at, user_s: 6.0, system_s: 1.5, rss_kib_max: 5000, bytes: 1100 };
        let text = line(1_700_000_000, 8081, &periods.line, &before, &now);
        assert_eq!(text, "1700000000,8081,5000,6.000,1.500,10.0,7.500,3,2,2,1,0,3,1,15.5,1100,1000\n");
    }

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
}
