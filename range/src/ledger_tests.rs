use super::*;
use crate::Sizing;
use std::fs;

use crate::disk::beside;

fn range(first: u64, last: u64) -> IdRange {
    IdRange::from_numbers(first, last).unwrap()
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("var/8081/range.ledger");
    (folder, path)
}

/// A closed instance's ledger at `path` that holds 100..199.
fn with_hundred(path: &Path) {
    let mut ledger = Ledger::open(path, Kind::Instance).unwrap();
    assert_eq!((ledger.left(), path.exists()), (0, false));
    ledger.add(range(100, 199), None).unwrap();
}

#[test]
fn what_was_given_stays_given() {
    let (_folder, path) = place();
    with_hundred(&path);
    let mut ledger = Ledger::open(&path, Kind::Instance).unwrap();
    assert_eq!(ledger.take(10).unwrap(), Some(range(100, 109)));
    drop(ledger);
    let mut ledger = Ledger::open(&path, Kind::Instance).unwrap();
    assert_eq!(ledger.cut(9).unwrap(), Some(range(191, 199)));
    assert_eq!(ledger.take(1).unwrap(), Some(range(110, 110)));
    assert_eq!((ledger.left(), ledger.generation()), (80, 4));
    assert!(Sizing::new(800, 800).needs_more(ledger.left(), 0.1));
    assert!(!Sizing::new(790, 790).needs_more(ledger.left(), 0.1));
    let record = Ledger::read_only(&path).unwrap();
    assert_eq!(
        (record.kind, record.generation, &record.holdings),
        (Some(Kind::Instance), 4, ledger.holdings())
    );
    assert_eq!(ledger.take(1000).unwrap(), Some(range(111, 190)));
    assert_eq!((ledger.take(1).unwrap(), ledger.cut(1).unwrap()), (None, None));
    assert_eq!(ledger.generation(), 5, "nothing given, nothing written");
}

#[test]
fn a_crash_while_writing_leaves_the_old_ledger() {
    let (_folder, path) = place();
    with_hundred(&path);
    let old = Ledger::read_only(&path).unwrap();
    let next = text::encode(&Record { generation: 2, ..Record::empty(Kind::Instance) });
    for written in 0..=next.len() {
        fs::write(beside(&path, ".new"), &next[..written]).unwrap();
        let ledger = Ledger::open(&path, Kind::Instance).unwrap();
        assert_eq!(ledger.holdings(), &old.holdings, "crash after byte {written}");
    }
    let mut ledger = Ledger::open(&path, Kind::Instance).unwrap();
    assert_eq!(ledger.take(1).unwrap(), Some(range(100, 100)), "what lies beside is no hindrance");
    assert!(!beside(&path, ".new").exists());
}

#[test]
fn a_cut_file_is_an_error_and_never_absent() {
    let (_folder, path) = place();
    with_hundred(&path);
    let whole = fs::read(&path).unwrap();
    for end in 0..whole.len() {
        fs::write(&path, &whole[..end]).unwrap();
        for (kind, cost) in [
            (Kind::Instance, "the instance's remaining IDs are lost"),
            (Kind::Master, "repair PORT --master`"),
        ] {
            let error = Ledger::open(&path, kind).unwrap_err();
            assert!(matches!(error, LedgerError::Damaged { .. }), "cut at {end}: {error}");
            assert!(error.to_string().contains(cost), "{error}");
        }
    }
    fs::write(&path, [0xff, 0xfe]).unwrap();
    assert!(matches!(Ledger::open(&path, Kind::Instance), Err(LedgerError::Damaged { .. })));
    fs::write(&path, vec![b'1'; FILE_BYTES_MAX as usize + 1]).unwrap();
    assert!(matches!(Ledger::read_only(&path), Err(LedgerError::Damaged { .. })));
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(matches!(Ledger::open(&path, Kind::Instance), Err(LedgerError::Read { .. })));
}

#[test]
fn nothing_is_given_that_is_not_written() {
    let (_folder, path) = place();
    with_hundred(&path);
    let mut ledger = Ledger::open(&path, Kind::Instance).unwrap();
    fs::create_dir(beside(&path, ".new")).unwrap();
    assert!(matches!(ledger.take(5), Err(LedgerError::Write { .. })));
    assert!(matches!(ledger.add(range(500, 501), None), Err(LedgerError::Write { .. })));
    assert_eq!(ledger.left(), 100);
    fs::remove_dir(beside(&path, ".new")).unwrap();
    assert_eq!(ledger.take(5).unwrap(), Some(range(100, 104)));
}

#[test]
fn a_range_held_already_is_refused() {
    let (_folder, path) = place();
    with_hundred(&path);
    let mut ledger = Ledger::open(&path, Kind::Instance).unwrap();
    let error = ledger.add(range(199, 300), None).unwrap_err();
    assert!(
        error.to_string().ends_with("range 199..300 overlaps 100..199, which is held already"),
        "{error}"
    );
    assert_eq!((ledger.left(), ledger.generation()), (100, 1));
}

