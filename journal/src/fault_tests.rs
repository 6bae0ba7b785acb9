//! A disk that is full, a database that may not be written, rows that are damaged: nothing is half-done, and it goes on.

use std::{path::Path, time::Instant};

use switchboard_fleet::report::{Batch, Level, LogLine, Report, Told, WorkerKind};

use crate::{Arrival, Journal, JournalError, LineQuery, Standing, TakeError, lines, writer::Work};

const NOW: u64 = 1_700_000_000_000;

fn arrival(worker: &str, seq: u64) -> Arrival {
    let line = LogLine { level: Level::Info, message: "x".repeat(5000), data: Default::default() };
    let reports = vec![Report { seq, at_ms: NOW, told: Told::Log(line) }];
    let batch = Batch { worker: worker.into(), kind: WorkerKind::Instance, boot: 1, reports };
    Arrival { batch, heard_ms: NOW, standing: Standing::Known }
}

async fn sql(journal: &Journal, text: &str) {
    journal.order(Work::Sql(text.into())).await.unwrap();
}

fn open(folder: &Path) -> Journal {
    Journal::open(folder, NOW).unwrap().0
}

async fn taken(journal: &Journal, worker: &str) -> u64 {
    journal.lives(worker).await.unwrap().first().map_or(0, |life| life.taken)
}

#[tokio::test]
async fn a_full_disk() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path());
    // The database answers as on a full disk when it may not have more pages.
    sql(&journal, "PRAGMA max_page_count = 60").await;
    let mut seq = 0;
    let refused = loop {
        seq += 1;
        match journal.take(arrival("a", seq)).await {
            Ok(receipt) => assert_eq!(receipt.taken.upto, seq),
            Err(error) => break error,
        }
    };
    assert!(seq > 1 && matches!(&refused, TakeError::Fault(JournalError::Full { .. })), "{refused}");
    assert!(matches!(journal.fault(), Some(JournalError::Full { .. })));
    assert_eq!(taken(&journal, "a").await, seq - 1, "nothing half-done");
    journal.take(arrival("a", seq)).await.unwrap_err();

    sql(&journal, "PRAGMA max_page_count = 1000000").await;
    assert_eq!(journal.fault(), None);
    let receipt = journal.take(arrival("a", seq)).await.unwrap();
    assert_eq!((receipt.taken.upto, receipt.taken.missing.len(), receipt.fresh.len()), (seq, 0, 1));
    assert_eq!(taken(&journal, "a").await, seq);
}

#[tokio::test]
async fn a_group_of_which_one_does_not_fit_is_taken_in_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path());
    sql(&journal, "PRAGMA max_page_count = 100").await;
    let tasks: tokio::task::JoinSet<_> = (0..200)
        .map(|n| {
            let journal = journal.clone();
            async move {
                let name = format!("w{n}");
                let answer = journal.take(arrival(&name, 1)).await;
                (name, answer.is_ok())
            }
        })
        .collect();
    let answers = tasks.join_all().await;
    assert!(answers.iter().any(|(_, ok)| !ok));
    sql(&journal, "PRAGMA max_page_count = 1000000").await;
    for (name, ok) in answers {
        assert_eq!(taken(&journal, &name).await, u64::from(ok), "{name}");
        let again = journal.take(arrival(&name, 1)).await.unwrap();
        assert_eq!(again.fresh.len(), usize::from(!ok), "{name}");
    }
}

#[tokio::test]
async fn a_database_that_may_not_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path());
    journal.take(arrival("a", 1)).await.unwrap();
    // This order fails itself already.
    let _ = journal.order(Work::Sql("PRAGMA query_only = 1".into())).await;
    let refused = journal.take(arrival("a", 2)).await.unwrap_err();
    assert!(matches!(&refused, TakeError::Fault(JournalError::Denied { .. })), "{refused}");
    journal.remember("{}".into(), Vec::new(), Vec::new()).await.unwrap_err();
    assert!(journal.fault().is_some());
    sql(&journal, "PRAGMA query_only = 0").await;
    assert_eq!(journal.take(arrival("a", 2)).await.unwrap().fresh.len(), 1);
    assert_eq!(journal.fault(), None);
}

#[tokio::test]
async fn rows_of_one_worker_that_are_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path());
    journal.take(arrival("bad", 1)).await.unwrap();
    // A number that is none; not at hand any more, so that it is read.
    sql(&journal, "UPDATE life SET upto = 'x'").await;
    journal.prune(NOW, None).await.unwrap();
    let (bad, good) = (journal.clone(), journal.clone());
    let (bad, good) = tokio::join!(bad.take(arrival("bad", 2)), good.take(arrival("good", 1)));
    assert!(matches!(&bad, Err(TakeError::Fault(JournalError::Damaged { .. }))), "{bad:?}");
    assert_eq!(good.unwrap().fresh.len(), 1);
}

#[tokio::test]
async fn as_many_workers_as_are_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path());
    let others = "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
        INSERT INTO worker (name, kind, known, kept, heard_ms, boot, said_seq) SELECT i, 'front', 1, 0, 0, 0, 0 FROM n";
    sql(&journal, others).await;
    journal.take(arrival("the last", 1)).await.unwrap();
    assert_eq!(journal.take(arrival("one more", 1)).await, Err(TakeError::TooManyWorkers));
    journal.take(arrival("17", 1)).await.unwrap();
    journal.forget("18").await.unwrap();
    journal.take(arrival("one more", 1)).await.unwrap();
}

#[tokio::test]
async fn a_search_ends_when_its_time_is_up() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path());
    journal.take(arrival("a", 1)).await.unwrap();
    let lines = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
        INSERT INTO entry (worker, boot, seq, heard_ms, at_ms, what, level, message) SELECT 1, 1, i, i, i, 0, 0, '' FROM n";
    sql(&journal, lines).await;
    let search = |text: &str| {
        let query = LineQuery { text: Some(text.into()), limit: 1, ..LineQuery::default() };
        let over = Instant::now();
        journal.readers.read(move |connection| lines::find(connection, &query, over))
    };
    assert_eq!(search("nowhere").await.unwrap(), None);
    assert_eq!(search("xxx").await.unwrap().map(|lines| lines.len()), Some(1), "found at once");
}

#[tokio::test]
async fn a_commit_is_on_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let database = crate::database::Database::open(folder.path()).unwrap();
    let setting = |name| {
        database.connection.pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0))
    };
    assert_eq!(setting("synchronous").unwrap(), 2.into(), "FULL");
    assert_eq!(setting("journal_mode").unwrap(), "wal".to_owned().into());
}

#[tokio::test]
async fn a_worker_that_reports_while_it_is_forgotten_is_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path());
    journal.take(arrival("a", 1)).await.unwrap();
    let forgotten = journal.order(Work::Forget { worker: "a".into() }).await;
    assert_eq!(forgotten, Ok(1));
    assert_eq!(journal.take(arrival("a", 1)).await.unwrap().fresh.len(), 1);
    journal.prune(NOW, None).await.unwrap();
    assert_eq!(taken(&journal, "a").await, 1);
}
