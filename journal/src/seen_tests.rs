use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn seen(numbers: &[u64]) -> Seen {
    let mut seen = Seen::default();
    for seq in numbers {
        seen.insert(*seq, seq.saturating_mul(1000));
    }
    seen
}

/// What a plain map of the numbers taken says is missing.
fn holes_of(model: &BTreeMap<u64, u64>) -> Vec<Missing> {
    let mut before: Option<(u64, u64)> = None;
    let mut holes = Vec::new();
    for (&seq, &at_ms) in model {
        let first = before.map_or(1, |(seq, _)| seq + 1);
        if first < seq {
            let before_ms = before.map(|(_, at_ms)| at_ms);
            holes.push(Missing { first, last: seq - 1, before_ms, after_ms: at_ms });
        }
        before = Some((seq, at_ms));
    }
    holes
}

proptest! {
    #[test]
    fn as_a_map_of_all_numbers_would_have_it(told in prop::collection::vec((1_u64..60, 0_u64..1000), 0..120)) {
        let (mut seen, mut model, mut rows) = (Seen::default(), BTreeMap::new(), BTreeMap::new());
        for (seq, at_ms) in told {
            let change = seen.insert(seq, at_ms);
            prop_assert_eq!(change.is_some(), !model.contains_key(&seq));
            model.entry(seq).or_insert(at_ms);
            // The changes alone lead to the same holes: that is how they are written.
            if let Some(change) = change {
                if let Some(first) = change.closed {
                    prop_assert!(rows.remove(&first).is_some());
                }
                for hole in change.opened.into_iter().flatten() {
                    prop_assert!(rows.insert(hole.first, hole).is_none());
                }
            }
            prop_assert_eq!(&rows, &seen.holes);
            prop_assert_eq!(seen.holes.values().copied().collect::<Vec<_>>(), holes_of(&model));
            prop_assert_eq!(seen.taken, model.len() as u64);
            prop_assert_eq!(Some((seen.upto, seen.upto_ms)), model.last_key_value().map(|(a, b)| (*a, *b)));
            prop_assert_eq!(Some(seen.first_ms), model.values().next().copied());
        }
    }
}

#[test]
fn a_worker_is_told_of_as_many_gaps_as_may_be_named() {
    let most = Taken::MISSING_MAX as u64;
    let odd: Vec<u64> = (0..=most).map(|n| 2 * n + 1).collect();
    let all = seen(&odd).taken();
    assert_eq!((all.upto, all.missing.len()), (2 * most + 1, Taken::MISSING_MAX));

    let more = seen(&(0..=most + 5).map(|n| 2 * n + 1).collect::<Vec<_>>()).taken();
    assert_eq!((more.upto, more.missing.len()), (2 * most + 11, Taken::MISSING_MAX));
    assert_eq!(
        (more.missing.first(), more.missing.last()),
        (Some(&(12, 12)), Some(&(2 * most + 10, 2 * most + 10)))
    );
    assert_eq!(Seen::default().taken(), Taken { upto: 0, missing: Vec::new() });
}

#[test]
fn the_greatest_number_there_is() {
    let mut seen = seen(&[u64::MAX]);
    assert!(seen.insert(u64::MAX, 0).is_none());
    assert_eq!(seen.taken().missing, [(1, u64::MAX - 1)]);
}

#[test]
fn holes_are_bounded_and_can_be_filled() {
    let most = HOLES_MAX as u64;
    let full = seen(&(1..=most).map(|n| 2 * n).collect::<Vec<_>>());
    assert_eq!(full.holes.len(), HOLES_MAX);
    assert!(!full.has_room_for(&[2 * most + 2]), "one hole more");
    assert!(full.has_room_for(&[2 * most + 1]), "the next number");
    assert!(full.has_room_for(&[1]), "a hole filled");
    assert!(full.has_room_for(&[1, 2 * most + 2]), "one filled, one new");
    assert!(full.has_room_for(&[2, 4, 6]), "what was there");
}
