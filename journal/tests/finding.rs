//! Lines, marks and gaps, found again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use support::*;
use switchboard_fleet::report::{Level, Told};
use switchboard_journal::{Arrival, Journal, LINES_MAX, LineQuery, Mark, What, Why};

const MINUTE: u64 = 60_000;

#[tokio::test]
async fn lines_by_each_filter() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    let of_a = vec![
        report(1, NOW, Told::Started),
        log(2, NOW + 10, Level::Info, "100 % of a_b"),
        log(3, NOW + 20, Level::Warning, "Ärger im Haus"),
        panic(4, NOW + 30),
        log_with(5, NOW + 40, "with data", "customer", "Zoë"),
    ];
    take(&journal, known("a", BOOT, of_a)).await;
    let of_b = vec![
        log(1, NOW + 15, Level::Error, "failed"),
        log(2, NOW + 25, Level::Success, "100 x of aXb"),
        report(3, NOW + 35, Told::Stopping),
    ];
    take(&journal, known("b", BOOT, of_b)).await;

    let all = [
        "with data",
        "stopping",
        "it broke",
        "100 x of aXb",
        "Ärger im Haus",
        "failed",
        "100 % of a_b",
        "started",
    ];
    let query = LineQuery::default;
    let least = |level| LineQuery { least: Some(level), ..query() };
    let text = |text: &str| LineQuery { text: Some(text.into()), ..query() };
    let of = |worker: &str, rest: LineQuery| LineQuery { worker: Some(worker.into()), ..rest };
    for (query, expected) in [
        (query(), &all[..]),
        (least(Level::Info), &all),
        (least(Level::Success), &["it broke", "100 x of aXb", "Ärger im Haus", "failed"]),
        (least(Level::Warning), &["it broke", "Ärger im Haus", "failed"]),
        (least(Level::Error), &["it broke", "failed"]),
        (of("b", query()), &["stopping", "100 x of aXb", "failed"]),
        (of("a", least(Level::Warning)), &["it broke", "Ärger im Haus"]),
        (of("a", least(Level::Error)), &["it broke"]),
        (of("c", query()), &[]),
        (text("100 %"), &["100 % of a_b"]),
        (text("a_b"), &["100 % of a_b"]),
        (text("ÄRGER"), &["Ärger im Haus"]),
        (text("zoË"), &["with data"]),
        (text("A.RS:1"), &["it broke"]),
        (text(""), &all),
        (of("b", text("broke")), &[]),
        (
            LineQuery { from_ms: NOW + 20, to_ms: NOW + 30, ..query() },
            &["it broke", "100 x of aXb", "Ärger im Haus"],
        ),
        (LineQuery { limit: 2, ..query() }, &["with data", "stopping"]),
        (LineQuery { limit: 0, ..query() }, &[]),
    ] {
        assert_eq!(messages(&journal, query.clone()).await, expected, "{query:?}");
    }
    let newest = journal.lines(LineQuery { limit: 1, ..query() }).await.unwrap().remove(0);
    assert_eq!((newest.worker, newest.boot, newest.seq, newest.heard_ms), ("a".into(), BOOT, 5, NOW));
    assert!(matches!(newest.what, What::Log(line) if line.data["customer"] == "Zoë"));
}

#[tokio::test]
async fn pages_meet_each_line_once_also_where_times_are_equal() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    let line = |seq| {
        let level = if seq % 7 == 0 { Level::Error } else { Level::Info };
        log(seq, NOW + seq / 300, level, if seq == 1 { "the first" } else { "x" })
    };
    for start in (1..=12_000).step_by(1000) {
        take(&journal, known("a", BOOT, (start..start + 1000).map(line).collect())).await;
    }
    // Sevenths: found among many that do not fit, over more than one slice.
    for (text, least) in [(None, None), (Some("X"), Some(Level::Error))] {
        let step = if least.is_some() { 7 } else { 1 };
        let expected: Vec<u64> = (1..=12_000).filter(|seq| seq % step == 0).rev().collect();
        let mut query =
            LineQuery { text: text.map(Into::into), least, limit: usize::MAX, ..LineQuery::default() };
        let mut found = Vec::new();
        loop {
            let page = journal.lines(query.clone()).await.unwrap();
            let Some(last) = page.last() else { break };
            assert!(page.len() <= LINES_MAX);
            query.before = Some(last.id.to_string().parse().unwrap());
            found.extend(page.iter().map(|line| line.seq));
        }
        assert_eq!(found, expected);
    }
    let first = LineQuery { text: Some("first".into()), ..LineQuery::default() };
    assert_eq!(messages(&journal, first).await, ["the first"]);
    let nothing = LineQuery { text: Some("y".into()), ..LineQuery::default() };
    assert!(journal.lines(nothing).await.unwrap().is_empty());
}

#[test]
fn a_place_from_a_url() {
    for text in ["", "-", "1", "1-", "-1", "1-2-3", "x-1", "1-99999999999999999999"] {
        assert!(text.parse::<switchboard_journal::LineId>().is_err(), "{text}");
    }
    assert_eq!("12-34".parse::<switchboard_journal::LineId>().unwrap().to_string(), "12-34");
}

