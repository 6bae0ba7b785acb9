//! Where a sample belongs: next, late, or not yet. Pure rules.

use std::collections::BTreeMap;

use switchboard_fleet::report::Sample;

use crate::layout::{HEARTBEAT_S, STEP_S};

/// A sample may be so many seconds ahead of our clock and is still written at once.
pub(crate) const AHEAD_S: i64 = 90;
/// A sample so many seconds ahead is refused: it would wait for a time that may never come.
const TOO_FAR_S: i64 = 86_400;
/// A sample so many seconds old is refused, even by an archive that has nothing yet.
const TOO_OLD_S: i64 = 400 * 86_400;
/// So many samples of a tail are kept when it is cut: the last of them within so many seconds.
pub(crate) const KEPT_S: i64 = 86_400;
/// A tail with so many samples is cut.
pub(crate) const TAIL_SAMPLES: usize = 2 * 1440;

/// What is to be done with a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// It comes after all that was written.
    Next,
    /// Something after it was written already.
    Late,
    /// Its time has not come.
    Held,
    /// What follows it cannot be written again; the oldest time that can.
    TooOld(i64),
    /// It is more than a day ahead.
    TooFar,
}

/// Where a sample of `at_s` belongs in an archive that was last written at `newest_s` and can be written again from `oldest_s` on.
pub(crate) fn place(now_s: i64, at_s: i64, oldest_s: Option<i64>, newest_s: Option<i64>) -> Place {
    let oldest_s = oldest_s.map_or(now_s - TOO_OLD_S, |oldest| (oldest + 1).max(now_s - TOO_OLD_S));
    if at_s < oldest_s {
        Place::TooOld(oldest_s)
    } else if at_s - now_s > TOO_FAR_S {
        Place::TooFar
    } else if at_s - now_s > AHEAD_S {
        Place::Held
    } else if newest_s.is_some_and(|newest| at_s <= newest) {
        Place::Late
    } else {
        Place::Next
    }
}

/// The updates that bring `samples` into an archive last written at `last_s`: each in its order. After a gap an empty update comes
/// first, so that the minute before the sample is known and no more than that: a sample speaks for the minute that ended at its time.
pub(crate) fn updates(last_s: i64, samples: &BTreeMap<i64, Sample>) -> Vec<(i64, Option<Sample>)> {
    let mut last_s = last_s;
    let mut updates = Vec::with_capacity(samples.len());
    for (at_s, sample) in samples.range(last_s + 1..) {
        if at_s - last_s > i64::from(HEARTBEAT_S) {
            updates.push((at_s - STEP_S, None));
        }
        updates.push((*at_s, Some(*sample)));
        last_s = *at_s;
    }
    updates
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: i64 = 1_700_000_000;

    #[test]
    fn each_place_at_its_edge() {
        let place_of = |at_s| place(NOW, at_s, Some(NOW - 7200), Some(NOW - 60));
        assert_eq!(place_of(NOW), Place::Next);
        assert_eq!(place_of(NOW - 59), Place::Next);
        assert_eq!(place_of(NOW - 60), Place::Late);
        assert_eq!(place_of(NOW - 7199), Place::Late);
        assert_eq!(place_of(NOW - 7200), Place::TooOld(NOW - 7199));
        assert_eq!(place_of(NOW + 90), Place::Next);
        assert_eq!(place_of(NOW + 91), Place::Held);
        assert_eq!(place_of(NOW + 86_400), Place::Held);
        assert_eq!(place_of(NOW + 86_401), Place::TooFar);
        assert_eq!(place(NOW, NOW - TOO_OLD_S, None, None), Place::Next);
        assert_eq!(place(NOW, NOW - TOO_OLD_S - 1, None, None), Place::TooOld(NOW - TOO_OLD_S));
        assert!(matches!(place(NOW, i64::MIN, None, None), Place::TooOld(_)));
    }

    proptest! {
        #[test]
        fn updates_ascend_and_leave_nothing_out(times in prop::collection::btree_set(NOW..NOW + 5000, 0..40), last in NOW - 200..NOW + 5000) {
            let samples = times.iter().map(|at_s| (*at_s, Sample::default())).collect();
            let updates = updates(last, &samples);
            let mut before = last;
            for (at_s, _) in &updates {
                prop_assert!(*at_s > before);
                prop_assert!(at_s - before <= 120 || updates.iter().any(|(other, sample)| other == at_s && sample.is_none()));
                before = *at_s;
            }
            let written: Vec<_> = updates.iter().filter(|(_, sample)| sample.is_some()).map(|(at_s, _)| *at_s).collect();
            let expected: Vec<_> = times.range(last + 1..).copied().collect();
            prop_assert_eq!(written, expected);
        }
    }
}
