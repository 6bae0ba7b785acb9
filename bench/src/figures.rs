//! From samples to figures. Pure.

use std::{fmt, time::Duration};

/// What one server did in its turns, a sample each.
#[derive(Debug, Clone, Default)]
pub(crate) struct Series(Vec<f64>);

impl Series {
    /// Of a single turn.
    pub(crate) fn one(sample: f64) -> Self {
        Self(vec![sample])
    }

    /// Of a single time, in seconds, if there is one.
    pub(crate) fn of(time: Option<Duration>) -> Self {
        Self(time.map(|time| time.as_secs_f64()).into_iter().collect())
    }

    /// Adds the sample of one more turn.
    pub(crate) fn push(&mut self, sample: f64) {
        self.0.push(sample);
    }

    /// How many samples there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The sample in the middle, or the mean of the two there; `None` without samples.
    pub(crate) fn median(&self) -> Option<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let upper = sorted.get(sorted.len() / 2)?;
        let lower = sorted.get((sorted.len() - 1) / 2)?;
        Some(f64::midpoint(*lower, *upper))
    }

    /// Every sample times `factor`.
    pub(crate) fn times(&self, factor: f64) -> Self {
        Self(self.0.iter().map(|sample| sample * factor).collect())
    }

    /// How each sample stands to the other's of the same turn.
    pub(crate) fn ratios(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(own, other)| own / other).collect())
    }

    /// The smallest and the largest sample.
    pub(crate) fn span(&self) -> Option<(f64, f64)> {
        let least = self.0.iter().copied().min_by(f64::total_cmp)?;
        let most = self.0.iter().copied().max_by(f64::total_cmp)?;
        Some((least, most))
    }
}

/// The duration that a share (0 to 1) of `sorted` does not exceed: the nearest rank. `None` without samples.
pub(crate) fn percentile(sorted: &[Duration], share: f64) -> Option<Duration> {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

/// How a figure is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// So many per second.
    PerSecond,
    /// Bytes per second, written in GB/s, and below a tenth of that in MB/s.
    BytesPerSecond,
    /// Seconds, written in ms below one.
    Seconds,
    /// Seconds, written in µs.
    Microseconds,
    /// Seconds, written in ns.
    Nanoseconds,
    /// Bytes, written in KiB.
    KibiBytes,
    /// Bytes.
    Bytes,
    /// A share of one core, 1 being all of it, written in percent.
    Share,
    /// So many.
    Count,
}

/// A figure with its unit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figure(pub(crate) f64, pub(crate) Unit);

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.0;
        match self.1 {
            Unit::PerSecond => write!(f, "{}/s", grouped(value.round() as u64)),
            Unit::BytesPerSecond if value < 1e8 => write!(f, "{:.2} MB/s", value / 1e6),
            Unit::BytesPerSecond => write!(f, "{:.2} GB/s", value / 1e9),
            Unit::Seconds if value >= 1.0 => write!(f, "{value:.2} s"),
            Unit::Seconds => write!(f, "{:.3} ms", value * 1e3),
            Unit::Microseconds => write!(f, "{:.1} µs", value * 1e6),
            Unit::Nanoseconds => write!(f, "{} ns", grouped((value * 1e9).round() as u64)),
            Unit::KibiBytes => write!(f, "{:.1} KiB", value / 1024.0),
            Unit::Bytes => write!(f, "{value:.1} B"),
            Unit::Share => write!(f, "{:.3} %", value * 100.0),
            Unit::Count => f.write_str(&grouped(value.round() as u64)),
        }
    }
}

/// A number with its digits in groups of three.
pub(crate) fn grouped(number: u64) -> String {
    if number < 1000 {
        return number.to_string();
    }
    format!("{},{:03}", grouped(number / 1000), number % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_grouped() {
        for (number, text) in
            [(0, "0"), (999, "999"), (1000, "1,000"), (20_007, "20,007"), (1_002_003, "1,002,003")]
        {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn figures_are_written_in_their_unit() {
        assert_eq!(Figure(20_007.4, Unit::PerSecond).to_string(), "20,007/s");
        assert_eq!(Figure(1.5e9, Unit::BytesPerSecond).to_string(), "1.50 GB/s");
        assert_eq!(Figure(0.000_221, Unit::Seconds).to_string(), "0.221 ms");
        assert_eq!(Figure(0.000_018_44, Unit::Microseconds).to_string(), "18.4 µs");
        assert_eq!(Figure(0.000_001_234, Unit::Nanoseconds).to_string(), "1,234 ns");
        assert_eq!(Figure(1.2e7, Unit::BytesPerSecond).to_string(), "12.00 MB/s");
        assert_eq!(Figure(5.0, Unit::Seconds).to_string(), "5.00 s");
        assert_eq!(Figure(0.005, Unit::Share).to_string(), "0.500 %");
        assert_eq!(Figure(1_200.0, Unit::Count).to_string(), "1,200");
        assert_eq!(Figure(13_312.0, Unit::KibiBytes).to_string(), "13.0 KiB");
    }

    proptest! {
        #[test]
        fn half_are_below_the_median_and_half_above(samples in prop::collection::vec(-1e9f64..1e9, 0..40)) {
            let series = Series(samples.clone());
            prop_assert_eq!(series.median().is_none(), samples.is_empty());
            let Some(median) = series.median() else { return Ok(()) };
            let most = samples.len() / 2;
            prop_assert!(samples.iter().filter(|s| **s < median).count() <= most);
            prop_assert!(samples.iter().filter(|s| **s > median).count() <= most);
        }

        #[test]
        fn a_percentile_is_the_least_sample_that_enough_do_not_exceed(
            mut millis in prop::collection::vec(0u64..50, 1..60), share in 0.01f64..=1.0,
        ) {
            millis.sort_unstable();
            let sorted: Vec<_> = millis.iter().map(|ms| Duration::from_millis(*ms)).collect();
            let found = percentile(&sorted, share).unwrap();
            let wanted = share * sorted.len() as f64;
            prop_assert!(sorted.iter().filter(|d| **d <= found).count() as f64 >= wanted);
            prop_assert!((sorted.iter().filter(|d| **d < found).count() as f64) < wanted);
        }
    }
}