#[tokio::test]
async fn starts_and_stops() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    take(
        &journal,
        known("a", BOOT, vec![report(1, NOW, Told::Started), info(2), report(3, NOW + 9, Told::Stopping)]),
    )
    .await;
    take(&journal, known("b", BOOT, vec![report(1, NOW + 5, Told::Started)])).await;
    take(&journal, known("c", BOOT, vec![report(1, NOW + 6, Told::Started)])).await;
    let workers = ["a".to_owned(), "b".to_owned()];
    let mark = |worker: &str, at_ms, start| Mark { worker: worker.into(), at_ms, start };
    let all = [mark("a", NOW, true), mark("b", NOW + 5, true), mark("a", NOW + 9, false)];
    assert_eq!(journal.marks(&workers, 0).await.unwrap(), all);
    assert_eq!(journal.marks(&workers, NOW + 1).await.unwrap(), all[1..]);
}

/// Time in minutes after `NOW`.
fn at(minute: u64) -> u64 {
    NOW + minute * MINUTE
}

async fn take_at(journal: &Journal, minute: u64, boot: u64, reports: Vec<switchboard_fleet::report::Report>) {
    take(journal, Arrival { heard_ms: at(minute), ..known("a", boot, reports) }).await;
}

async fn gaps(journal: &Journal) -> Vec<(u64, u64, Why)> {
    let gaps = journal.gaps(&["a".to_owned()], 0).await.unwrap();
    gaps.iter().map(|gap| ((gap.from_ms - NOW) / MINUTE, (gap.to_ms - NOW) / MINUTE, gap.why)).collect()
}

#[tokio::test]
async fn a_worker_that_was_down() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    take_at(&journal, 1, BOOT, vec![sample(1, at(0)), sample(2, at(1))]).await;
    assert_eq!(gaps(&journal).await, []);
    take_at(&journal, 9, at(8), vec![report(1, at(8), Told::Started), sample(2, at(9))]).await;
    assert_eq!(gaps(&journal).await, [(1, 9, Why::InstanceDown)]);
    // What the old life had told before it ended comes late.
    take_at(&journal, 10, BOOT, vec![sample(4, at(3)), sample(3, at(2))]).await;
    assert_eq!(gaps(&journal).await, [(3, 9, Why::InstanceDown)]);
    assert!(journal.gaps(&["a".to_owned()], at(9)).await.unwrap().is_empty());
    assert!(journal.gaps(&["b".to_owned()], 0).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_monitor_that_was_down() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    take_at(&journal, 0, BOOT, vec![sample(1, at(0))]).await;
    journal.alive(NOW + 5000).await;
    journal.close().await;
    let (journal, memory) = Journal::open(folder.path(), at(10)).unwrap();
    assert_eq!(memory.was_alive_ms, Some(NOW + 5000));
    take_at(&journal, 10, BOOT, vec![sample(11, at(10))]).await;
    assert_eq!(gaps(&journal).await, [(0, 10, Why::MonitorDown)]);
    take_at(&journal, 11, BOOT, vec![sample(6, at(5))]).await;
    assert_eq!(gaps(&journal).await, [(0, 5, Why::MonitorDown), (5, 10, Why::MonitorDown)]);
    let late = [2, 3, 4, 5, 7, 8, 9, 10].map(|seq| sample(seq, at(seq - 1)));
    take_at(&journal, 12, BOOT, late.to_vec()).await;
    assert_eq!(gaps(&journal).await, []);

    // A reason that nobody knows: a number is missing, but the monitor was there; it was away, but no number is missing.
    take_at(&journal, 20, BOOT, vec![sample(13, at(20))]).await;
    journal.alive(at(30)).await;
    take_at(&journal, 40, BOOT, vec![sample(14, at(40))]).await;
    assert_eq!(gaps(&journal).await, []);
}

#[tokio::test]
async fn a_clock_that_was_set() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    take_at(&journal, 0, BOOT, vec![state(1, at(0), 600), sample(2, at(0))]).await;
    take_at(&journal, 61, BOOT, vec![state(3, at(61), 660), sample(4, at(61))]).await;
    assert_eq!(gaps(&journal).await, [(0, 61, Why::ClockJumped)]);
    // One that only was silent for an hour.
    take_at(&journal, 121, BOOT, vec![state(5, at(121), 660 + 3600), sample(6, at(121))]).await;
    assert_eq!(gaps(&journal).await.len(), 1);
}

#[tokio::test]
async fn one_sample_from_the_future_hides_no_gap() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    take_at(&journal, 0, BOOT, vec![sample(1, at(0)), sample(2, at(1_000_000))]).await;
    take_at(&journal, 9, at(8), vec![sample(1, at(9))]).await;
    assert_eq!(gaps(&journal).await, [(0, 9, Why::InstanceDown)]);
    assert_eq!(journal.unfiled(10).await.unwrap().len(), 3);
}
