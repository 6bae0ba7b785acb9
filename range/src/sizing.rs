//! How large a range is asked for. No clock: the caller says what time it is.

use std::time::{Duration, Instant};

/// A range that lasts less is too small.
const LASTS_MIN: Duration = Duration::from_secs(15 * 60);
/// A range that lasts more is too large: if the instance goes for good, what is left of it is lost. Four times the other
/// bound, so that neither doubling nor halving leads past the opposite one.
const LASTS_MAX: Duration = Duration::from_secs(60 * 60);

/// The size of the next range, fitted to how long the last one lasted, as Leaf, Meituan's ID generator, does for its segments
/// (`SegmentIDGenImpl.updateSegmentFromDb`, <https://github.com/Meituan-Dianping/Leaf>).
///
/// Under a steady demand the size comes to where a range lasts from 15 minutes to an hour, as far as its bounds allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sizing {
    min: u64,
    max: u64,
    size: u64,
    granted: Option<Instant>,
}

impl Sizing {
    /// Sizes from `min` to `max` IDs, `min` at first. A `min` of 0 counts as 1, a `max` below `min` as `min`.
    pub fn new(min: u64, max: u64) -> Self {
        let min = min.max(1);
        Self { min, max: max.max(min), size: min, granted: None }
    }

    /// How many IDs to ask for next.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether it is time to ask for the next range: of `left` IDs no more than the share `refill_below` of one is left.
    pub fn needs_more(&self, left: u64, refill_below: f64) -> bool {
        left as f64 <= refill_below * self.size as f64
    }

    /// A range was asked for and granted at `now`, as the last one is used up: if that one lasted less than 15 minutes the
    /// size doubles, if more than an hour it halves. The first range changes nothing.
    pub fn asked(&mut self, now: Instant) {
        let Some(before) = self.granted.replace(now) else { return };
        let lasted = now.saturating_duration_since(before);
        if lasted < LASTS_MIN {
            self.size = self.size.saturating_mul(2);
        } else if lasted > LASTS_MAX {
            self.size /= 2;
        }
        self.size = self.size.clamp(self.min, self.max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn minutes(n: u64) -> Duration {
        Duration::from_secs(60 * n)
    }

    proptest! {
        #[test]
        fn the_size_keeps_its_bounds(min: u64, max: u64, lasts in proptest::collection::vec(0u64..200, 0..200)) {
            let mut sizing = Sizing::new(min, max);
            let mut now = Instant::now();
            for lasted in lasts {
                now += minutes(lasted);
                sizing.asked(now);
                prop_assert!(sizing.size() >= min.max(1));
                prop_assert!(sizing.size() <= max.max(min).max(1));
            }
        }

        /// From one ID in two hours to 100 000 in a second.
        #[test]
        fn a_steady_demand_settles(
            micros_each in prop_oneof![10u64..1_000_000, 1_000_000u64..7_200_000_000],
            min in 1u64..10_000,
            factor in 1u64..1_000_000,
        ) {
            let max = min * factor;
            let lasts = |size: u64| Duration::from_micros(size * micros_each);
            let mut sizing = Sizing::new(min, max);
            let mut now = Instant::now();
            sizing.asked(now);
            for _ in 0..64 {
                now += lasts(sizing.size());
                sizing.asked(now);
            }
            let settled = sizing.size();
            prop_assert!(lasts(settled) >= LASTS_MIN || settled == max);
            prop_assert!(lasts(settled) <= LASTS_MAX || settled == min);
            now += lasts(settled);
            sizing.asked(now);
            prop_assert_eq!(sizing.size(), settled);
        }
    }

    #[test]
    fn sizes_follow_the_time_a_range_lasted() {
        let mut now = Instant::now();
        let mut sizing = Sizing::new(100, 800);
        assert_eq!(sizing.size(), 100);
        // (minutes the last range lasted, size of the next)
        let story = [
            (0, 100),
            (14, 200),
            (15, 200),
            (60, 200),
            (0, 400),
            (1, 800),
            (1, 800),
            (61, 400),
            (999, 200),
            (999, 100),
            (999, 100),
        ];
        for (lasted, size) in story {
            now += minutes(lasted);
            sizing.asked(now);
            assert_eq!(sizing.size(), size, "after {lasted} minutes");
        }
    }

    #[test]
    fn a_clock_that_stands_or_goes_back_is_a_short_time() {
        let now = Instant::now() + minutes(120);
        let mut sizing = Sizing::new(1, 10);
        sizing.asked(now);
        sizing.asked(now - minutes(90));
        assert_eq!(sizing.size(), 2);
    }

    #[test]
    fn more_is_asked_for_when_little_is_left() {
        let sizing = Sizing::new(1000, 1000);
        assert!(!sizing.needs_more(101, 0.1));
        assert!(sizing.needs_more(100, 0.1));
        assert!(!sizing.needs_more(1, 0.0));
        assert!(sizing.needs_more(0, 0.0));
    }

    #[test]
    fn odd_bounds() {
        assert_eq!(Sizing::new(0, 0).size(), 1);
        assert_eq!(Sizing::new(50, 10).size(), 50);
        let mut most = Sizing::new(u64::MAX, u64::MAX);
        let now = Instant::now();
        most.asked(now);
        most.asked(now);
        assert_eq!(most.size(), u64::MAX);
    }
}
