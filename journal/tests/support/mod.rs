//! Batches as workers send them.

#![allow(dead_code, reason = "each test uses a part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::Path;

use serde_json::{Map, Value};
use switchboard_fleet::report::{Batch, Level, LogLine, Report, Sample, Told, WorkerKind, WorkerState};
use switchboard_journal::{Arrival, Journal, JournalError, LineQuery, Memory, Receipt, Standing, What};

/// When all tests happen, ms since 1970: a full minute.
pub(crate) const NOW: u64 = 1_700_000_040_000;
/// The start of the worker in them.
pub(crate) const BOOT: u64 = NOW - 600_000;

pub(crate) fn open(folder: &Path) -> (Journal, Memory) {
    Journal::open(folder, NOW).unwrap()
}

pub(crate) fn open_error(folder: &Path) -> JournalError {
    Journal::open(folder, NOW).err().unwrap()
}

pub(crate) fn report(seq: u64, at_ms: u64, told: Told) -> Report {
    Report { seq, at_ms, told }
}

pub(crate) fn log(seq: u64, at_ms: u64, level: Level, message: &str) -> Report {
    report(seq, at_ms, Told::Log(LogLine { level, message: message.into(), data: Map::new() }))
}

pub(crate) fn log_with(seq: u64, at_ms: u64, message: &str, name: &str, value: impl Into<Value>) -> Report {
    let data = Map::from_iter([(name.to_owned(), value.into())]);
    report(seq, at_ms, Told::Log(LogLine { level: Level::Info, message: message.into(), data }))
}

pub(crate) fn info(seq: u64) -> Report {
    log(seq, NOW + seq, Level::Info, &format!("line {seq}"))
}

pub(crate) fn state_of(uptime_s: u64) -> WorkerState {
    WorkerState {
        rss_bytes: 1 << 24,
        cpu_us: 10,
        uptime_s,
        host: "eu1".into(),
        address: "127.0.0.1:8081".into(),
        version: "0.1.0".into(),
        pid: 7,
        lost: 0,
        wrong: Vec::new(),
    }
}

pub(crate) fn state(seq: u64, at_ms: u64, uptime_s: u64) -> Report {
    report(seq, at_ms, Told::State(state_of(uptime_s)))
}

pub(crate) fn sample(seq: u64, at_ms: u64) -> Report {
    let sample = Sample { bytes: u64::MAX, cpu: seq, duration_avg: 0.1, ..Sample::default() };
    report(seq, at_ms, Told::Sample(sample))
}

pub(crate) fn panic(seq: u64, at_ms: u64) -> Report {
    report(seq, at_ms, Told::Panic { message: "it broke".into(), place: "src/a.rs:1:2".into() })
}

pub(crate) fn batch(worker: &str, boot: u64, reports: Vec<Report>) -> Batch {
    Batch { worker: worker.into(), kind: WorkerKind::Instance, boot, reports }
}

pub(crate) fn known(worker: &str, boot: u64, reports: Vec<Report>) -> Arrival {
    Arrival { batch: batch(worker, boot, reports), heard_ms: NOW, standing: Standing::Known }
}

pub(crate) fn unknown(worker: &str, boot: u64, reports: Vec<Report>) -> Arrival {
    Arrival { standing: Standing::Unknown, ..known(worker, boot, reports) }
}

pub(crate) async fn take(journal: &Journal, arrival: Arrival) -> Receipt {
    journal.take(arrival).await.unwrap()
}

/// The messages of the newest lines.
pub(crate) async fn messages(journal: &Journal, query: LineQuery) -> Vec<String> {
    let lines = journal.lines(query).await.unwrap();
    lines
        .into_iter()
        .map(|line| match line.what {
            What::Log(line) => line.message,
            What::Panic { message, .. } => message,
            What::Started => "started".into(),
            What::Stopping => "stopping".into(),
        })
        .collect()
}

/// All lines of a worker, page by page, the oldest first, as their numbers.
pub(crate) async fn numbers(journal: &Journal, worker: &str) -> Vec<u64> {
    let mut numbers = Vec::new();
    let mut query = LineQuery { worker: Some(worker.into()), limit: 500, ..LineQuery::default() };
    loop {
        let page = journal.lines(query.clone()).await.unwrap();
        numbers.extend(page.iter().map(|line| line.seq));
        let Some(last) = page.last() else { break };
        query.before = Some(last.id);
    }
    numbers.reverse();
    numbers
}
