use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn range(first: u64, last: u64) -> IdRange {
    IdRange::from_numbers(first, last).unwrap()
}

fn given(scattered: Scattered) -> Vec<u64> {
    scattered.map(CustomerId::get).collect()
}

/// Ranges short enough to be given whole, at both ends of the numbers.
fn short() -> impl Strategy<Value = IdRange> {
    let first = prop_oneof![1u64..1000, u64::MAX - 1000..=u64::MAX];
    (first, 0u64..200).prop_map(|(first, more)| range(first, first.saturating_add(more)))
}

proptest! {
    // Each case enciphers some hundred IDs.
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn every_id_is_given_once(range in short(), key: [u8; 16]) {
        let ids = given(Scattered::new(range, &key));
        prop_assert_eq!(ids.len() as u64, range.count());
        let distinct: BTreeSet<u64> = ids.into_iter().collect();
        let all: BTreeSet<u64> = range.ids().map(CustomerId::get).collect();
        prop_assert_eq!(distinct, all);
    }

    #[test]
    fn what_is_left_is_counted(range in short(), key: [u8; 16], taken in 0usize..250) {
        let mut scattered = Scattered::new(range, &key);
        let got = scattered.by_ref().take(taken).count() as u64;
        prop_assert_eq!(scattered.left(), range.count() - got);
        prop_assert_eq!(scattered.size_hint(), (scattered.left() as usize, Some(scattered.left() as usize)));
        prop_assert_eq!(scattered.count() as u64, range.count() - got);
    }

    #[test]
    fn a_key_has_one_order(range in short(), key: Vec<u8>) {
        prop_assert_eq!(given(Scattered::new(range, &key)), given(Scattered::new(range, &key)));
    }

    #[test]
    fn ids_of_large_ranges_lie_in_them_and_differ(a in 1u64.., b in 1u64.., key: [u8; 16]) {
        let range = range(a.min(b), a.max(b));
        let ids: Vec<u64> = given_few(range, &key);
        prop_assert!(ids.iter().all(|id| (range.first().get()..=range.last().get()).contains(id)));
        prop_assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
    }
}

fn given_few(range: IdRange, key: &[u8]) -> Vec<u64> {
    Scattered::new(range, key).take(50).map(CustomerId::get).collect()
}

#[test]
fn the_smallest_and_the_largest_ranges() {
    assert_eq!(given(Scattered::new(range(7, 7), b"k")), [7]);
    assert_eq!(given(Scattered::new(range(u64::MAX, u64::MAX), b"k")), [u64::MAX]);
    let mut all = Scattered::new(range(1, u64::MAX), b"k");
    assert_eq!(all.left(), u64::MAX);
    assert_eq!(all.by_ref().take(100).collect::<BTreeSet<_>>().len(), 100);
    assert_eq!(all.left(), u64::MAX - 100);
}

#[test]
fn the_last_id_ends_it() {
    let mut scattered = Scattered::new(range(5, 6), b"k");
    assert_eq!(scattered.by_ref().count(), 2);
    assert_eq!((scattered.next(), scattered.left()), (None, 0));
}

#[test]
fn other_keys_and_other_ranges_have_other_orders() {
    let order = |first: u64, key: &[u8]| -> Vec<u64> {
        given(Scattered::new(range(first, first + 999), key)).into_iter().map(|id| id - first).collect()
    };
    let orders = [order(1, b"a"), order(1, b"b"), order(1, b""), order(1001, b"a"), order(1, &[b'a'; 200])];
    assert_eq!(orders.iter().collect::<BTreeSet<_>>().len(), orders.len());
}

/// Fixed keys, so that these figures are the same in every run. In a random order of 4096 IDs about 2 follow their neighbour,
/// and hardly any step from one ID to the next occurs more than 7 times.
#[test]
fn the_next_id_does_not_follow_from_the_last() {
    for key in [&b"first"[..], b"second", b"third"] {
        let ids = given(Scattered::new(range(10_000, 14_095), key));
        let mut steps: Vec<u64> = ids.windows(2).map(|two| two[1].wrapping_sub(two[0])).collect();
        let neighbours = steps.iter().filter(|step| [1, u64::MAX].contains(step)).count();
        assert!(neighbours < 20, "{neighbours} of 4095 are neighbours");
        steps.sort_unstable();
        let most = steps.chunk_by(|a, b| a == b).map(<[u64]>::len).max().unwrap();
        assert!(most < 20, "one step occurs {most} times");
        let upwards = ids.windows(2).filter(|two| two[0] < two[1]).count();
        assert!((1800..2300).contains(&upwards), "{upwards} of 4095 steps go up");
    }
}

/// Each ID comes first under some key: a small range is not kept from any beginning.
#[test]
fn any_id_may_be_the_first() {
    let firsts: BTreeSet<_> =
        (0u32..400).filter_map(|key| Scattered::new(range(1, 10), &key.to_be_bytes()).next()).collect();
    assert_eq!(firsts.len(), 10);
}

#[test]
fn the_key_is_not_shown() {
    let shown = format!("{:?}", Scattered::new(range(1, 10), b"secret"));
    assert_eq!(shown, "Scattered { range: IdRange { first: 1, last: 10 }, left: 10, .. }");
}
