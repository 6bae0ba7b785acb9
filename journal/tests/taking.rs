//! What is taken, once, and what is remembered of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;

use support::*;
use switchboard_fleet::report::{Batch, Level, Taken, Told, WorkerKind};
use switchboard_journal::{Journal, Standing, TakeError, UNKNOWN_LINES, UNKNOWN_MAX};

#[tokio::test]
async fn each_report_counts_once_in_this_life_of_the_journal_and_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, memory) = open(folder.path());
    assert!(memory.workers.is_empty() && memory.alerts.is_none() && memory.was_alive_ms.is_none());

    let first = take(&journal, known("a", BOOT, vec![info(3), info(1), info(2), info(1)])).await;
    assert_eq!(first.taken, Taken { upto: 3, missing: vec![] });
    assert_eq!(first.fresh, [info(1), info(2), info(3)]);
    journal.close().await;

    let (journal, memory) = open(folder.path());
    assert_eq!((memory.workers[0].taken, memory.workers[0].missing), (3, 0));
    assert_eq!(memory.was_alive_ms, Some(NOW));
    let again = take(&journal, known("a", BOOT, vec![info(2), info(3), info(6)])).await;
    assert_eq!(again.taken, Taken { upto: 6, missing: vec![(4, 5)] });
    assert_eq!(again.fresh, [info(6)]);
    assert_eq!(numbers(&journal, "a").await, [1, 2, 3, 6]);

    let other_life = take(&journal, known("a", BOOT + 1, vec![info(1)])).await;
    assert_eq!((other_life.taken.upto, other_life.fresh.len()), (1, 1));
    let nothing = take(&journal, known("a", BOOT, vec![])).await;
    assert_eq!(nothing.taken, Taken { upto: 6, missing: vec![(4, 5)] });

    let lives = journal.lives("a").await.unwrap();
    assert_eq!(lives.iter().map(|life| life.boot).collect::<Vec<_>>(), [BOOT + 1, BOOT]);
    assert_eq!((lives[1].upto, lives[1].taken, lives[1].missing), (6, 4, 2));
    assert_eq!((lives[1].first_ms, lives[1].last_ms), (NOW + 1, NOW + 6));
    let hole = lives[1].holes[0];
    assert_eq!((hole.first, hole.last, hole.before_ms, hole.after_ms), (4, 5, Some(NOW + 3), NOW + 6));
    assert!(journal.lives("b").await.unwrap().is_empty());
}

#[tokio::test(flavor = "current_thread")]
async fn many_at_once_and_each_thing_many_times() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    // Each of 200 reports of 4 workers is sent three times, in batches that overlap, by tasks of their own.
    let mut tasks = tokio::task::JoinSet::new();
    for start in (1..=200).step_by(5) {
        for (worker, _) in (0..4).flat_map(|worker| [(worker, 0), (worker, 1)]) {
            let journal = journal.clone();
            let reports = (start..=(start + 9).min(200)).map(info).collect();
            tasks.spawn(async move {
                let name = format!("worker {worker}");
                let fresh = take(&journal, known(&name, BOOT, reports)).await.fresh;
                (name, fresh)
            });
        }
    }
    let mut fresh: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for (name, reports) in tasks.join_all().await {
        fresh.entry(name).or_default().extend(reports.iter().map(|report| report.seq));
    }
    let all: Vec<u64> = (1..=200).collect();
    for (name, mut given) in fresh {
        given.sort_unstable();
        assert_eq!(given, all, "{name}: fresh once");
        assert_eq!(numbers(&journal, &name).await, all, "{name}: kept once");
    }
}

async fn remembered(
    journal: Journal,
    folder: &std::path::Path,
) -> (Journal, switchboard_journal::Remembered) {
    journal.close().await;
    let (journal, memory) = open(folder);
    (journal, memory.workers.into_iter().next().unwrap())
}

#[tokio::test]
async fn the_newest_word_of_the_newest_life() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    take(&journal, known("a", BOOT, vec![state(5, NOW + 5, 105), panic(6, NOW)])).await;
    take(
        &journal,
        known("a", BOOT, vec![state(4, NOW + 4, 104), report(7, NOW + 7, Told::Stopping), info(8)]),
    )
    .await;
    let (journal, worker) = remembered(journal, folder.path()).await;
    assert_eq!(worker.state, Some((NOW + 5, state_of(105))), "not the late one");
    assert_eq!((worker.stopping_ms, worker.boot), (Some(NOW + 7), BOOT));
    assert_eq!(worker.panic, Some((NOW, "it broke".into(), "src/a.rs:1:2".into())));
    assert_eq!((worker.heard_ms, worker.standing, worker.kind), (NOW, Standing::Known, WorkerKind::Instance));

    take(&journal, known("a", BOOT + 9, vec![report(1, NOW + 20, Told::Started)])).await;
    take(&journal, known("a", BOOT, vec![state(9, NOW + 9, 109)])).await;
    let (journal, worker) = remembered(journal, folder.path()).await;
    assert_eq!((worker.boot, worker.state, worker.stopping_ms), (BOOT + 9, None, None));
    assert!(worker.panic.is_some());
    assert_eq!((worker.taken, worker.missing), (7, 3));

    take(&journal, known("a", BOOT + 9, vec![state(2, NOW + 21, 1)])).await;
    let (journal, worker) = remembered(journal, folder.path()).await;
    assert_eq!(worker.state, Some((NOW + 21, state_of(1))));
    drop(journal);
}

