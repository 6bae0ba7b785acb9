use std::fs;

use super::*;
use proptest::prelude::*;

const NOW_MS: u64 = 1_790_000_000_000;
const MARK: &str = "2 912 26019362 80000000 eu.example.net/8081";

fn range(first: u64, last: u64) -> IdRange {
    IdRange::from_numbers(first, last).unwrap()
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("some.ledger");
    (folder, path)
}

/// Takes the checksum's line away.
fn spoil(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let spoilt = text[..text.rfind("sha256").unwrap()].to_owned();
    fs::write(path, &spoilt).unwrap();
    spoilt
}

#[test]
fn an_instance_goes_on_empty_and_knows_what_it_knew() {
    let (_folder, path) = place();
    let mut ledger = Ledger::open(&path, Kind::Instance).unwrap();
    ledger.add(range(100, 199), MARK.parse().ok().as_ref()).unwrap();
    assert!(matches!(repair_instance(&path, NOW_MS), Err(LedgerError::InUse { .. })));
    drop(ledger);
    let spoilt = spoil(&path);
    let error = Ledger::open(&path, Kind::Instance).unwrap_err();
    assert!(error.to_string().contains("run `switchboard range repair PORT`"), "{error}");
    let repaired = repair_instance(&path, NOW_MS).unwrap();
    assert_eq!(repaired.salvage, salvage(repaired.aside.as_ref().unwrap()));
    assert_eq!(repaired.salvage.generation, 1);
    assert_eq!(fs::read_to_string(repaired.aside.unwrap()).unwrap(), spoilt);
    let ledger = Ledger::open(&path, Kind::Instance).unwrap();
    assert_eq!((ledger.left(), ledger.generation()), (0, NOW_MS));
    assert_eq!(ledger.known(), MARK.parse().ok().as_ref());
}

#[test]
fn a_second_repair_goes_on_from_the_first_even_if_the_clock_went_back() {
    let (_folder, path) = place();
    let first = repair_instance(&path, NOW_MS).unwrap();
    assert_eq!((first.aside, first.salvage), (None, Salvage::default()), "there was no file");
    let second = repair_instance(&path, 5).unwrap();
    assert_eq!(second.record.generation, NOW_MS + 1);
}

#[test]
fn a_master_goes_on_above_all_that_may_have_been_granted() {
    let (_folder, path) = place();
    let mut master = Ledger::init_master(&path, range(1, 1000)).unwrap();
    master.take(100).unwrap();
    drop(master);
    let spoilt = spoil(&path);
    let whole = range(1, 1000);
    for (epoch, granted_to, said) in [(2, 99, "up to 100, not 99"), (1, 100, "epoch 1, not below 1")] {
        let error = repair_master(&path, epoch, granted_to, whole, NOW_MS).unwrap_err();
        assert!(matches!(&error, LedgerError::Backwards { reason, .. } if reason.contains(said)), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), spoilt);
    }
    let repaired = repair_master(&path, 2, 300, whole, NOW_MS).unwrap();
    assert!(repaired.aside.is_some());
    let mut master = Ledger::open(&path, Kind::Master).unwrap();
    assert_eq!((master.epoch(), master.generation(), master.whole()), (2, NOW_MS, Some(whole)));
    assert_eq!(master.take(1).unwrap(), Some(range(301, 301)));
}

#[test]
fn a_master_without_a_file() {
    let (_folder, path) = place();
    let repaired = repair_master(&path, 7, 0, range(10, 20), NOW_MS).unwrap();
    assert_eq!((repaired.aside, repaired.record.holdings.left()), (None, 11));
    let repaired = repair_master(&path, 8, 20, range(10, 20), NOW_MS).unwrap();
    assert_eq!((repaired.record.holdings.left(), repaired.record.whole), (0, Some(range(10, 20))));
    assert_eq!(
        repair_master(&path, 9, u64::MAX, range(10, 20), NOW_MS + 1).unwrap().record.holdings.left(),
        0
    );
}

