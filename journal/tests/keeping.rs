//! What is kept for how long: samples, lines, workers, what the monitor remembers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::path::Path;

use rusqlite::Connection;
use support::*;
use switchboard_fleet::report::{Level, Told};
use switchboard_journal::{IncidentRow, Journal, Letter, LineQuery, Step, TakeError};

const MINUTE: u64 = 60_000;
const DAY: u64 = 86_400_000;

fn count(folder: &Path, table: &str) -> i64 {
    let connection = Connection::open(folder.join("journal.db")).unwrap();
    connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

async fn pending(journal: &Journal) -> Vec<(String, u64)> {
    let pending = journal.unfiled(100).await.unwrap();
    pending.into_iter().map(|one| (one.worker, (one.at_ms - NOW) / MINUTE)).collect()
}

#[tokio::test]
async fn samples_stay_until_they_are_filed_and_ten_minutes_more() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    assert_eq!(journal.regive().await.unwrap(), 0);
    let at = |minute| NOW + minute * MINUTE;
    take(&journal, known("b", BOOT, vec![sample(1, at(1)), sample(2, at(2))])).await;
    take(&journal, known("a", BOOT, vec![sample(1, at(1)), sample(2, at(0))])).await;
    let all = [("a", 0), ("b", 1), ("a", 1), ("b", 2)].map(|(name, minute)| (name.to_owned(), minute));
    assert_eq!(pending(&journal).await, all);
    let first = journal.unfiled(2).await.unwrap();
    let rest = journal.unfiled_after(Some(first[1].id), 10).await.unwrap();
    assert_eq!((first.len(), rest.len(), &*rest[0].worker, rest[0].at_ms), (2, 2, "a", at(1)));

    journal.filed("a", vec![at(0), at(1), at(7)]).await.unwrap();
    assert_eq!(pending(&journal).await, [("b".to_owned(), 1), ("b".to_owned(), 2)]);
    journal.alive(NOW + 10 * MINUTE).await;
    assert_eq!(count(folder.path(), "sample"), 4, "ten minutes are not over");
    journal.alive(NOW + 10 * MINUTE + 1).await;
    assert_eq!(count(folder.path(), "sample"), 2);
}

#[tokio::test]
async fn after_a_start_of_the_machine_samples_are_given_again() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    journal.regive().await.unwrap();
    take(&journal, known("a", BOOT, vec![sample(1, NOW)])).await;
    journal.filed("a", vec![NOW]).await.unwrap();
    journal.close().await;

    let (journal, _) = open(folder.path());
    assert_eq!(journal.regive().await.unwrap(), 0, "the same machine, running on");
    journal.close().await;

    let connection = Connection::open(folder.path().join("journal.db")).unwrap();
    connection.execute("UPDATE fact SET value = 'another' WHERE name = 'machine'", []).unwrap();
    drop(connection);
    let (journal, _) = Journal::open(folder.path(), NOW + DAY).unwrap();
    journal.alive(NOW + DAY).await;
    journal.prune(NOW + DAY, Some(DAY)).await.unwrap();
    assert_eq!(journal.regive().await.unwrap(), 1, "not taken away before this is known");
    assert_eq!(pending(&journal).await, [("a".to_owned(), 0)]);
    assert_eq!(journal.regive().await.unwrap(), 0);
}

#[tokio::test]
async fn a_worker_that_is_forgotten_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    for start in (1..4000).step_by(1000) {
        take(&journal, known("a", BOOT, (start..start + 999).map(info).collect())).await;
    }
    take(&journal, known("a", BOOT, vec![sample(5000, NOW), sample(5002, NOW + 10)])).await;
    take(&journal, known("b", BOOT, vec![info(1)])).await;
    assert!(!journal.forget("nobody").await.unwrap());
    assert!(journal.forget("a").await.unwrap());
    assert!(
        journal.lines(LineQuery::default()).await.unwrap().iter().all(|line| line.worker == "b"),
        "at once"
    );
    journal.prune(NOW, None).await.unwrap();
    for (table, left) in [("worker", 1), ("entry", 1), ("sample", 0), ("life", 1), ("hole", 0), ("gone", 0)] {
        assert_eq!(count(folder.path(), table), left, "{table}");
    }
    let again = take(&journal, known("a", BOOT, vec![info(1)])).await;
    assert_eq!(again.fresh.len(), 1, "it is a new one");
    assert_eq!(numbers(&journal, "a").await, [1]);
}

