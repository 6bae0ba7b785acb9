//! A report as text: one line of JSON. In the queue, in memory and on disk it stays that line; a batch is lines joined.

use serde::Serialize;
use switchboard_fleet::report::{Batch, LogLine, Report, Told, WorkerKind, WorkerState};

/// Most bytes of a line. A longer report is cut.
pub(crate) const LINE_MAX: usize = 16 << 10;
/// Most bytes of a text in a report that was cut. Escaped as JSON they become at most six times as many.
const CUT_TEXT_MAX: usize = 1 << 10;

/// A numbered report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// Its number.
    pub(crate) seq: u64,
    /// Whether it is a state: the first to go when there is no room, as the next one says it anew.
    pub(crate) is_state: bool,
    /// A [`Report`] as JSON, without a line's end.
    pub(crate) text: Box<str>,
}

/// A report as JSON that lacks its number still.
#[derive(Debug)]
pub(crate) struct Unnumbered {
    rest: String,
    is_state: bool,
}

#[derive(Serialize)]
struct Rest<'a> {
    at_ms: u64,
    #[serde(flatten)]
    told: &'a Told,
}

impl Unnumbered {
    /// Of something that happened at `at_ms`, cut to [`LINE_MAX`]. `None` if it cannot be written as JSON.
    pub(crate) fn new(at_ms: u64, told: Told) -> Option<Self> {
        let is_state = matches!(told, Told::State(_));
        let text = serde_json::to_string(&Rest { at_ms, told: &told }).ok()?;
        let text = if text.len() + NUMBER_MAX > LINE_MAX {
            serde_json::to_string(&Rest { at_ms, told: &cut(told) }).ok()?
        } else {
            text
        };
        Some(Self { rest: text.strip_prefix('{')?.to_owned(), is_state })
    }

    /// With its number.
    pub(crate) fn number(&self, seq: u64) -> Line {
        let text = format!("{{\"seq\":{seq},{}", self.rest).into_boxed_str();
        Line { seq, is_state: self.is_state, text }
    }
}

/// Most bytes that a number adds: `"seq":`, 20 digits and a comma.
const NUMBER_MAX: usize = 27;

impl Line {
    /// A line as it was written by [`Unnumbered::number`]; `None` for anything else.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let text = str::from_utf8(text).ok()?;
        let report: Report = serde_json::from_str(text).ok()?;
        Some(Self { seq: report.seq, is_state: matches!(report.told, Told::State(_)), text: text.into() })
    }
}

/// A [`Batch`] as JSON.
pub(crate) fn batch(worker: &str, kind: WorkerKind, boot: u64, lines: &[Line]) -> Option<String> {
    let head = Batch { worker: worker.to_owned(), kind, boot, reports: Vec::new() };
    let head = serde_json::to_string(&head).ok()?;
    let mut text =
        String::with_capacity(head.len() + lines.iter().map(|line| line.text.len() + 1).sum::<usize>());
    text.push_str(head.strip_suffix("]}")?);
    for (index, line) in lines.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.push_str(&line.text);
    }
    text.push_str("]}");
    Some(text)
}

/// What is left of a report that is too long.
fn cut(told: Told) -> Told {
    match told {
        Told::Log(line) => {
            let mut data = serde_json::Map::new();
            data.insert("cut".to_owned(), true.into());
            Told::Log(LogLine { level: line.level, message: cut_text(line.message, CUT_TEXT_MAX), data })
        }
        Told::Panic { message, place } => {
            Told::Panic { message: cut_text(message, CUT_TEXT_MAX), place: cut_text(place, CUT_TEXT_MAX) }
        }
        Told::State(mut state) => {
            for text in [&mut state.host, &mut state.address, &mut state.version] {
                *text = cut_text(std::mem::take(text), CUT_TEXT_MAX / 4);
            }
            state.wrong.truncate(WorkerState::WRONG_MAX);
            for sentence in &mut state.wrong {
                *sentence = cut_text(std::mem::take(sentence), CUT_TEXT_MAX / 16);
            }
            Told::State(state)
        }
        Told::Started | Told::Stopping | Told::Sample(_) => told,
    }
}

fn cut_text(mut text: String, bytes_max: usize) -> String {
    let fits = |end: &usize| text.is_char_boundary(*end);
    let end = (0..=bytes_max.min(text.len())).rev().find(fits).unwrap_or_default();
    text.truncate(end);
    text
}

#[cfg(test)]
#[path = "line_tests.rs"]
mod tests;
