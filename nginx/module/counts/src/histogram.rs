//! Times in buckets that grow: exact enough for a median, cheap enough for every request.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Upper bounds of the buckets in ms, inclusive; one bucket more takes what is longer. nginx's clock has steps of 1 ms,
/// hence 0 means "under 1 ms".
pub const BOUNDS_MS: [u64; 21] =
    [0, 1, 2, 3, 5, 8, 13, 20, 32, 50, 80, 130, 200, 320, 500, 800, 1_300, 2_000, 5_000, 10_000, 60_000];
const BUCKETS: usize = BOUNDS_MS.len() + 1;

/// Times of one kind, counted by several processes at once.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Histogram {
    sum_ms: AtomicU64,
    buckets: [AtomicU64; BUCKETS],
}

/// A [`Histogram`] at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spread {
    /// All times together, ms.
    pub sum_ms: u64,
    /// How many times fell into each bucket.
    pub buckets: [u64; BUCKETS],
}

impl Histogram {
    /// Counts one time.
    pub fn note(&self, ms: u64) {
        let bucket = BOUNDS_MS.iter().position(|bound| ms <= *bound).unwrap_or(BOUNDS_MS.len());
        self.sum_ms.fetch_add(ms, Relaxed);
        self.buckets[bucket].fetch_add(1, Relaxed);
    }

    /// The times until now.
    pub fn spread(&self) -> Spread {
        Spread {
            sum_ms: self.sum_ms.load(Relaxed),
            buckets: std::array::from_fn(|at| self.buckets[at].load(Relaxed)),
        }
    }

    pub(crate) fn clear(&self) {
        self.sum_ms.store(0, Relaxed);
        self.buckets.iter().for_each(|bucket| bucket.store(0, Relaxed));
    }
}

impl Spread {
    /// How many times there are.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The time that `percent` of all do not exceed, in ms: the upper bound of its bucket, so never too small, except
    /// that the last bucket has none and gives its lower one. `None` without any times.
    pub fn quantile_ms(&self, percent: u64) -> Option<u64> {
        let count = self.count();
        let rank = (u128::from(count) * u128::from(percent.min(100))).div_ceil(100).max(1);
        let mut seen = 0_u128;
        let bucket = self.buckets.iter().position(|bucket| {
            seen += u128::from(*bucket);
            seen >= rank
        })?;
        Some(BOUNDS_MS[bucket.min(BOUNDS_MS.len() - 1)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_is_in_the_bucket_whose_bound_it_does_not_exceed() {
        for (at, bound) in BOUNDS_MS.iter().enumerate() {
            let times = Histogram::default();
            times.note(*bound);
            times.note(bound + 1);
            let spread = times.spread();
            assert_eq!((spread.buckets[at], spread.buckets[at + 1]), (1, 1), "{bound}");
            assert_eq!(spread.sum_ms, 2 * bound + 1);
        }
    }

    #[test]
    fn quantiles_come_from_the_buckets() {
        let times = Histogram::default();
        assert_eq!(times.spread().quantile_ms(50), None);
        (0..98).for_each(|_| times.note(4));
        (0..2).for_each(|_| times.note(700_000));
        let spread = times.spread();
        assert_eq!(spread.quantile_ms(50), Some(5));
        assert_eq!(spread.quantile_ms(98), Some(5));
        assert_eq!(spread.quantile_ms(99), Some(60_000));
        assert_eq!(spread.count(), 100);
    }
}
