//! Which numbers of one life of a worker were taken. Pure rules.

use std::collections::BTreeMap;

use switchboard_fleet::report::Taken;

/// Most holes in the numbers of one life.
pub(crate) const HOLES_MAX: usize = 10_000;

/// Numbers of one life of a worker that are missing, and the times of the reports around them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing {
    /// The first number.
    pub first: u64,
    /// The last number.
    pub last: u64,
    /// When the report before them happened, ms since 1970; `None` if there is none.
    pub before_ms: Option<u64>,
    /// When the report after them happened, ms since 1970.
    pub after_ms: u64,
}

/// The numbers taken: all from 1 up to `upto`, except holes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The greatest number taken; 0 if none was.
    pub(crate) upto: u64,
    /// When that report happened.
    pub(crate) upto_ms: u64,
    /// When the report with the lowest number happened.
    pub(crate) first_ms: u64,
    /// How many were taken.
    pub(crate) taken: u64,
    /// What is missing below `upto`, by its first number.
    pub(crate) holes: BTreeMap<u64, Missing>,
}

/// How the holes changed when a number came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Change {
    /// The first number of a hole that is no more.
    pub(crate) closed: Option<u64>,
    /// Holes that are new.
    pub(crate) opened: [Option<Missing>; 2],
}

impl Seen {
    /// Takes a number from 1 on. `None`: it was there, and nothing has changed.
    pub(crate) fn insert(&mut self, seq: u64, at_ms: u64) -> Option<Change> {
        let change = if seq > self.upto {
            let before_ms = (self.taken > 0).then_some(self.upto_ms);
            let hole = Missing { first: self.upto + 1, last: seq - 1, before_ms, after_ms: at_ms };
            (self.upto, self.upto_ms) = (seq, at_ms);
            if self.taken == 0 {
                self.first_ms = at_ms;
            }
            Change { closed: None, opened: [(hole.first <= hole.last).then_some(hole), None] }
        } else {
            let (_, &hole) = self.holes.range(..=seq).next_back().filter(|(_, hole)| seq <= hole.last)?;
            self.holes.remove(&hole.first);
            if hole.first == 1 {
                self.first_ms = at_ms;
            }
            let below = (hole.first < seq).then(|| Missing { last: seq - 1, after_ms: at_ms, ..hole });
            let above = (seq < hole.last).then(|| Missing { first: seq + 1, before_ms: Some(at_ms), ..hole });
            Change { closed: Some(hole.first), opened: [below, above] }
        };
        self.taken += 1;
        self.holes.extend(change.opened.iter().flatten().map(|hole| (hole.first, *hole)));
        Some(change)
    }

    /// Whether these numbers can be taken without more holes than are allowed.
    pub(crate) fn has_room_for(&self, numbers: &[u64]) -> bool {
        if self.holes.len() + numbers.len() <= HOLES_MAX {
            return true;
        }
        let mut after = self.clone();
        for seq in numbers {
            after.insert(*seq, 0);
        }
        after.holes.len() <= HOLES_MAX.max(self.holes.len())
    }

    /// How many numbers below the greatest are missing.
    pub(crate) fn missing(&self) -> u64 {
        self.upto - self.taken
    }

    /// What the worker is told: the newest holes, as far as they may be named.
    pub(crate) fn taken(&self) -> Taken {
        let newest = self.holes.values().rev().take(Taken::MISSING_MAX);
        let mut missing: Vec<_> = newest.map(|hole| (hole.first, hole.last)).collect();
        missing.reverse();
        Taken { upto: self.upto, missing }
    }
}

#[cfg(test)]
#[path = "seen_tests.rs"]
mod tests;
