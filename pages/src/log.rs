//! What programs logged, and their starts, stops and panics.

use askama::{Template, filters::Safe};
use serde_json::Value;
use switchboard_fleet::report::{Level, LogLine};

use crate::{
    frame::{Frame, Page, Place},
    health::{BOLT, CROSS, DOT, PLAY, SQUARE, TICK, TRIANGLE, shape},
    query::{LEVELS, LogQuery, Point, level_word},
    text::{lines, shown},
    url,
};

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// When it happened, by the worker's clock, ms since 1970.
    pub at_ms: u64,
    /// Whose it is.
    pub worker: String,
    /// What happened.
    pub what: What,
}

/// What a line tells.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// The program started.
    Started,
    /// It said that it stops.
    Stopping,
    /// A line of its log.
    Log(LogLine),
    /// A thread of it panicked.
    Panic {
        /// What the panic said.
        message: String,
        /// Where, as `FILE:LINE:COLUMN`.
        place: String,
    },
}

impl Line {
    pub(crate) fn address(&self) -> String {
        url::worker(&self.worker)
    }

    pub(crate) fn word(&self) -> &'static str {
        match &self.what {
            What::Started => "started",
            What::Stopping => "stopping",
            What::Log(line) => level_word(line.level),
            What::Panic { .. } => "panic",
        }
    }

    pub(crate) fn tone(&self) -> &'static str {
        match &self.what {
            What::Log(line) => match line.level {
                Level::Info => "quiet",
                Level::Success => "good",
                Level::Warning => "warn",
                Level::Error => "bad",
            },
            What::Panic { .. } => "bad",
            What::Started | What::Stopping => "quiet",
        }
    }

    pub(crate) fn shape(&self) -> Safe<String> {
        shape(match &self.what {
            What::Started => PLAY,
            What::Stopping => SQUARE,
            What::Panic { .. } => BOLT,
            What::Log(line) => match line.level {
                Level::Info => DOT,
                Level::Success => TICK,
                Level::Warning => TRIANGLE,
                Level::Error => CROSS,
            },
        })
    }

    pub(crate) fn message(&self) -> String {
        match &self.what {
            What::Started => "The program has started.".into(),
            What::Stopping => "The program stops, as it was told to.".into(),
            What::Log(line) => lines(&line.message),
            What::Panic { message, .. } => lines(message),
        }
    }

    /// More, by name.
    pub(crate) fn data(&self) -> Vec<(String, String)> {
        match &self.what {
            What::Log(line) => line.data.iter().map(|(key, value)| (shown(key), plain(value))).collect(),
            What::Panic { place, .. } => vec![("place".into(), shown(place))],
            What::Started | What::Stopping => Vec::new(),
        }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => lines(text),
        other => lines(&other.to_string()),
    }
}

/// Lines and what to look for: `/log`.
#[derive(Debug, Clone, PartialEq, Template)]
#[template(path = "log.html")]
pub struct Log {
    /// What stands around it.
    pub frame: Frame,
    /// What was asked for.
    pub query: LogQuery,
    /// The workers that can be chosen.
    pub workers: Vec<String>,
    /// What was found, the newest first.
    pub lines: Vec<Line>,
    /// What `before` asks for the next page, if there is one.
    pub older: Option<String>,
}

impl Page for Log {}

impl Log {
    pub(crate) fn place(&self) -> Place {
        Place::Log
    }

    pub(crate) fn levels(&self) -> [(Level, &'static str); 4] {
        LEVELS.map(|level| (level, level_word(level)))
    }

    pub(crate) fn is_least(&self, level: &Level) -> bool {
        self.query.least == Some(*level)
    }

    pub(crate) fn is_worker(&self, name: &str) -> bool {
        self.query.worker.as_deref() == Some(name)
    }

    /// A worker asked for that is not among those that can be chosen.
    pub(crate) fn stray(&self) -> Option<&String> {
        self.query.worker.as_ref().filter(|name| !self.workers.contains(name))
    }

    pub(crate) fn text(&self) -> &str {
        self.query.text.as_deref().unwrap_or_default()
    }

    /// A time for a field of a form, which takes no day alone.
    pub(crate) fn field(&self, point: &Option<Point>, is_end: bool) -> String {
        match point {
            None => String::new(),
            Some(point) if point.text.contains('T') => point.text.trim_end_matches('Z').into(),
            Some(point) if point.text.contains(' ') => point.text.trim_end_matches('Z').replace(' ', "T"),
            Some(point) => format!("{}{}", point.text, if is_end { "T23:59" } else { "T00:00" }),
        }
    }

    pub(crate) fn is_narrowed(&self) -> bool {
        LogQuery { before: None, ..self.query.clone() } != LogQuery::default()
    }

    pub(crate) fn older_address(&self, before: &str) -> String {
        LogQuery { before: Some(before.into()), ..self.query.clone() }.address()
    }

    pub(crate) fn newest_address(&self) -> String {
        LogQuery { before: None, ..self.query.clone() }.address()
    }
}
