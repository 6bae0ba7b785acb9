//! The monitor's samples: what the instance did in each minute of the clock.
//!
//! The minute in which an instance starts is counted from its start; of the one in which it ends nothing is told, as it would
//! look like a whole one.

use std::{rc::Rc, time::Duration};

use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeValLike,
};
use switchboard_fleet::report::Sample;
use switchboard_worker::Reporter;
use tokio::time::sleep;

use crate::{
    hub::{Hub, now_ms},
    period::Period,
};

/// A minute of the clock.
const MINUTE_MS: u64 = 60_000;
/// The clock is looked at this often at least, as it may be set.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Tells `reporter` a sample at every full minute, until the instance ends.
pub(crate) async fn tell_forever(hub: Rc<Hub>, reporter: Reporter) {
    let mut clock = Clock::new(now_ms());
    let mut before = Totals::now(&hub);
    loop {
        sleep(clock.left(now_ms()).min(LOOK_EVERY)).await;
        let Some(at_ms) = clock.look(now_ms()) else { continue };
        let now = Totals::now(&hub);
        reporter.sample(at_ms, sample(&hub.periods.minute, &before, &now));
        hub.periods.minute.turn();
        before = now;
    }
}

/// Which minute is over, whatever happens to the clock.
#[derive(Debug)]
struct Clock {
    ends_ms: u64,
}

impl Clock {
    fn new(now_ms: u64) -> Self {
        Self { ends_ms: full_minute(now_ms) + MINUTE_MS }
    }

    /// How long until the present minute is over.
    fn left(&self, now_ms: u64) -> Duration {
        Duration::from_millis(self.ends_ms.saturating_sub(now_ms))
    }

    /// The last full minute, when one more is over.
    fn look(&mut self, now_ms: u64) -> Option<u64> {
        let last_ms = full_minute(now_ms);
        let is_over = now_ms >= self.ends_ms;
        // A clock that was set back must not keep the samples away until it is there again.
        if is_over || self.ends_ms - now_ms > MINUTE_MS {
            self.ends_ms = last_ms + MINUTE_MS;
        }
        is_over.then_some(last_ms)
    }
}

fn full_minute(ms: u64) -> u64 {
    ms - ms % MINUTE_MS
}

/// What is counted since the start.
#[derive(Debug, Clone, Copy, Default)]
struct Totals {
    started: u64,
    bytes: u64,
    cpu_us: u64,
}

impl Totals {
    fn now(hub: &Hub) -> Self {
        let cpu = getrusage(UsageWho::RUSAGE_SELF)
            .map_or(0, |usage| usage.user_time().num_microseconds() + usage.system_time().num_microseconds());
        Self {
            started: hub.counters.started.get(),
            bytes: hub.counters.bytes.get(),
            cpu_us: u64::try_from(cpu).unwrap_or_default(),
        }
    }
}

/// The minute between `before` and `now`.
fn sample(minute: &Period, before: &Totals, now: &Totals) -> Sample {
    let completed = minute.completed.get();
    let took = minute.took_completed.get();
    Sample {
        agents_u: minute.agents.borrow().len() as u64,
        t_unique: minute.customers.borrow().len() as u64,
        // Fewer, when a transaction of the minute before was given back.
        t_started: now.started.saturating_sub(before.started),
        t_completed: completed,
        t_failed: minute.failed.get(),
        bytes: now.bytes - before.bytes,
        duration: took.as_millis() as u64,
        cpu: now.cpu_us,
        duration_avg: if completed == 0 { 0.0 } else { took.as_secs_f64() * 1e3 / completed as f64 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::period::Periods;
    use proptest::prelude::*;
    use switchboard_fleet::CustomerId;

    #[test]
    fn a_minute_with_completions_and_failures() {
        let periods = Periods::default();
        periods.minute.begin();
        let [a, b, c] = [1, 2, 3].map(|id| CustomerId::new(id).unwrap());
        let ms = Duration::from_millis;
        for id in [a, a, b] {
            periods.polled(id);
        }
        for id in [b, b, c, c] {
            periods.began(id);
        }
        periods.finished(true, ms(10));
        periods.finished(true, ms(21));
        // It took long, but it was never answered.
        periods.finished(false, ms(30_000));
        let before = Totals { started: 5, bytes: 100, cpu_us: 1000 };
        let now = Totals { started: 9, bytes: 150, cpu_us: 4000 };
        let told = sample(&periods.minute, &before, &now);
        let expected = Sample {
            agents_u: 2,
            t_unique: 2,
            t_started: 4,
            t_completed: 2,
            t_failed: 1,
            bytes: 50,
            duration: 31,
            cpu: 4000,
            duration_avg: 15.5,
        };
        assert_eq!(told, expected);
        periods.minute.turn();
        assert_eq!(sample(&periods.minute, &now, &now), Sample { cpu: 4000, ..Sample::default() });
        let given_back = Totals { started: 8, ..now };
        assert_eq!(sample(&periods.minute, &now, &given_back).t_started, 0);
    }

    #[test]
    fn a_minute_is_over_once_at_its_full_minute() {
        let mut clock = Clock::new(61_000);
        assert_eq!(clock.left(61_000), Duration::from_secs(59));
        assert_eq!(clock.look(119_999), None);
        assert_eq!(clock.look(120_003), Some(120_000));
        assert_eq!(clock.look(120_003), None);
        assert_eq!(clock.left(120_003), Duration::from_millis(59_997));
        // The machine slept for ten minutes.
        assert_eq!(clock.look(725_000), Some(720_000));
        // The clock was set back by more than that.
        assert_eq!(clock.look(61_000), None);
        assert_eq!(clock.look(120_000), Some(120_000));
    }

    proptest! {
        #[test]
        fn whatever_happens_to_the_clock_the_next_full_minute_counts(times in prop::collection::vec(0_u64..10_000_000, 1..50)) {
            let mut clock = Clock::new(times[0]);
            for now in times {
                let told = clock.look(now);
                prop_assert!(told.is_none_or(|at| at % MINUTE_MS == 0 && at <= now && now - at < MINUTE_MS));
                prop_assert!(clock.left(now) <= Duration::from_millis(MINUTE_MS));
                prop_assert!(clock.left(now) > Duration::ZERO);
            }
        }
    }
}
