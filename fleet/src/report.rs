//! What programs of the fleet tell the monitor: the body of `POST /report`, as JSON.
//!
//! Each report has a number of its own within one life ("boot") of one worker. So the monitor takes each once, however often it is
//! sent, and can say which are missing.

use serde::{Deserialize, Deserializer, Serialize};

/// Reports of one worker, in the order of their numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    /// Who reports: `SERVER/PORT` of an instance, `SERVER/front` of a front, `SERVER/controller` of its controller,
    /// `SERVER/monitor`; any text without control characters of at most [`Batch::WORKER_MAX`] bytes.
    pub worker: String,
    /// What it is.
    pub kind: WorkerKind,
    /// One life of the program: the time of its start, ms since 1970. Greater for every later life.
    pub boot: u64,
    /// The reports.
    pub reports: Vec<Report>,
}

impl Batch {
    /// Most bytes of a worker's name.
    pub const WORKER_MAX: usize = 300;
    /// Most reports in one batch.
    pub const REPORTS_MAX: usize = 1000;
    /// Most bytes of a batch as JSON.
    pub const BYTES_MAX: usize = 4 << 20;
}

/// What a worker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkerKind {
    /// An instance of the relay service.
    Instance,
    /// The front of a server.
    Front,
    /// The controller of a front.
    Controller,
    /// The monitor itself.
    Monitor,
    /// Anything else.
    Program,
}

/// One thing told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Its number: 1, 2, 3 within one life of the worker.
    pub seq: u64,
    /// When it happened, ms since 1970.
    pub at_ms: u64,
    /// What happened.
    #[serde(flatten)]
    pub told: Told,
}

/// What is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Told {
    /// The program has started.
    Started,
    /// It ends because it was told to.
    Stopping,
    /// How it is, every 3 s.
    State(WorkerState),
    /// What an instance did in one minute.
    Sample(Sample),
    /// A line of its log.
    Log(LogLine),
    /// A thread of it has panicked.
    Panic {
        /// What the panic said.
        message: String,
        /// Where, as `FILE:LINE:COLUMN`.
        place: String,
    },
}

/// How a worker is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerState {
    /// Resident memory in bytes.
    pub rss_bytes: u64,
    /// CPU time used since it started, user and system, in microseconds.
    pub cpu_us: u64,
    /// Seconds since it started.
    pub uptime_s: u64,
    /// The machine's name.
    pub host: String,
    /// Where it listens; empty if it does not.
    pub address: String,
    /// Its version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Reports that it had to throw away since it started, as neither the monitor nor its disk took them.
    #[serde(default)]
    pub lost: u64,
    /// What it says is wrong with it at present, a sentence each; bounded as [`WorkerState::bounded`] does it, also what comes
    /// from elsewhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "read_bounded")]
    pub wrong: Vec<String>,
}

impl WorkerState {
    /// Most sentences of [`WorkerState::wrong`].
    pub const WRONG_MAX: usize = 20;
    /// Most bytes of each.
    pub const WRONG_BYTES_MAX: usize = 500;

    /// Sentences as they may stand in [`WorkerState::wrong`]: without blank ones, and cut to the bounds rather than refused, as the
    /// rest of the state counts too.
    pub fn bounded(mut sentences: Vec<String>) -> Vec<String> {
        sentences.retain(|sentence| !sentence.trim().is_empty());
        sentences.truncate(Self::WRONG_MAX);
        for sentence in &mut sentences {
            let fits = |end: &usize| sentence.is_char_boundary(*end);
            let end = (0..=Self::WRONG_BYTES_MAX.min(sentence.len())).rev().find(fits).unwrap_or_default();
            sentence.truncate(end);
        }
        sentences
    }
}

fn read_bounded<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Vec::deserialize(deserializer).map(WorkerState::bounded)
}

/// What an instance did in the minute that ended at the report's time: the sources of the original service's archives.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Sample {
    /// Customers whose agents polled.
    pub agents_u: u64,
    /// Customers for whom transactions began.
    pub t_unique: u64,
    /// Transactions begun.
    pub t_started: u64,
    /// Transactions answered in full.
    pub t_completed: u64,
    /// Transactions broken off or timed out.
    pub t_failed: u64,
    /// Bytes of bodies relayed.
    pub bytes: u64,
    /// Milliseconds that the completed transactions took in all.
    pub duration: u64,
    /// CPU time used since the program started, in microseconds.
    pub cpu: u64,
    /// Milliseconds that a completed transaction took on average; 0 without one.
    pub duration_avg: f64,
}

/// A line of a log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogLine {
    /// How much it matters.
    pub level: Level,
    /// What it says.
    pub message: String,
    /// More, by name.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub data: serde_json::Map<String, serde_json::Value>,
}

/// How much a line of a log matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Something to know.
    Info,
    /// Something went well that might not have.
    Success,
    /// Something may need a look.
    Warning,
    /// Something failed.
    Error,
}

/// What the monitor answers: it has, durably, every report of the batch and of this life up to a number, except those that it names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// The greatest number that it has.
    pub upto: u64,
    /// Numbers below that it has not, as first and last: the newest gaps, at most [`Taken::MISSING_MAX`] of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<(u64, u64)>,
}

impl Taken {
    /// Most gaps named.
    pub const MISSING_MAX: usize = 1000;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_as_any_language_writes_it() {
        let text = r#"{"worker":"eu.example.net/8081","kind":"instance","boot":1,"reports":[
            {"seq":1,"at_ms":1000,"type":"started"},
            {"seq":2,"at_ms":2000,"type":"log","level":"warning","message":"late","data":{"ms":7}},
            {"seq":3,"at_ms":60000,"type":"sample","agents_u":1,"t_unique":1,"t_started":2,"t_completed":2,"t_failed":0,
             "bytes":10,"duration":4,"cpu":100,"duration_avg":2.0},
            {"seq":4,"at_ms":60001,"type":"panic","message":"no","place":"a.rs:1:2"},
            {"seq":5,"at_ms":60002,"type":"stopping"}]}"#;
        let batch: Batch = serde_json::from_str(text).unwrap();
        assert_eq!(batch.reports.len(), 5);
        assert!(
            matches!(&batch.reports[1].told, Told::Log(line) if line.level == Level::Warning && line.data["ms"] == 7)
        );
        let again: Batch = serde_json::from_str(&serde_json::to_string(&batch).unwrap()).unwrap();
        assert_eq!(again, batch);
    }
    #[test]
    fn what_is_wrong_is_cut_wherever_it_comes_from() {
        let long = |n: usize| format!("{n}{}", "ä".repeat(300));
        let said: Vec<String> = [" ".to_owned()].into_iter().chain((0..30).map(long)).collect();
        let state = |wrong: serde_json::Value| {
            let text = serde_json::json!({"seq": 1, "at_ms": 1, "type": "state", "rss_bytes": 1, "cpu_us": 1, "uptime_s": 1,
                "host": "", "address": "", "version": "", "pid": 1, "wrong": wrong});
            let report: Report = serde_json::from_value(text).unwrap();
            let Told::State(state) = report.told else { panic!("{report:?}") };
            state
        };
        let heard = state(said.clone().into());
        assert_eq!(heard.wrong, WorkerState::bounded(said));
        assert_eq!(heard.wrong.len(), 20);
        assert!(heard.wrong.iter().all(|sentence| (499..=500).contains(&sentence.len())));
        assert!(heard.wrong[0].starts_with("0ä"));
        // Whoever has nothing to say need not know of it, and nor need whoever listens.
        let well = serde_json::to_value(state(Vec::<String>::new().into())).unwrap();
        assert!(well.get("wrong").is_none());
    }
}
