//! Nothing grows without limit.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use rusqlite::Connection;
use support::*;
use switchboard_fleet::report::Level;
use switchboard_journal::{Arrival, LINE_BYTES, TakeError, Why};

#[tokio::test]
async fn a_full_queue_says_so_at_once_and_takes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    // While another program writes, the writer waits, and what comes stays in memory.
    let other = Connection::open(folder.path().join("journal.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let long = "x".repeat(LINE_BYTES);
    let lines = 4_000_000 / LINE_BYTES as u64;
    let mut tasks = tokio::task::JoinSet::new();
    for worker in 0..20 {
        let journal = journal.clone();
        let arrival = known(
            &worker.to_string(),
            BOOT,
            (1..=lines).map(|seq| log(seq, NOW, Level::Info, &long)).collect(),
        );
        tasks.spawn(async move { (worker, journal.take(arrival).await) });
    }
    // 64 MiB are 16 of them.
    for _ in 0..4 {
        assert_eq!(tasks.join_next().await.unwrap().unwrap().1, Err(TakeError::Busy));
    }
    assert_eq!(journal.fault(), None);
    other.execute_batch("ROLLBACK").unwrap();
    let taken = tasks.join_all().await;
    assert_eq!(taken.iter().filter(|(_, answer)| answer.is_ok()).count(), 16);
    let there: i64 = other.query_row("SELECT count(*) FROM entry", [], |row| row.get(0)).unwrap();
    assert_eq!(there.unsigned_abs(), 16 * lines);
}

#[tokio::test]
async fn the_oldest_life_of_an_unknown_worker_goes() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    for life in 1..=101 {
        take(&journal, unknown("x", BOOT + life, vec![info(2)])).await;
    }
    let lives: Vec<u64> = journal.lives("x").await.unwrap().iter().map(|life| life.boot - BOOT).collect();
    assert_eq!(lives, (2..=101).rev().collect::<Vec<_>>());
    let older = journal.take(unknown("x", BOOT + 1, vec![info(2)])).await;
    assert!(matches!(&older, Err(TakeError::Invalid(why)) if why.starts_with("boot:")), "{older:?}");
    let again = take(&journal, unknown("x", BOOT + 2, vec![info(1), info(2)])).await;
    assert_eq!(again.fresh, [info(1)], "it is still remembered");
}

#[tokio::test]
async fn the_oldest_gaps_go() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    // A sample every two minutes by the clock, while the worker is only one minute older each time.
    for start in [0, 400, 800] {
        let reports = (start..start + 400).flat_map(|n| {
            let at_ms = NOW + n * 120_000;
            [state(2 * n + 1, at_ms, n * 60), sample(2 * n + 2, at_ms)]
        });
        let arrival = known("a", BOOT, reports.collect());
        take(&journal, Arrival { heard_ms: NOW + 1200 * 120_000, ..arrival }).await;
    }
    let gaps = journal.gaps(&["a".to_owned()], 0).await.unwrap();
    assert_eq!(gaps.len(), 1000);
    assert!(gaps.iter().all(|gap| gap.why == Why::ClockJumped));
    assert_eq!(gaps[999].to_ms, NOW + 1199 * 120_000);
}

#[tokio::test]
async fn the_oldest_times_away_go() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    for n in 1..=1005 {
        journal.alive(NOW + n * 15_001).await;
    }
    journal.alive(NOW + 1005 * 15_001 + 15_000).await;
    let connection = Connection::open(folder.path().join("journal.db")).unwrap();
    let sql = "SELECT count(*), min(from_ms) FROM away";
    let away: (i64, i64) = connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    assert_eq!(away, (1000, (NOW + 5 * 15_001) as i64));
}