#[tokio::test]
async fn what_is_too_old_goes_whatever_time_it_claims() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    let heard =
        |heard_ms, boot, reports| switchboard_journal::Arrival { heard_ms, ..known("a", boot, reports) };
    let claims = |seq| log(seq, if seq % 2 == 0 { 0 } else { NOW * 10 }, Level::Info, "");
    for start in [1, 501, 1001, 1501, 2001] {
        take(&journal, heard(NOW, BOOT, (start..start + 500).map(claims).collect())).await;
    }
    let late = vec![info(1), report(9, NOW + 3 * DAY, Told::Stopping)];
    take(&journal, heard(NOW + 3 * DAY, BOOT + 1, late)).await;
    // The life that is over is the one at hand.
    take(&journal, heard(NOW, BOOT, vec![claims(2501)])).await;
    journal
        .remember("{}".into(), vec![step("old", NOW, true), step("old", NOW, false)], Vec::new())
        .await
        .unwrap();
    journal.remember("{}".into(), vec![step("open", NOW, true)], Vec::new()).await.unwrap();
    journal.remember("{}".into(), vec![step("new", NOW + 3 * DAY, false)], Vec::new()).await.unwrap();

    journal.prune(NOW + 4 * DAY, None).await.unwrap();
    journal.prune(NOW + 4 * DAY, Some(5 * DAY)).await.unwrap();
    assert_eq!((count(folder.path(), "entry"), journal.lives("a").await.unwrap().len()), (2503, 2));

    journal.prune(NOW + 4 * DAY, Some(2 * DAY)).await.unwrap();
    assert_eq!(numbers(&journal, "a").await, [1, 9]);
    let lives = journal.lives("a").await.unwrap();
    assert_eq!((lives.len(), lives[0].boot), (1, BOOT + 1));
    let left = journal.incidents(None, 10).await.unwrap();
    assert_eq!(left.iter().map(|row| &*row.id).collect::<Vec<_>>(), ["open", "new"]);
    assert_eq!(count(folder.path(), "step"), 2);

    // What was at hand of a life that is gone is not written again in part.
    let back = take(&journal, heard(NOW + 4 * DAY, BOOT, vec![info(2502)])).await;
    assert_eq!(back.taken.missing, [(1, 2501)]);

    // The newest life stays, however long the worker is silent.
    journal.prune(NOW + 20 * DAY, Some(DAY)).await.unwrap();
    let lives = journal.lives("a").await.unwrap();
    assert_eq!(lives.iter().map(|life| life.boot).collect::<Vec<_>>(), [BOOT + 1]);
}

fn step(incident: &str, at_ms: u64, open: bool) -> Step {
    Step {
        incident: incident.into(),
        kind: "down".into(),
        server: "eu".into(),
        opened_ms: at_ms,
        at_ms,
        open,
        letter: open.then_some(1),
        event: format!("{{\"open\":{open}}}"),
    }
}

#[tokio::test]
async fn alerts_and_incidents_are_remembered_together() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    for n in 0..7 {
        let id = format!("i{n}");
        let closed = Step { opened_ms: NOW + n, ..step(&id, NOW + n + 10, false) };
        let steps = [step(&id, NOW + n, true), closed].into_iter().take(if n % 3 == 0 { 1 } else { 2 });
        journal.remember(format!("state {n}"), steps.collect(), Vec::new()).await.unwrap();
    }
    journal.close().await;
    let (journal, memory) = open(folder.path());
    assert_eq!(memory.alerts.as_deref(), Some("state 6"));

    let (mut pages, mut before) = (Vec::new(), None);
    loop {
        let page = journal.incidents(before, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        before = Some(last.place());
        pages.extend(page);
    }
    assert_eq!(
        pages.iter().map(|row| &*row.id).collect::<Vec<_>>(),
        ["i6", "i3", "i0", "i5", "i4", "i2", "i1"]
    );
    let expected = IncidentRow {
        id: "i1".into(),
        kind: "down".into(),
        server: "eu".into(),
        opened_ms: NOW + 1,
        at_ms: NOW + 11,
        open: false,
        steps: 2,
        letter: Some(1),
        event: "{\"open\":false}".into(),
    };
    assert_eq!(pages.last(), Some(&expected));
    let steps = journal.incident("i1").await.unwrap();
    assert_eq!(
        steps.iter().map(|step| (step.at_ms, step.open, step.letter)).collect::<Vec<_>>(),
        [(NOW + 1, true, Some(1)), (NOW + 11, false, None)]
    );
    assert!(journal.incident("none").await.unwrap().is_empty());
}

#[tokio::test]
async fn letters_stay_until_they_are_posted() {
    let folder = tempfile::tempdir().unwrap();
    let letter = |name: &str| Letter {
        name: name.into(),
        from: "a@example.net".into(),
        to: vec!["b@example.net".into(), "c\"@example.net".into()],
        message: b"Subject: x\r\n\r\n\xff\0".to_vec(),
    };
    let (journal, _) = open(folder.path());
    journal.remember("{}".into(), Vec::new(), vec![letter("1-0"), letter("1-1")]).await.unwrap();
    journal.posted("1-0").await.unwrap();
    journal.posted("unheard of").await.unwrap();
    journal.close().await;
    let (journal, _) = open(folder.path());
    assert_eq!(journal.letters().await.unwrap(), [letter("1-1")]);
}

#[tokio::test]
async fn numbers_at_the_limit_do_not_stop_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    let most = (1 << 53) - 1;
    for boot in 1..=8 {
        take(&journal, known("a", boot, vec![report(most, NOW, Told::Started)])).await;
    }
    for (boot, seq) in [(1, most + 1), (most + 1, 1)] {
        let refused = journal.take(known("a", boot, vec![report(seq, NOW, Told::Started)])).await;
        assert!(matches!(refused, Err(TakeError::Invalid(_))), "{refused:?}");
    }
    journal.close().await;
    let (_journal, memory) = open(folder.path());
    assert_eq!((memory.workers[0].taken, memory.workers[0].missing), (8, 8 * (most - 1)));
}

#[tokio::test]
async fn one_impossible_boot_does_not_make_all_later_lives_look_old() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    take(&journal, known("a", NOW + 400 * DAY, vec![report(1, NOW, Told::Stopping)])).await;
    take(&journal, known("a", NOW, vec![report(1, NOW, Told::Started)])).await;
    journal.close().await;
    let (_journal, memory) = open(folder.path());
    assert_eq!((memory.workers[0].boot, memory.workers[0].stopping_ms), (NOW, None));
}
