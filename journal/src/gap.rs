//! Why there are no samples for a while. Pure rules.

/// Between two samples more than so many ms apart there is a gap: one comes every minute.
pub(crate) const GAP_MS: u64 = 90_000;
/// The clock was set if it went on by so many ms more or less than the worker's own uptime.
const JUMP_MS: i64 = 30_000;

/// Why there are no samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Why {
    /// The worker was down.
    InstanceDown,
    /// The monitor was down, and what the worker reported meanwhile has not come.
    MonitorDown,
    /// The clock of the worker's machine was set.
    ClockJumped,
}

/// A sample of a worker, as far as gaps are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Point {
    /// Its time, ms since 1970.
    pub(crate) at_ms: u64,
    /// The life of the worker: when it started, ms since 1970.
    pub(crate) boot: u64,
    /// Its number.
    pub(crate) seq: u64,
    /// When the worker started, by the clock and the uptime that it told last before. Both differ from `boot` when the clock was set.
    pub(crate) start_ms: Option<i64>,
}

/// Two samples with none between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) from: Point,
    pub(crate) to: Point,
}

/// What is known of the time and the numbers between two samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Around {
    /// The monitor was not there for a part of it.
    pub(crate) away: bool,
    /// Numbers of the worker's reports in between are missing.
    pub(crate) missing: bool,
}

impl Span {
    /// The gap between two samples, if there is one.
    pub(crate) fn between(from: Point, to: Point) -> Option<Self> {
        (to.at_ms.saturating_sub(from.at_ms) > GAP_MS).then_some(Self { from, to })
    }

    /// What a sample inside leaves of it.
    pub(crate) fn split(self, point: Point) -> impl Iterator<Item = Self> {
        [Self::between(self.from, point), Self::between(point, self.to)].into_iter().flatten()
    }

    /// Why it is; `None` if no reason is known.
    pub(crate) fn why(&self, around: Around) -> Option<Why> {
        let unheard = around.away && around.missing;
        if self.from.boot != self.to.boot {
            // A worker that was up again at once, and whose first reports are missing, was unheard rather than down.
            let up_at_once = self.to.boot <= self.from.at_ms.saturating_add(GAP_MS);
            return Some(if unheard && up_at_once { Why::MonitorDown } else { Why::InstanceDown });
        }
        let starts = self.from.start_ms.zip(self.to.start_ms);
        if starts.is_some_and(|(from, to)| to.saturating_sub(from).saturating_abs() > JUMP_MS) {
            return Some(Why::ClockJumped);
        }
        unheard.then_some(Why::MonitorDown)
    }
}

#[cfg(test)]
#[path = "gap_tests.rs"]
mod tests;
