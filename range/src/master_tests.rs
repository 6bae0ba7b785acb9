use std::path::PathBuf;

use super::*;
use proptest::prelude::*;

fn range(first: u64, last: u64) -> IdRange {
    IdRange::from_numbers(first, last).unwrap()
}

fn name(server: &str) -> InstanceName {
    InstanceName { server: server.parse().unwrap(), port: 8081 }
}

/// A master with 100 to 199, and where another's ledger may be.
fn servers() -> (tempfile::TempDir, Ledger, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::init_master(&folder.path().join("a/master.ledger"), range(100, 199)).unwrap();
    let other = folder.path().join("b/master.ledger");
    (folder, ledger, other)
}

fn reopened(ledger: Ledger) -> Ledger {
    let path = ledger.path().to_owned();
    drop(ledger);
    Ledger::open(&path, Kind::Master).unwrap()
}

#[test]
fn a_mark_says_how_far_the_ledger_is() {
    let (_folder, mut ledger, _) = servers();
    let said = |ledger: &Ledger| ledger.mark(&name("a")).to_string();
    assert_eq!(said(&ledger), "1 1 99 199 a/8081");
    ledger.take(10).unwrap();
    assert_eq!(said(&ledger), "1 2 109 199 a/8081");
    ledger.claim().unwrap();
    let mut ledger = reopened(ledger);
    assert_eq!(said(&ledger), "1 3 109 199 a/8081");
    assert_eq!((ledger.epoch(), ledger.whole()), (1, Some(range(100, 199))));
    ledger.take(1000).unwrap();
    assert_eq!(said(&ledger), "1 4 199 199 a/8081");
    assert_eq!(ledger.whole(), Some(range(100, 199)), "though nothing is left");
}

#[test]
fn more_ids_at_the_master_make_the_whole_larger() {
    let (_folder, mut ledger, _) = servers();
    ledger.take(10).unwrap();
    ledger.add(range(300, 399), None).unwrap();
    assert_eq!(ledger.whole(), Some(range(100, 399)));
    assert_eq!(ledger.mark(&name("a")).granted_to, 299, "nothing says that what lies between is free");
}

#[test]
fn a_sealed_ledger_grants_nothing_and_says_where_the_range_is() {
    let (_folder, mut ledger, _) = servers();
    ledger.take(10).unwrap();
    let before = ledger.mark(&name("a"));
    let handover = ledger.seal(&name("b")).unwrap();
    assert_eq!((handover.epoch, handover.holdings.left(), &handover.to), (2, 90, &name("b")));
    let mut ledger = reopened(ledger);
    for error in [ledger.take(1).unwrap_err(), ledger.cut(1).unwrap_err(), ledger.claim().unwrap_err()] {
        assert!(error.to_string().contains("has moved to the master b/8081"), "{error}");
    }
    assert!(ledger.add(range(500, 501), None).is_err());
    assert_eq!((ledger.left(), ledger.moved().map(|moved| moved.pending)), (0, Some(true)));
    assert!(ledger.mark(&name("a")).is_newer_than(&before));
    assert_eq!(ledger.mark(&name("a")).to_string(), "2 0 109 199 b/8081");
    assert_eq!(ledger.seal(&name("b")).unwrap(), handover, "again, after a start");
    assert!(matches!(ledger.seal(&name("c")), Err(LedgerError::Moved { to, .. }) if to == name("b")));
    ledger.handed_over().unwrap();
    let mut ledger = reopened(ledger);
    assert_eq!((ledger.holdings().left(), ledger.moved().map(|moved| moved.pending)), (0, Some(false)));
    assert!(
        matches!(ledger.seal(&name("b")), Err(LedgerError::Moved { .. })),
        "there is nothing to hand over"
    );
    let generation = ledger.generation();
    ledger.handed_over().unwrap();
    assert_eq!(ledger.generation(), generation);
}

#[test]
fn a_handover_is_received_once() {
    let (_folder, mut a, path) = servers();
    let handover = a.seal(&name("b")).unwrap();
    let sealed = a.mark(&name("a"));
    let mut b = Ledger::receive(&path, &handover).unwrap();
    assert!(b.mark(&name("b")).is_newer_than(&sealed));
    assert_eq!((b.epoch(), b.generation(), b.whole()), (2, handover.generation + 1, a.whole()));
    assert_eq!(b.take(10).unwrap(), Some(range(100, 109)));
    b.take_over(&handover).unwrap();
    assert_eq!(b.left(), 90);
    drop(b);
    let b = Ledger::receive(&path, &handover).unwrap();
    assert_eq!((b.left(), b.generation()), (90, handover.generation + 2));
}

#[test]
fn a_range_comes_back() {
    let (_folder, mut a, path) = servers();
    let there = a.seal(&name("b")).unwrap();
    a.handed_over().unwrap();
    let mut b = Ledger::receive(&path, &there).unwrap();
    b.take(10).unwrap();
    let back = b.seal(&name("a")).unwrap();
    assert!(matches!(b.take_over(&back), Err(LedgerError::Moved { .. })), "it went out from there");
    a.take_over(&back).unwrap();
    b.handed_over().unwrap();
    let mut a = reopened(a);
    assert_eq!((a.epoch(), a.moved()), (3, None));
    assert_eq!(a.take(5).unwrap(), Some(range(110, 114)));
    a.take_over(&back).unwrap();
    a.take_over(&there).unwrap();
    assert_eq!(a.left(), 85);
}

#[test]
fn a_ledger_in_use_is_not_taken_over() {
    let (folder, mut a, _) = servers();
    let handover = a.seal(&name("b")).unwrap();
    let path = folder.path().join("c/master.ledger");
    let mut other = Ledger::init_master(&path, range(1, 9)).unwrap();
    assert!(matches!(other.take_over(&handover), Err(LedgerError::Exists { .. })));
    assert!(matches!(Ledger::receive(&path, &handover), Err(LedgerError::InUse { .. })));
    drop(other);
    assert!(matches!(Ledger::receive(&path, &handover), Err(LedgerError::Exists { .. })));
    assert_eq!(Ledger::open(&path, Kind::Master).unwrap().left(), 9);
}

#[test]
fn an_instances_range_is_not_handed_over() {
    let (folder, mut a, _) = servers();
    let handover = a.seal(&name("b")).unwrap();
    let mut own = Ledger::open(&folder.path().join("range.ledger"), Kind::Instance).unwrap();
    own.add(range(5, 6), None).unwrap();
    assert!(matches!(own.seal(&name("b")), Err(LedgerError::Foreign { .. })));
    assert!(matches!(own.take_over(&handover), Err(LedgerError::Foreign { .. })));
    assert_eq!((own.left(), own.epoch()), (2, 0));
}

proptest! {
    #[test]
    fn nothing_above_what_a_mark_says_was_given(
        first in 1u64..50,
        length in 1u64..200,
        gives in proptest::collection::vec((0u64..60, any::<bool>()), 0..10),
    ) {
        let whole = range(first, first + length);
        let mut holdings = Holdings::default();
        holdings.add(whole).unwrap();
        let mut highest = first - 1;
        for (n, back) in gives {
            let given = if back { holdings.cut(n) } else { holdings.take(n) };
            highest = given.map_or(highest, |given| highest.max(given.last().get()));
        }
        prop_assert_eq!(granted_to(whole, &holdings), highest);
    }
}