#[test]
fn a_master_that_was_sealed_counts_the_moves_epoch() {
    let (_folder, path) = place();
    let mut master = Ledger::init_master(&path, range(1, 1000)).unwrap();
    let to = switchboard_fleet::InstanceName { server: "b".parse().unwrap(), port: 1 };
    master.seal(&to).unwrap();
    drop(master);
    for spoilt in [false, true] {
        if spoilt {
            spoil(&path);
        }
        assert_eq!(salvage(&path).epoch, 2);
        let error = repair_master(&path, 2, 500, range(1, 1000), NOW_MS).unwrap_err();
        assert!(matches!(error, LedgerError::Backwards { .. }), "{error}");
    }
    repair_master(&path, 3, 500, range(1, 1000), NOW_MS).unwrap();
    assert_eq!(Ledger::open(&path, Kind::Master).unwrap().moved(), None);
}

#[test]
fn one_kind_is_not_repaired_as_the_other() {
    let (_folder, path) = place();
    drop(Ledger::init_master(&path, range(1, 1000)).unwrap());
    spoil(&path);
    assert!(matches!(repair_instance(&path, NOW_MS), Err(LedgerError::Foreign { .. })));
}

#[test]
fn what_was_being_written_counts_too() {
    let (_folder, path) = place();
    let mut master = Ledger::init_master(&path, range(1, 1000)).unwrap();
    let old = fs::read(&path).unwrap();
    master.take(100).unwrap();
    fs::copy(&path, disk::beside(&path, ".new")).unwrap();
    fs::write(&path, old).unwrap();
    let found = salvage(&path);
    assert_eq!((found.kind, found.generation, found.epoch), (Some(Kind::Master), 2, 1));
    assert_eq!((found.whole, found.granted_to), (Some(range(1, 1000)), 100));
    fs::write(&path, "").unwrap();
    assert_eq!(salvage(&path), found);
}

#[test]
fn a_used_up_master_of_the_first_version_shows_nothing() {
    let (_folder, path) = place();
    fs::write(&path, text::sealed("switchboard-ledger v1 master\ngeneration 9\n".into())).unwrap();
    assert_eq!((salvage(&path).whole, salvage(&path).granted_to), (None, 0));
    let repaired = repair_master(&path, 2, 2000, range(1, 3000), NOW_MS).unwrap();
    assert_eq!(repaired.record.holdings.left(), 1000);
}

#[test]
fn nonsense_in_a_damaged_file_is_not_believed() {
    let (_folder, path) = place();
    let lines = "generation 18446744073709551615\nepoch 9223372036854775807\nwhole 10 20\n21 29\n15 20\n12 1";
    fs::write(&path, format!("switchboard-ledger v2 master\n{lines}")).unwrap();
    let found = salvage(&path);
    assert_eq!((found.generation, found.epoch, found.whole), (0, 0, Some(range(10, 20))));
    assert_eq!(found.granted_to, 14, "neither what is outside the whole nor a line without an end");
    fs::write(&path, "26018363\n80000000\n").unwrap();
    assert_eq!((salvage(&path).kind, salvage(&path).granted_to), (None, 26_018_362));
}

#[test]
fn what_cannot_be_read_is_not_repaired() {
    let (_folder, path) = place();
    fs::create_dir(&path).unwrap();
    assert_eq!(salvage(&path), Salvage::default());
    assert!(matches!(repair_instance(&path, NOW_MS), Err(LedgerError::Write { .. })));
    assert!(path.is_dir());
}

proptest! {
    #[test]
    fn no_file_makes_salvaging_fail_badly(bytes: Vec<u8>, text in "(switchboard-ledger v2 master\n|generation |epoch |whole |moved |master |[0-9]{1,20}|[ \n/a])*") {
        for content in [bytes, text.into_bytes()] {
            let (_folder, path) = place();
            fs::write(&path, &content).unwrap();
            let found = salvage(&path);
            let whole = found.whole.unwrap_or(range(1, u64::MAX));
            let repaired = repair_master(&path, found.epoch + 1, found.granted_to, whole, NOW_MS);
            match repaired {
                Ok(repaired) => {
                    prop_assert!(repaired.record.generation > found.generation);
                    prop_assert!(repaired.record.holdings.ranges().all(|left| left.first().get() > found.granted_to));
                    prop_assert!(Ledger::open(&path, Kind::Master).is_ok());
                }
                Err(error) => prop_assert!(matches!(error, LedgerError::Foreign { .. }), "{error}"),
            }
        }
    }
}
