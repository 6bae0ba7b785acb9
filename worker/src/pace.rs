//! When the next batch goes, and how long it may be.

use std::time::Duration;

use crate::config::Bounds;

/// Pause between two batches that were taken: whoever catches up leaves the monitor room for others.
const BETWEEN: Duration = Duration::from_millis(50);
/// How often a report that the monitor refuses by itself is sent before it is given up.
const PATIENCE: u32 = 5;

/// The pace of sending. Times are since any fixed moment.
#[derive(Debug)]
pub(crate) struct Pace {
    pause_min: Duration,
    pause_max: Duration,
    reports_most: usize,
    reports: usize,
    pause: Duration,
    not_before: Duration,
    refusals: u32,
}

impl Pace {
    /// Ready to send.
    pub(crate) fn new(bounds: &Bounds, reports_most: usize) -> Self {
        Self {
            pause_min: bounds.pause_min,
            pause_max: bounds.pause_max,
            reports_most,
            reports: reports_most,
            pause: Duration::ZERO,
            not_before: Duration::ZERO,
            refusals: 0,
        }
    }

    /// When the next batch may go.
    pub(crate) fn not_before(&self) -> Duration {
        self.not_before
    }

    /// Most reports of the next batch, at least 1.
    pub(crate) fn reports_max(&self) -> usize {
        self.reports
    }

    /// Reports were taken.
    pub(crate) fn taken(&mut self, now: Duration) {
        self.pause = Duration::ZERO;
        self.refusals = 0;
        self.reports = self.reports.saturating_mul(2).min(self.reports_most);
        self.not_before = now + BETWEEN;
    }

    /// There was no answer, or none that helps: the pause grows.
    pub(crate) fn failed(&mut self, now: Duration) {
        self.pause = (self.pause * 2).clamp(self.pause_min, self.pause_max);
        self.not_before = now + self.pause;
    }

    /// A batch of `sent` reports was refused: the next one is half as long, until the report that is not wanted is alone.
    /// Whether that one is to be given up.
    pub(crate) fn refused(&mut self, now: Duration, sent: usize) -> bool {
        if sent > 1 {
            self.reports = (sent / 2).max(1);
            self.not_before = now + BETWEEN;
            return false;
        }
        self.failed(now);
        self.refusals += 1;
        let give_up = self.refusals >= PATIENCE;
        if give_up {
            self.refusals = 0;
        }
        give_up
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn pauses_grow_from_half_a_second_to_half_a_minute_and_begin_anew_after_success() {
        let mut pace = Pace::new(&Bounds::default(), 500);
        let mut pauses = Vec::new();
        for _ in 0..9 {
            pace.failed(SECOND);
            pauses.push((pace.not_before() - SECOND).as_millis());
        }
        assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]);
        pace.taken(SECOND);
        pace.failed(SECOND);
        assert_eq!(pace.not_before(), SECOND + Duration::from_millis(500));
    }

    #[test]
    fn a_report_that_is_refused_is_found_and_given_up() {
        let mut pace = Pace::new(&Bounds::default(), 500);
        let mut tries = 0;
        while !pace.refused(SECOND, pace.reports_max()) {
            tries += 1;
        }
        assert_eq!((tries, pace.reports_max()), (8 + 4, 1));
    }

    proptest! {
        #[test]
        fn a_batch_has_at_least_one_report_and_a_pause_an_end(
            steps in proptest::collection::vec((0u8..3, 1usize..600), 0..200), most in 1usize..1000,
        ) {
            let bounds = Bounds::default();
            let mut pace = Pace::new(&bounds, most);
            for (step, sent) in steps {
                match step {
                    0 => pace.taken(SECOND),
                    1 => pace.failed(SECOND),
                    _ => { pace.refused(SECOND, sent.min(pace.reports_max())); }
                }
                prop_assert!((1..=most).contains(&pace.reports_max()));
                prop_assert!(pace.not_before() > SECOND && pace.not_before() <= SECOND + bounds.pause_max);
            }
        }
    }
}
