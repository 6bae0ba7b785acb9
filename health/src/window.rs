//! Requests of the last seconds.

use std::collections::VecDeque;

use crate::Counts;

/// The seconds that are looked at alone, if there was enough traffic in them: what fails in each of them is no burst.
pub(crate) const NEWEST: usize = 3;

/// Requests by second. Seconds without any take no room.
#[derive(Debug, Clone, Default)]
pub(crate) struct Window(VecDeque<Second>);

#[derive(Debug, Clone, Copy)]
struct Second {
    number: u64,
    counts: Counts,
}

/// The sum of some seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tally {
    pub(crate) counts: Counts,
    /// From the first of the seconds to now.
    pub(crate) span_s: u64,
    /// The fewest failures in a thousand requests among the seconds.
    pub(crate) low_permille: u32,
    /// Seconds with a failure.
    pub(crate) failing: usize,
    /// Seconds with a request.
    pub(crate) seconds: usize,
}

impl Tally {
    pub(crate) fn failed(&self) -> u32 {
        self.counts.failures.total()
    }

    /// The share of failures, from 0 to 1.
    pub(crate) fn share(&self) -> f64 {
        f64::from(self.failed()) / f64::from(self.counts.requests.max(1))
    }
}

impl Window {
    /// Forgets what is older than `window_s`.
    pub(crate) fn prune(&mut self, now_ms: u64, window_s: u64) {
        let now = now_ms / 1000;
        self.0.retain(|second| second.number <= now && now - second.number < window_s);
    }

    /// Takes in what ended just now.
    pub(crate) fn add(&mut self, now_ms: u64, counts: &Counts) {
        let number = now_ms / 1000;
        match self.0.back_mut() {
            _ if counts.requests == 0 => {}
            Some(second) if second.number == number => second.counts.add(counts),
            _ => self.0.push_back(Second { number, counts: *counts }),
        }
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// All that is there.
    pub(crate) fn whole(&self, now_ms: u64) -> Tally {
        self.tally(now_ms, usize::MAX)
    }

    /// The [`NEWEST`] seconds with traffic.
    pub(crate) fn newest(&self, now_ms: u64) -> Tally {
        self.tally(now_ms, NEWEST)
    }

    fn tally(&self, now_ms: u64, seconds: usize) -> Tally {
        let mut tally = Tally { low_permille: 1000, ..Tally::default() };
        for second in self.0.iter().rev().take(seconds) {
            let failed = second.counts.failures.total();
            tally.counts.add(&second.counts);
            tally.span_s = now_ms / 1000 - second.number + 1;
            tally.failing += usize::from(failed > 0);
            tally.seconds += 1;
            let permille = u64::from(failed) * 1000 / u64::from(second.counts.requests.max(1));
            tally.low_permille = tally.low_permille.min(u32::try_from(permille).unwrap_or(1000));
        }
        tally
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Cause, Failures};

    proptest! {
        #[test]
        fn a_window_knows_its_seconds_and_no_others(
            batches in proptest::collection::vec((0..3000u64, 0..50u32, 0..50u32), 1..80),
            window_s in 1..20u64,
        ) {
            let (mut window, mut now_ms, mut all) = (Window::default(), 0, Vec::new());
            for (pause_ms, requests, failed) in batches {
                now_ms += pause_ms;
                let counts = Counts {
                    requests: requests.max(failed),
                    failures: Failures::of(&[(Cause::Cut, failed)]),
                };
                window.prune(now_ms, window_s);
                window.add(now_ms, &counts);
                all.push((now_ms / 1000, counts));
                let tally = window.whole(now_ms);
                let mut expected = Counts::default();
                for (second, counts) in &all {
                    if now_ms / 1000 - second < window_s {
                        expected.add(counts);
                    }
                }
                prop_assert_eq!(tally.counts, expected);
                prop_assert!(tally.span_s <= window_s);
                prop_assert!(window.len() as u64 <= window_s, "its size is bounded");
            }
        }
    }
}