#[tokio::test]
async fn an_unknown_worker_takes_little_room() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    let most = u64::from(UNKNOWN_LINES);
    take(&journal, unknown("x", BOOT, vec![sample(1, NOW), log(2, NOW, Level::Info, &"é".repeat(5000))]))
        .await;
    assert!(journal.unfiled(10).await.unwrap().is_empty());
    assert_eq!(messages(&journal, Default::default()).await, ["é".repeat(2048)]);
    for start in (3..most + 50).step_by(700) {
        take(&journal, unknown("x", BOOT, (start..start + 700).map(info).collect())).await;
    }
    let kept = numbers(&journal, "x").await;
    let last = *kept.last().unwrap();
    assert_eq!(kept, (last + 1 - most..=last).collect::<Vec<_>>());

    // When it is known, all that comes is kept; when it is not again, that stays.
    take(&journal, known("x", BOOT, (last + 1..=last + 100).map(info).collect())).await;
    assert_eq!(numbers(&journal, "x").await.len() as u64, most + 100);
    for start in (last + 101..last + 1501).step_by(700) {
        take(&journal, unknown("x", BOOT, (start..start + 700).map(info).collect())).await;
    }
    assert_eq!(numbers(&journal, "x").await.len() as u64, most + 100 + most);
}

#[tokio::test]
async fn unknown_workers_are_few_and_go_when_they_are_silent() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    for n in 0..UNKNOWN_MAX {
        take(&journal, unknown(&format!("x{n}"), BOOT, vec![info(1)])).await;
    }
    let one_more = journal.take(unknown("y", BOOT, vec![info(1)])).await;
    assert_eq!(one_more, Err(TakeError::TooManyUnknown));
    take(&journal, unknown("x1", BOOT, vec![info(2)])).await;
    take(&journal, known("k", BOOT, vec![info(1)])).await;
    take(&journal, unknown("k", BOOT, vec![info(2)])).await;

    let week = 7 * 86_400_000;
    journal.prune(NOW + week, None).await.unwrap();
    assert_eq!(numbers(&journal, "x1").await, [1, 2], "not yet");
    journal.prune(NOW + week + 1, None).await.unwrap();
    assert!(numbers(&journal, "x1").await.is_empty());
    assert_eq!(numbers(&journal, "k").await, [1, 2], "it was known once");
    take(&journal, unknown("y", BOOT, vec![info(1)])).await;
    journal.close().await;
    let (_, memory) = open(folder.path());
    assert_eq!(memory.workers.iter().map(|worker| &*worker.name).collect::<Vec<_>>(), ["k", "y"]);
}

#[tokio::test]
async fn what_will_never_be_taken() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    let refused = async |batch: Batch| {
        let arrival = switchboard_journal::Arrival { batch, ..known("", 0, vec![]) };
        match journal.take(arrival).await {
            Err(TakeError::Invalid(why)) => why,
            other => panic!("{other:?}"),
        }
    };
    for name in ["", "a\nb", &"a".repeat(301)] {
        assert!(refused(batch(name, BOOT, vec![])).await.starts_with("worker:"));
    }
    for seq in [0, u64::MAX] {
        assert!(
            refused(batch("a", BOOT, vec![info(1), log(seq, NOW, Level::Info, "")]))
                .await
                .starts_with("seq:")
        );
    }
    assert!(refused(batch("a", u64::MAX, vec![])).await.starts_with("boot:"));
    assert!(refused(batch("a", BOOT, (1..=1001).map(info).collect())).await.starts_with("reports:"));
    let mut long = state_of(1);
    long.host = "h".repeat(2000);
    assert!(refused(batch("a", BOOT, vec![report(1, NOW, Told::State(long))])).await.starts_with("host:"));
    let nan = switchboard_fleet::report::Sample { duration_avg: f64::NAN, ..Default::default() };
    let nan = report(1, NOW, Told::Sample(nan));
    assert!(refused(batch("a", BOOT, vec![nan])).await.starts_with("duration_avg:"));
    assert!(journal.lives("a").await.unwrap().is_empty(), "nothing of them was taken");
}

#[tokio::test]
async fn holes_are_bounded_and_what_fills_them_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    let stopping = |seq| report(seq, NOW, Told::Stopping);
    for start in (2..=20_000).step_by(2000) {
        let reports = (start..start + 2000).step_by(2).map(stopping).collect();
        take(&journal, known("a", BOOT, reports)).await;
    }
    let more = journal.take(known("a", BOOT, vec![stopping(20_002)])).await;
    assert!(matches!(&more, Err(TakeError::Invalid(why)) if why.starts_with("seq:")), "{more:?}");
    let filled = take(&journal, known("a", BOOT, vec![stopping(1), stopping(20_002)])).await;
    assert_eq!((filled.fresh.len(), filled.taken.missing.len(), filled.taken.upto), (2, 1000, 20002));
    assert_eq!(journal.lives("a").await.unwrap()[0].missing, 10_000);
}

#[tokio::test]
async fn times_are_kept_even_if_they_are_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    let times = [0, NOW * 1000, u64::MAX];
    let reports = (1..).zip(times).map(|(seq, at_ms)| sample(seq, at_ms)).collect();
    take(&journal, known("a", BOOT, reports)).await;
    let pending = journal.unfiled(10).await.unwrap();
    let greatest = i64::MAX.unsigned_abs();
    assert_eq!(pending.iter().map(|one| one.at_ms).collect::<Vec<_>>(), [0, NOW * 1000, greatest]);
    assert_eq!(pending[0].sample.bytes, u64::MAX, "counters keep all their bits");
    journal.filed("a", times.to_vec()).await.unwrap();
    assert!(journal.unfiled(10).await.unwrap().is_empty());
}