#[test]
fn a_master_is_made_once_and_on_purpose() {
    let (_folder, path) = place();
    let error = Ledger::open(&path, Kind::Master).unwrap_err();
    assert!(error.to_string().contains("switchboard range init --from A --to B"), "{error}");
    let mut master = Ledger::init_master(&path, range(26_018_363, 80_000_000)).unwrap();
    assert_eq!(master.take(1000).unwrap(), Some(range(26_018_363, 26_019_362)));
    drop(master);
    assert!(matches!(Ledger::init_master(&path, range(1, 2)), Err(LedgerError::Exists { .. })));
    let master = Ledger::open(&path, Kind::Master).unwrap();
    assert_eq!((master.left(), master.kind()), (53_980_638, Kind::Master));
    drop(master);
    fs::write(&path, "").unwrap();
    assert!(matches!(Ledger::init_master(&path, range(1, 2)), Err(LedgerError::Exists { .. })));
}

#[test]
fn one_kind_is_not_taken_for_the_other() {
    let (_folder, path) = place();
    with_hundred(&path);
    let error = Ledger::open(&path, Kind::Master).unwrap_err();
    assert!(
        matches!(error, LedgerError::Foreign { found: Kind::Instance, expected: Kind::Master, .. }),
        "{error}"
    );
    assert!(error.to_string().contains("the ledger of an instance, not of a master"), "{error}");
}

#[test]
fn two_never_use_one_ledger() {
    let (_folder, path) = place();
    with_hundred(&path);
    let first = Ledger::open(&path, Kind::Instance).unwrap();
    let error = Ledger::open(&path, Kind::Instance).unwrap_err();
    assert!(matches!(error, LedgerError::InUse { .. }), "{error}");
    assert_eq!(Ledger::read_only(&path).unwrap().holdings, *first.holdings());
    drop(first);
    assert_eq!(Ledger::open(&path, Kind::Instance).unwrap().left(), 100);
}

#[test]
fn the_original_services_file_is_converted_once() {
    let (folder, _) = place();
    let path = folder.path().join("master.txt");
    fs::write(&path, "26018363\n80000000\n").unwrap();
    assert_eq!(Ledger::read_only(&path).unwrap().kind, None);
    let mut master = Ledger::open(&path, Kind::Master).unwrap();
    assert_eq!(Ledger::read_only(&path).unwrap().kind, Some(Kind::Master));
    assert_eq!(master.take(1).unwrap(), Some(range(26_018_363, 26_018_363)));
    drop(master);
    assert_eq!(Ledger::open(&path, Kind::Master).unwrap().left(), 53_981_637);
}

#[test]
fn a_mark_is_kept_with_what_was_granted() {
    let (_folder, path) = place();
    let mark = |generation| -> Mark { format!("1 {generation} 3 4 a/1").parse().unwrap() };
    let mut ledger = Ledger::open(&path, Kind::Instance).unwrap();
    ledger.add(range(1, 9), Some(&mark(5))).unwrap();
    ledger.add(range(20, 29), Some(&mark(4))).unwrap();
    assert_eq!(Ledger::read_only(&path).unwrap().known, Some(mark(5)), "the newest");
    ledger.note(&mark(6));
    ledger.note(&mark(5));
    assert_eq!(ledger.known(), Some(&mark(6)));
    assert_eq!(Ledger::read_only(&path).unwrap().known, Some(mark(5)), "nothing was written");
    ledger.take(1).unwrap();
    drop(ledger);
    assert_eq!(Ledger::open(&path, Kind::Instance).unwrap().known(), Some(&mark(6)));
}

#[test]
fn a_refused_range_brings_no_mark() {
    let (_folder, path) = place();
    let mut ledger = Ledger::open(&path, Kind::Instance).unwrap();
    ledger.add(range(1, 9), None).unwrap();
    ledger.add(range(9, 9), "1 5 3 4 a/1".parse().ok().as_ref()).unwrap_err();
    assert_eq!(ledger.known(), None);
}

#[test]
fn a_ledger_of_the_first_version_becomes_one_of_the_second() {
    let (_folder, path) = place();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text::sealed("switchboard-ledger v1 master\ngeneration 3\n5 9\n".into())).unwrap();
    let mut ledger = Ledger::open(&path, Kind::Master).unwrap();
    assert_eq!((ledger.epoch(), ledger.whole(), ledger.generation()), (1, Some(range(5, 9)), 3));
    ledger.take(2).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert!(
        text.starts_with("switchboard-ledger v2 master\ngeneration 4\nepoch 1\nwhole 5 9\n7 9\n"),
        "{text}"
    );
}

#[test]
fn what_lies_beside_may_be_the_ledger_itself() {
    let (_folder, path) = place();
    with_hundred(&path);
    // As some file systems leave it after a crash amid the rename.
    fs::hard_link(&path, beside(&path, ".new")).unwrap();
    let old = fs::File::open(&path).unwrap();
    let mut ledger = Ledger::open(&path, Kind::Instance).unwrap();
    ledger.take(1).unwrap();
    assert!(std::io::read_to_string(old).unwrap().contains("100 199"), "the old file was written to");
    assert!(!beside(&path, ".new").exists());
}

#[test]
fn counters_that_are_used_up_stop_the_giving() {
    let (_folder, path) = place();
    with_hundred(&path);
    let record = Record { generation: COUNT_MAX, ..Ledger::read_only(&path).unwrap() };
    fs::write(&path, text::encode(&record)).unwrap();
    let mut ledger = Ledger::open(&path, Kind::Instance).unwrap();
    assert!(matches!(ledger.take(1), Err(LedgerError::Write { .. })));
}
