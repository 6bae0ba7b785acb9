//! How fast IDs are given, and when there were none. No clock: the caller says what time it is.

use std::time::{Duration, Instant};

/// What was given so long ago counts for 1/e of what is given now.
const MEMORY_SECS: f64 = 60.0;
/// An average over a shorter time says nothing.
const KNOWN_SECS_MIN: f64 = 1.0;

/// IDs given in a second, on average over about the last minute.
#[derive(Debug, Clone, Default)]
pub struct Pace {
    /// Since the first ID.
    known: Option<Known>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    first: Instant,
    at: Instant,
    /// The IDs given until `at`, each worth less with age.
    weight: f64,
}

impl Pace {
    /// `n` IDs were given at `now`. A `now` before an earlier one counts as that.
    pub fn given(&mut self, n: u64, now: Instant) {
        let known = self.known.get_or_insert(Known { first: now, at: now, weight: 0.0 });
        known.weight = known.weight_at(now) + n as f64;
        known.at = known.at.max(now);
    }

    /// IDs given in a second; 0 if none ever was.
    pub fn per_second(&self, now: Instant) -> f64 {
        self.known.map_or(0.0, |known| known.per_second(now))
    }

    /// How long `left` IDs will last at this pace; `None` if that is beyond every number, as when none is given.
    pub fn lasts(&self, left: u64, now: Instant) -> Option<Duration> {
        if left == 0 {
            return Some(Duration::ZERO);
        }
        Duration::try_from_secs_f64(left as f64 / self.per_second(now)).ok()
    }
}

impl Known {
    fn weight_at(&self, now: Instant) -> f64 {
        self.weight * decay(now.saturating_duration_since(self.at).as_secs_f64())
    }

    fn per_second(&self, now: Instant) -> f64 {
        // Divided by what one ID in every second since the first would weigh, so that the first minute is not taken for a slow one.
        let known = now.max(self.at).duration_since(self.first).as_secs_f64().max(KNOWN_SECS_MIN);
        self.weight_at(now) / (MEMORY_SECS * (1.0 - decay(known)))
    }
}

fn decay(secs: f64) -> f64 {
    (-secs / MEMORY_SECS).exp()
}

/// The times in which registrations found no ID.
#[derive(Debug, Clone, Default)]
pub struct Stalls {
    count: u64,
    ended: Duration,
    since: Option<Instant>,
}

impl Stalls {
    /// A registration found no ID at `now`. Nobody has one until [`Stalls::ended`].
    pub fn began(&mut self, now: Instant) {
        self.count = self.count.saturating_add(1);
        self.since.get_or_insert(now);
    }

    /// There are IDs at `now`; changes nothing if there were some before.
    pub fn ended(&mut self, now: Instant) {
        self.ended = self.total(now);
        self.since = None;
    }

    /// How many registrations found none.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// How long there was none, all times together with the one that lasts still.
    pub fn total(&self, now: Instant) -> Duration {
        let running = self.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        self.ended.saturating_add(running)
    }
}

#[cfg(test)]
#[path = "pace_tests.rs"]
mod tests;
