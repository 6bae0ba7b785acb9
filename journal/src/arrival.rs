//! What comes in, and what its sender is told.

use switchboard_fleet::report::{Batch, Report, Taken, Told, WorkerState};
use tokio::sync::oneshot;

use crate::error::TakeError;

/// Log lines, starts, stops and panics kept of a worker that is not in the configuration.
pub const UNKNOWN_LINES: u32 = 1000;
/// Most bytes of such a line's message, which is cut to it, and of its data, which is left out if it has more.
pub const UNKNOWN_LINE_BYTES: usize = 4096;
/// The same of any line: it is for people to read.
pub const LINE_BYTES: usize = 32 << 10;
/// A day, in ms.
const DAY_MS: u64 = 86_400_000;
/// The greatest number of a report, and the latest boot: 2^53 - 1, the greatest integer that every language's JSON holds. Sums of them
/// stay far from the bounds of the database.
const NUMBER_MAX: u64 = (1 << 53) - 1;
/// Most bytes of each text in a state.
const STATE_TEXT_MAX: usize = 1000;

/// A batch that has come.
#[derive(Debug, Clone, PartialEq)]
pub struct Arrival {
    /// What was sent.
    pub batch: Batch,
    /// When it came, by this machine's clock, ms since 1970.
    pub heard_ms: u64,
    /// Whether its worker is in the configuration.
    pub standing: Standing,
}

/// Whether a worker is in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// It is. Each line is cut to [`LINE_BYTES`].
    Known,
    /// It is not: its samples are not kept, and of its lines only the newest [`UNKNOWN_LINES`], none with more than
    /// [`UNKNOWN_LINE_BYTES`]. What was kept while it was known stays.
    Unknown,
}

/// What was taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Receipt {
    /// The answer for the worker: all of this life that is kept durably.
    pub taken: Taken,
    /// The reports that were not there before, in the order of their numbers. This is the only time that they are given.
    pub fresh: Vec<Report>,
    /// How many more of this life's numbers are missing now than before; fewer, if it is negative.
    pub missing_change: i64,
}

/// What the writer says of a batch.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) taken: Taken,
    /// Places of the fresh reports in the batch, in the order of their numbers.
    pub(crate) fresh: Vec<usize>,
    pub(crate) missing_change: i64,
}

/// Where the writer says it.
pub(crate) type TakeAnswer = oneshot::Sender<Result<Outcome, TakeError>>;

/// A batch made ready by its taker, so that the writer has less to do.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) worker: String,
    pub(crate) kind: &'static str,
    pub(crate) boot: u64,
    pub(crate) heard_ms: u64,
    pub(crate) standing: Standing,
    /// In the order of their numbers.
    pub(crate) items: Vec<Item>,
    /// About so much memory it takes.
    pub(crate) bytes: usize,
}

/// One report of it.
#[derive(Debug)]
pub(crate) struct Item {
    /// Its place in the batch.
    pub(crate) index: usize,
    pub(crate) seq: u64,
    pub(crate) at_ms: u64,
    pub(crate) thing: Thing,
}

/// What is to be written of a report.
#[derive(Debug)]
pub(crate) enum Thing {
    /// The state as JSON.
    State {
        text: String,
        uptime_s: u64,
        lost: u64,
    },
    /// The sample as JSON.
    Sample(String),
    Entry(Entry),
}

/// A row of the log.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) kind: EntryKind,
    pub(crate) level: i64,
    pub(crate) message: String,
    /// The data of a line as JSON, the place of a panic.
    pub(crate) extra: Option<String>,
}

/// What a row of the log is, by the number that it has in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EntryKind {
    Log = 0,
    Panic = 1,
    Started = 2,
    Stopping = 3,
}

