//! Everything that the monitor has not: on disk what is older, in memory what has just come.

use std::time::Duration;

use crate::{file_name::FileName, line::Line, recent::Recent, spool::Spool};

/// The reports that wait to be taken.
#[derive(Debug)]
pub(crate) struct Backlog {
    spool: Spool,
    recent: Recent,
    boot: u64,
    lost: u64,
}

/// Reports of one life that go together.
#[derive(Debug)]
pub(crate) struct Outgoing {
    /// Whose they are.
    pub(crate) boot: u64,
    /// They.
    pub(crate) lines: Vec<Line>,
    /// Where they come from, if not from memory.
    file: Option<FileName>,
}

impl Backlog {
    /// What earlier lives left, and nothing of this one.
    pub(crate) fn new(spool: Spool, boot: u64, memory_bytes: usize) -> Self {
        Self { spool, recent: Recent::new(memory_bytes), boot, lost: 0 }
    }

    /// Adds what came from the queue at `now`.
    pub(crate) fn add(&mut self, now: Duration, lines: Vec<Line>) {
        if self.recent.add(now, lines) {
            self.save();
        }
    }

    /// Adds a file that was written beside.
    pub(crate) fn adopt(&mut self, name: FileName, bytes: u64) {
        self.spool.adopt(name, bytes);
    }

    /// Saves to disk what is in memory; what does not go there and is too much for memory is lost.
    pub(crate) fn save(&mut self) {
        if let Some(upto) = self.spool.append(self.recent.iter()) {
            self.recent.forget(upto);
        }
        self.lost += self.recent.shrink() + self.spool.take_lost();
    }

    /// Saves if something has been in memory for so long at `now`.
    pub(crate) fn save_older(&mut self, now: Duration, age: Duration) {
        if self.recent.since().is_some_and(|since| now.saturating_sub(since) >= age) {
            self.save();
        }
    }

    /// Whether nothing is here.
    pub(crate) fn is_empty(&self) -> bool {
        self.recent.is_empty() && self.spool.is_empty()
    }

    /// The oldest, of one life.
    pub(crate) fn next(&mut self, reports_max: usize, bytes_max: usize) -> Option<Outgoing> {
        if let Some((name, lines)) = self.spool.next(reports_max, bytes_max) {
            return Some(Outgoing { boot: name.boot, lines, file: Some(name) });
        }
        let mut bytes = 0;
        let fits = |line: &&Line| {
            let is_first = bytes == 0;
            bytes += line.text.len();
            is_first || bytes <= bytes_max
        };
        let lines: Vec<Line> = self.recent.iter().take(reports_max).take_while(fits).cloned().collect();
        (!lines.is_empty()).then_some(Outgoing { boot: self.boot, lines, file: None })
    }

    /// Nothing is on its way any more.
    pub(crate) fn landed(&mut self) {
        self.spool.release();
    }

    /// The first `count` reports of what went out need not go again. Those that were saved in the meantime do: the monitor
    /// knows them by their numbers.
    pub(crate) fn done(&mut self, outgoing: &Outgoing, count: usize) {
        let Some(last) = outgoing.lines.get(..count).and_then(<[Line]>::last) else { return };
        match outgoing.file {
            Some(name) => self.spool.done(name, last.seq),
            None => self.recent.forget(last.seq),
        }
    }

    /// How many reports were thrown away since this was last asked.
    pub(crate) fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }
}
