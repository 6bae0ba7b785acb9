use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn range(first: u64, last: u64) -> IdRange {
    IdRange::from_numbers(first, last).unwrap()
}

fn holding(ranges: &[(u64, u64)]) -> Holdings {
    let mut holdings = Holdings::default();
    for (first, last) in ranges {
        holdings.add(range(*first, *last)).unwrap();
    }
    holdings
}

#[derive(Debug, Clone)]
enum Event {
    Add(u64, u64),
    Take(u64),
    Cut(u64),
}

fn event() -> impl Strategy<Value = Event> {
    // Few IDs, so that histories meet their own ranges; near both ends of the numbers.
    let id = prop_oneof![1u64..200, u64::MAX - 200..=u64::MAX];
    prop_oneof![
        (id, 0u64..60).prop_map(|(first, more)| Event::Add(first, first.saturating_add(more))),
        (0u64..50).prop_map(Event::Take),
        (0u64..50).prop_map(Event::Cut),
    ]
}

proptest! {
    #[test]
    fn what_is_given_was_added_and_is_given_once(events in proptest::collection::vec(event(), 0..60)) {
        let mut holdings = Holdings::default();
        // An ID that was given may be added again: that a granted range is new is the granter's duty.
        let mut held: BTreeSet<u64> = BTreeSet::new();
        for event in events {
            match event {
                Event::Add(first, last) => {
                    let added = range(first, last);
                    let meets = held.range(first..=last).next().is_some();
                    prop_assert_eq!(holdings.add(added).is_err(), meets);
                    if !meets {
                        held.extend(added.ids().map(CustomerId::get));
                    }
                }
                Event::Take(n) | Event::Cut(n) => {
                    let given = if matches!(event, Event::Take(_)) { holdings.take(n) } else { holdings.cut(n) };
                    prop_assert_eq!(given.is_none(), n == 0 || held.is_empty());
                    if let Some(given) = given {
                        prop_assert!(given.count() <= n);
                        prop_assert!(given.ids().all(|id| held.remove(&id.get())));
                    }
                }
            }
            prop_assert_eq!(holdings.left(), held.len() as u64);
            let listed: BTreeSet<u64> = holdings.ranges().flat_map(IdRange::ids).map(CustomerId::get).collect();
            prop_assert_eq!(&listed, &held);
        }
    }

    #[test]
    fn a_range_knows_its_size_and_its_neighbours(a in 1u64.., b in 1u64.., c in 1u64.., d in 1u64..) {
        let (x, y) = (range(a.min(b), a.max(b)), range(c.min(d), c.max(d)));
        prop_assert_eq!(u128::from(x.count()), u128::from(a.max(b)) - u128::from(a.min(b)) + 1);
        let common = a.min(b).max(c.min(d)) <= a.max(b).min(c.max(d));
        prop_assert_eq!(x.overlaps(y), common);
        prop_assert_eq!(y.overlaps(x), common);
    }
}

#[test]
fn what_is_no_range() {
    assert_eq!(IdRange::from_numbers(2, 1), None);
    assert_eq!(IdRange::from_numbers(0, 1), None);
    assert_eq!(range(u64::MAX, u64::MAX).count(), 1);
    assert_eq!(range(1, u64::MAX).count(), u64::MAX);
}

#[test]
fn the_front_is_given_and_the_back_is_cut() {
    let mut holdings = holding(&[(10, 19), (50, 59)]);
    assert_eq!(holdings.take(3), Some(range(10, 12)));
    assert_eq!(holdings.cut(3), Some(range(57, 59)));
    assert_eq!(holdings.take(100), Some(range(13, 19)), "one range at a time");
    assert_eq!(holdings.cut(100), Some(range(50, 56)));
    assert_eq!((holdings.take(1), holdings.cut(1)), (None, None));
}

#[test]
fn all_ids_there_are() {
    let mut holdings = holding(&[(1, u64::MAX)]);
    assert_eq!(holdings.left(), u64::MAX);
    assert_eq!(holdings.cut(1), Some(range(u64::MAX, u64::MAX)));
    assert_eq!(holdings.take(u64::MAX), Some(range(1, u64::MAX - 1)));
    assert_eq!(holdings.left(), 0);
}

#[test]
fn neighbours_become_one_and_separate_ranges_are_bounded() {
    assert_eq!(holding(&[(1, 5), (6, 9)]).ranges().collect::<Vec<_>>(), [range(1, 9)]);
    let mut holdings = Holdings::default();
    for n in 1..=Holdings::RANGES_MAX as u64 {
        holdings.add(range(2 * n, 2 * n)).unwrap();
    }
    let full = holdings.clone();
    assert_eq!(holdings.add(range(1, 1)), Err(AddError::TooMany));
    assert_eq!(holdings, full);
}