impl Prepared {
    /// Looks at a batch and makes it ready.
    pub(crate) fn new(arrival: &Arrival) -> Result<Self, TakeError> {
        let Arrival { batch, heard_ms, standing } = arrival;
        check(batch).map_err(TakeError::Invalid)?;
        let mut items = Vec::with_capacity(batch.reports.len());
        for (index, report) in batch.reports.iter().enumerate() {
            let thing = thing(&report.told, *standing).map_err(TakeError::Invalid)?;
            items.push(Item { index, seq: report.seq, at_ms: clamped(report.at_ms), thing });
        }
        items.sort_by_key(|item| item.seq);
        let bytes = batch.worker.len() + items.iter().map(Item::bytes).sum::<usize>();
        let (kind, boot, heard_ms) = (crate::kind::as_str(batch.kind), batch.boot, clamped(*heard_ms));
        Ok(Self { worker: batch.worker.clone(), kind, boot, heard_ms, standing: *standing, items, bytes })
    }
}

impl Item {
    fn bytes(&self) -> usize {
        let text = match &self.thing {
            Thing::State { text, .. } | Thing::Sample(text) => text.len(),
            Thing::Entry(entry) => entry.message.len() + entry.extra.as_ref().map_or(0, String::len),
        };
        size_of::<Self>() + text
    }
}

impl Prepared {
    /// Whether a boot is further ahead than a clock that is a day wrong makes it: a mistake in its unit, most likely.
    pub(crate) fn is_beyond(&self, boot: u64) -> bool {
        boot > self.heard_ms.saturating_add(DAY_MS)
    }
}

/// A time as the database can hold it.
fn clamped(ms: u64) -> u64 {
    ms.min(i64::MAX.unsigned_abs())
}

fn check(batch: &Batch) -> Result<(), String> {
    let name = &batch.worker;
    if name.is_empty() || name.len() > Batch::WORKER_MAX || name.chars().any(char::is_control) {
        return Err(format!("worker: 1 to {} bytes without control characters", Batch::WORKER_MAX));
    }
    if batch.reports.len() > Batch::REPORTS_MAX {
        return Err(format!("reports: {} of them, at most {}", batch.reports.len(), Batch::REPORTS_MAX));
    }
    if batch.boot > NUMBER_MAX {
        return Err(format!("boot: {} is no time in ms since 1970", batch.boot));
    }
    match batch.reports.iter().find(|report| report.seq == 0 || report.seq > NUMBER_MAX) {
        Some(report) => Err(format!("seq: {} is no number of a report: they count 1, 2, 3", report.seq)),
        None => Ok(()),
    }
}

fn thing(told: &Told, standing: Standing) -> Result<Thing, String> {
    let most = if standing == Standing::Known { LINE_BYTES } else { UNKNOWN_LINE_BYTES };
    let text = |text: &str| {
        let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
        text[..end.unwrap_or(0)].to_owned()
    };
    let entry = |kind, level, message: &str, extra: Option<String>| {
        let extra = extra.filter(|extra| extra.len() <= most);
        Ok(Thing::Entry(Entry { kind, level, message: text(message), extra }))
    };
    let json = |json: serde_json::Result<String>| json.map_err(|error| error.to_string());
    match told {
        Told::Started => entry(EntryKind::Started, 0, "", None),
        Told::Stopping => entry(EntryKind::Stopping, 0, "", None),
        Told::Log(line) if line.data.is_empty() => {
            entry(EntryKind::Log, line.level as i64, &line.message, None)
        }
        Told::Log(line) => {
            let data = json(serde_json::to_string(&line.data))?;
            entry(EntryKind::Log, line.level as i64, &line.message, Some(data))
        }
        Told::Panic { message, place } => entry(EntryKind::Panic, 3, message, Some(text(place))),
        Told::Sample(sample) if !sample.duration_avg.is_finite() => {
            Err("duration_avg: no finite number".into())
        }
        Told::Sample(sample) => Ok(Thing::Sample(json(serde_json::to_string(sample))?)),
        Told::State(state) => {
            check_state(state)?;
            let text = json(serde_json::to_string(state))?;
            Ok(Thing::State { text, uptime_s: state.uptime_s, lost: clamped(state.lost) })
        }
    }
}

fn check_state(state: &WorkerState) -> Result<(), String> {
    for (name, text) in [("host", &state.host), ("address", &state.address), ("version", &state.version)] {
        if text.len() > STATE_TEXT_MAX {
            return Err(format!("{name}: {} bytes, at most {STATE_TEXT_MAX}", text.len()));
        }
    }
    Ok(())
}
