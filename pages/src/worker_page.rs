//! One worker: how it is, its lives, its charts, its last lines.

use askama::Template;
use switchboard_alert::letter::count;

use crate::{
    charts::Chart,
    frame::{Frame, Page, Place},
    incidents::Incident,
    log::Line,
    numbers::thousands,
    query::LogQuery,
    worker::Worker,
};

/// Gaps named of one life.
const GAPS_MAX: usize = 50;

/// One worker: `/workers/NAME`.
#[derive(Debug, Clone, PartialEq, Template)]
#[template(path = "worker.html")]
pub struct WorkerPage {
    /// What stands around it.
    pub frame: Frame,
    /// How it is.
    pub worker: Worker,
    /// Open incidents that concern it.
    pub incidents: Vec<Incident>,
    /// Its lives, the newest first.
    pub lives: Vec<Life>,
    /// Its charts of the last hour.
    pub charts: Vec<Chart>,
    /// Its last lines, the newest first.
    pub lines: Vec<Line>,
}

/// One life of a worker: from a start of the program to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Life {
    /// When it started, ms since 1970.
    pub boot_ms: u64,
    /// When its last report was made, ms since 1970.
    pub last_ms: u64,
    /// Reports taken.
    pub taken: u64,
    /// The numbers that are missing.
    pub missing: Vec<Missing>,
    /// Reports that the worker itself says it had to throw away.
    pub lost: u64,
}

/// Reports that are missing between two that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing {
    /// The first number.
    pub first: u64,
    /// The last number.
    pub last: u64,
    /// When the report before it was made, ms since 1970.
    pub after_ms: Option<u64>,
    /// When the report behind it was made, ms since 1970.
    pub before_ms: Option<u64>,
}

impl Page for WorkerPage {}

impl WorkerPage {
    pub(crate) fn place(&self) -> Place {
        Place::Elsewhere
    }

    pub(crate) fn log_address(&self) -> String {
        LogQuery { worker: Some(self.worker.name.clone()), ..LogQuery::default() }.address()
    }

    pub(crate) fn is_unknown(&self) -> bool {
        self.worker.health == crate::Health::Unknown
    }
}

impl Life {
    fn missing_count(&self) -> u64 {
        let each = self.missing.iter().map(|gap| gap.last.saturating_sub(gap.first).saturating_add(1));
        each.fold(0, u64::saturating_add)
    }

    /// `0 lost`.
    pub(crate) fn lost_words(&self) -> String {
        format!("{} lost", thousands(self.missing_count() as f64))
    }

    pub(crate) fn taken_words(&self) -> String {
        thousands(self.taken as f64)
    }

    pub(crate) fn gaps(&self) -> &[Missing] {
        &self.missing[..self.missing.len().min(GAPS_MAX)]
    }

    pub(crate) fn more(&self) -> Option<String> {
        let more = self.missing.len().saturating_sub(GAPS_MAX);
        (more > 0).then(|| format!("And {}.", count(more, "more gap", "more gaps")))
    }
}

impl Missing {
    /// `numbers 4 to 9 (6 reports)`.
    pub(crate) fn numbers(&self) -> String {
        match self.last.saturating_sub(self.first) {
            0 => format!("number {}", self.first),
            more => {
                format!("numbers {} to {} ({} reports)", self.first, self.last, thousands(more as f64 + 1.0))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_in_words() {
        let gap = |first, last| Missing { first, last, after_ms: None, before_ms: None };
        let mut life = Life { boot_ms: 0, last_ms: 0, taken: 1, missing: vec![], lost: 0 };
        assert_eq!(life.lost_words(), "0 lost");
        life.missing = vec![gap(4, 9), gap(12, 12)];
        assert_eq!(life.lost_words(), "7 lost");
        assert_eq!(life.gaps()[0].numbers(), "numbers 4 to 9 (6 reports)");
        assert_eq!(life.gaps()[1].numbers(), "number 12");
        life.missing = vec![gap(0, u64::MAX); 60];
        assert_eq!((life.gaps().len(), life.more().as_deref()), (50, Some("And 10 more gaps.")));
    }
}
