//! Whether an ID was given twice. Pure.

use switchboard_range::IdRange;

/// Most repeats that are shown one by one.
const EXAMPLES_MAX: usize = 10;

/// An ID as a caller read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Given {
    /// The ID.
    pub(crate) id: u64,
    /// When, in milliseconds since the callers began.
    pub(crate) at_ms: u32,
    /// By which instance of the fleet, counted from 0.
    pub(crate) instance: u8,
}

/// What the ledgers say in the end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ledgers {
    /// What the instances hold.
    pub(crate) held: Vec<IdRange>,
    /// What the master has not granted.
    pub(crate) ungranted: Vec<IdRange>,
}

/// What came of all that was given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    /// Answers with an ID.
    pub(crate) answered: u64,
    /// Different IDs among them.
    pub(crate) distinct: u64,
    /// Answers with an ID that another answer had before.
    pub(crate) repeats: u64,
    /// Some of these, each with the one before.
    pub(crate) examples: Vec<[Given; 2]>,
    /// Answers with an ID that is not the fleet's.
    pub(crate) outside: u64,
    /// IDs that were given and that a ledger still holds, or that two ledgers hold: these would be given twice.
    pub(crate) threatened: u64,
    /// IDs that were granted to instances.
    pub(crate) granted: u64,
    /// IDs that were granted, and are neither given nor held: gaps.
    pub(crate) lost: u64,
}

/// Looks at all that was `given` of the `whole` range of a fleet.
pub(crate) fn look(mut given: Vec<Given>, whole: IdRange, ledgers: &Ledgers) -> Findings {
    given.sort_unstable_by_key(|given| (given.id, given.at_ms));
    let repeats = given.windows(2).filter(|two| two[0].id == two[1].id);
    let examples = repeats.clone().filter_map(|two| two.first_chunk().copied()).take(EXAMPLES_MAX);
    let inside =
        |given: &&Given| IdRange::from_numbers(given.id, given.id).is_some_and(|id| whole.overlaps(id));
    let mut found = Findings {
        answered: given.len() as u64,
        repeats: repeats.clone().count() as u64,
        examples: examples.collect(),
        outside: (given.len() - given.iter().filter(inside).count()) as u64,
        ..Findings::default()
    };
    found.distinct = found.answered - found.repeats;
    given.dedup_by_key(|given| given.id);
    let all = ledgers.held.iter().chain(&ledgers.ungranted);
    let given_of = |range: &IdRange| {
        let below = |bound: u64| given.partition_point(|given| given.id < bound);
        let upto = given.partition_point(|given| given.id <= range.last().get());
        (upto - below(range.first().get())) as u64
    };
    found.threatened = all.map(given_of).sum::<u64>() + held_twice(ledgers);
    found.granted = whole.count().saturating_sub(count(&ledgers.ungranted));
    found.lost = found.granted.saturating_sub(count(&ledgers.held)).saturating_sub(found.distinct);
    found
}

fn count(ranges: &[IdRange]) -> u64 {
    ranges.iter().map(|range| range.count()).sum()
}

/// IDs that a ledger holds and another, or the same again, holds as well.
fn held_twice(ledgers: &Ledgers) -> u64 {
    let mut all: Vec<_> = ledgers.held.iter().chain(&ledgers.ungranted).collect();
    all.sort_unstable_by_key(|range| range.first());
    let (mut seen_to, mut twice) = (0, 0);
    for range in all {
        let (first, last) = (range.first().get(), range.last().get());
        if first <= seen_to {
            twice += last.min(seen_to) - first + 1;
        }
        seen_to = seen_to.max(last);
    }
    twice
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{HashMap, HashSet};

    fn range(first: u64, last: u64) -> IdRange {
        IdRange::from_numbers(first, last).unwrap()
    }

    fn given(ids: impl IntoIterator<Item = u64>) -> Vec<Given> {
        ids.into_iter().zip(0..).map(|(id, at_ms)| Given { id, at_ms, instance: 0 }).collect()
    }

    #[test]
    fn gaps_are_what_was_granted_and_is_nowhere() {
        let ledgers = Ledgers { held: vec![range(5, 6)], ungranted: vec![range(11, 100)] };
        let found = look(given([3, 1, 9]), range(1, 100), &ledgers);
        let clean = Findings { answered: 3, distinct: 3, granted: 10, lost: 5, ..Findings::default() };
        assert_eq!(found, clean);
    }

    #[test]
    fn what_would_be_given_twice_is_found_before_it_is() {
        let ledgers = |held: &[_]| Ledgers { held: held.to_vec(), ungranted: vec![range(11, 100)] };
        let threatened = |ids: &[u64], held: &[_]| {
            look(given(ids.iter().copied()), range(1, 100), &ledgers(held)).threatened
        };
        assert_eq!(threatened(&[1, 4, 7, 10], &[range(2, 3), range(5, 6), range(8, 9)]), 0);
        assert_eq!(threatened(&[4, 6, 6], &[range(4, 6)]), 2);
        assert_eq!(threatened(&[11], &[]), 1, "the master would grant it again");
        assert_eq!(threatened(&[1], &[range(4, 6), range(6, 8), range(9, 12)]), 3);
        assert_eq!(threatened(&[], &[range(4, 9), range(5, 6), range(7, 7)]), 3);
    }

    #[test]
    fn the_ends_of_the_fleets_range_are_inside() {
        let outside = |id| look(given([id]), range(5, u64::MAX - 1), &Ledgers::default()).outside;
        assert_eq!([4, 5, u64::MAX - 1, u64::MAX, 0].map(outside), [1, 0, 0, 1, 1]);
    }

    proptest! {
        #[test]
        fn repeats_are_counted_and_shown(ids in prop::collection::vec(1u64..50, 0..60)) {
            let found = look(given(ids.clone()), range(1, 50), &Ledgers::default());
            let distinct: HashSet<u64> = ids.iter().copied().collect();
            prop_assert_eq!(found.distinct, distinct.len() as u64);
            prop_assert_eq!(found.repeats, (ids.len() - distinct.len()) as u64);
            prop_assert_eq!(found.examples.len() as u64, found.repeats.min(EXAMPLES_MAX as u64));
            let mut times: HashMap<u64, u32> = HashMap::new();
            for [before, after] in found.examples {
                prop_assert_eq!(before.id, after.id);
                prop_assert!(before.at_ms < after.at_ms);
                *times.entry(after.id).or_default() += 1;
            }
            for (id, shown) in times {
                prop_assert!(ids.iter().filter(|other| **other == id).count() as u32 > shown);
            }
        }
    }
}
