//! Whether a backend is worse than the others, or all are bad alike.

use crate::{Limits, window::Tally};

/// A share of failures is above another one only if it is so by this many standard errors: with 1,000 backends looked at each second,
/// fewer would show differences that are chance.
const ERRORS: f64 = 6.0;

/// The share of failures of the backend in the middle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Middle {
    failed: u32,
    requests: u32,
}

impl Middle {
    /// That of `tallies`: half of the backends are worse, or equal. `None` if there is nothing to compare.
    pub(crate) fn of(tallies: impl Iterator<Item = Tally>) -> Option<Self> {
        let mut all: Vec<Self> =
            tallies.map(|tally| Self { failed: tally.failed(), requests: tally.counts.requests }).collect();
        if all.len() < 2 {
            return None;
        }
        // The lower one of two: when half of them are bad, the other half shows how it should be.
        let middle = (all.len() - 1) / 2;
        let (_, found, _) = all.select_nth_unstable_by(middle, |a, b| a.share().total_cmp(&b.share()));
        Some(*found)
    }

    fn share(&self) -> f64 {
        f64::from(self.failed) / f64::from(self.requests.max(1))
    }

    /// Whether `tally` is so much worse that it is no chance.
    pub(crate) fn is_passed_by(&self, tally: &Tally, limits: &Limits) -> bool {
        // One failure and one success more: none in ten does not mean that there never are any.
        let likely = f64::from(self.failed + 1) / f64::from(self.requests.saturating_add(2));
        let error = (likely * (1.0 - likely) / f64::from(tally.counts.requests.max(1))).sqrt();
        tally.share() > self.share() + limits.margin_share.max(ERRORS * error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cause, Counts, Failures};

    fn tally(failed: u32, requests: u32) -> Tally {
        let failures = Failures::of(&[(Cause::Cut, failed)]);
        Tally { counts: Counts { requests, failures }, ..Tally::default() }
    }

    #[test]
    fn who_stands_out() {
        let table: [(&[(u32, u32)], bool); 10] = [
            // The first one against all.
            (&[(8, 10), (0, 10)], true),
            (&[(12, 40), (0, 40)], true),
            (&[(12, 40), (12, 40)], false),
            (&[(15, 40), (8, 40)], false),
            (&[(150, 500), (100, 500), (100, 500)], false),
            (&[(200, 500), (100, 500), (100, 500)], true),
            // Half of them are as bad, then more than half.
            (&[(12, 40), (12, 40), (0, 40), (0, 40)], true),
            (&[(12, 40), (12, 40), (12, 40), (0, 40)], false),
            (&[(50, 500), (0, 500)], false),
            (&[(51, 500), (0, 500)], true),
        ];
        for (all, out) in table {
            let all: Vec<Tally> = all.iter().map(|(failed, requests)| tally(*failed, *requests)).collect();
            let middle = Middle::of(all.iter().copied()).unwrap();
            assert_eq!(middle.is_passed_by(&all[0], &Limits::default()), out, "{all:?}");
        }
    }

    #[test]
    fn one_alone_is_compared_with_nobody() {
        assert_eq!(Middle::of([tally(5, 10)].into_iter()), None);
    }
}
