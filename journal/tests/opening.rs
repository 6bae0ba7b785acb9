//! What is not a journal, or not ours to write, is said and left as it is.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::{fs, path::Path};

use rusqlite::Connection;
use support::*;
use switchboard_journal::{Journal, JournalError};

/// A folder with a journal of some pages.
async fn filled() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    take(&journal, known("a", BOOT, (1..=900).map(info).collect())).await;
    journal.close().await;
    folder
}

fn sql(folder: &Path, text: &str) {
    Connection::open(folder.join("journal.db")).unwrap().execute_batch(text).unwrap();
}

/// It fails, changes nothing, and fails again.
fn refused(folder: &Path) -> JournalError {
    let path = folder.join("journal.db");
    let before = fs::read(&path).ok();
    let error = open_error(folder);
    assert_eq!(open_error(folder), error);
    assert_eq!(fs::read(&path).ok(), before);
    assert!(error.to_string().contains(&*folder.canonicalize().unwrap().to_string_lossy()), "{error}");
    error
}

#[tokio::test]
async fn one_process_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    assert!(matches!(open_error(folder.path()), JournalError::InUse { .. }));
    journal.close().await;
    open(folder.path());
}

#[tokio::test]
async fn an_empty_file_is_damage() {
    let folder = filled().await;
    fs::write(folder.path().join("journal.db"), "").unwrap();
    assert!(matches!(refused(folder.path()), JournalError::Damaged { .. }));
}

#[tokio::test]
async fn a_missing_file_beside_its_log_is_damage() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("journal.db-wal"), "something").unwrap();
    assert!(matches!(refused(folder.path()), JournalError::Damaged { .. }));
}

#[tokio::test]
async fn other_bytes_are_damage() {
    let folder = filled().await;
    fs::write(folder.path().join("journal.db"), "no database, but longer than its head ".repeat(200))
        .unwrap();
    assert!(matches!(refused(folder.path()), JournalError::Damaged { .. }));
}

#[tokio::test]
async fn a_file_cut_short_is_damage() {
    let folder = filled().await;
    let path = folder.path().join("journal.db");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..4096]).unwrap();
    assert!(matches!(refused(folder.path()), JournalError::Damaged { .. }));
    fs::write(&path, &whole[..50]).unwrap();
    assert!(matches!(refused(folder.path()), JournalError::Damaged { .. }));
}

#[tokio::test]
async fn damage_inside_is_told_to_whoever_meets_it() {
    let folder = filled().await;
    let path = folder.path().join("journal.db");
    let mut bytes = fs::read(&path).unwrap();
    // All after the pages of the schema and the small tables.
    let middle = bytes.len() / 2;
    bytes[middle..].fill(0x5a);
    fs::write(&path, bytes).unwrap();
    let found = match Journal::open(folder.path(), NOW) {
        Err(error) => error,
        Ok((journal, _)) => journal.lines(Default::default()).await.unwrap_err(),
    };
    assert!(matches!(found, JournalError::Damaged { .. }), "{found}");
}

#[tokio::test]
async fn a_later_layout_is_refused() {
    let folder = filled().await;
    sql(folder.path(), "PRAGMA user_version = 9");
    let error = refused(folder.path());
    assert!(matches!(error, JournalError::Newer { found: 9, known: 1, .. }), "{error}");
}

#[tokio::test]
async fn a_database_of_another_program_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    sql(folder.path(), "CREATE TABLE worker (name)");
    assert!(matches!(refused(folder.path()), JournalError::Foreign { .. }));
}

#[tokio::test]
async fn a_making_that_was_broken_off_is_begun_again() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("journal.new"), "half").unwrap();
    fs::write(folder.path().join("journal.new-journal"), "half").unwrap();
    let (journal, _) = open(folder.path());
    take(&journal, known("a", BOOT, vec![info(1)])).await;
    assert!(!folder.path().join("journal.new").exists());
}

#[test]
fn a_folder_that_cannot_be() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = open_error(&file.join("journal"));
    assert!(matches!(&error, JournalError::Io { .. }), "{error}");
}
