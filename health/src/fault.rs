//! What speaks against a backend.

use crate::{
    Limits,
    memory::{BadCheck, Memory},
    share::Middle,
    window::{NEWEST, Tally},
};

/// The newest seconds are judged alone from so many times [`Limits::requests_min`]: of fewer, chance makes too much.
const NEWEST_REQUESTS: u32 = 10;

/// What speaks against a backend.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fault {
    /// Nobody listens there.
    Refused { count: u32, span_ms: u64 },
    /// It does not pass its checks.
    Checks { row: u32, last: BadCheck },
    /// Too many requests fail.
    Rate { tally: Tally, newest: bool },
}

/// The backends in the middle, by all that is in the window and by the newest seconds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Middles {
    whole: Option<Middle>,
    newest: Option<Middle>,
}

impl Middles {
    pub(crate) fn of<'a>(
        memories: impl Iterator<Item = &'a Memory> + Clone,
        limits: &Limits,
        now_ms: u64,
    ) -> Self {
        let enough = |tally: &Tally| tally.counts.requests >= limits.requests_min;
        let whole = memories.clone().map(|memory| memory.window.whole(now_ms));
        let newest = memories.map(|memory| memory.window.newest(now_ms));
        Self { whole: Middle::of(whole.filter(enough)), newest: Middle::of(newest.filter(enough)) }
    }
}

impl Fault {
    /// What speaks against a backend when a share of failures from `failed_share` is bad.
    pub(crate) fn of(memory: &Memory, limits: &Limits, failed_share: f64, now_ms: u64) -> Option<Self> {
        let refusals = memory.refusals;
        let span_ms = now_ms.saturating_sub(refusals.first_ms);
        if refusals.count >= limits.refused && span_ms <= limits.refused_within_ms {
            return Some(Self::Refused { count: refusals.count, span_ms });
        }
        if let Some(last) = memory.last_bad.filter(|_| memory.bad_row >= limits.bad_checks) {
            return Some(Self::Checks { row: memory.bad_row, last });
        }
        let tally = memory.window.whole(now_ms);
        if tally.failed() < limits.failures_min {
            return None;
        }
        // In one second only it is a burst.
        if is_bad(&tally, limits, failed_share) && tally.failing > 1 {
            return Some(Self::Rate { tally, newest: false });
        }
        let tally = memory.window.newest(now_ms);
        let enough = tally.counts.requests >= limits.requests_min.saturating_mul(NEWEST_REQUESTS);
        // Sums would let one bad second speak for three.
        let steady = tally.seconds == NEWEST && f64::from(tally.low_permille) >= failed_share * 500.0;
        let bad = enough && steady && is_bad(&tally, limits, failed_share);
        bad.then_some(Self::Rate { tally, newest: true })
    }

    /// Whether it is this backend, and not all of them alike.
    pub(crate) fn is_its_own(&self, middles: &Middles, limits: &Limits) -> bool {
        let Self::Rate { tally, newest } = self else { return true };
        let middle = if *newest { middles.newest } else { middles.whole };
        middle.is_none_or(|middle| middle.is_passed_by(tally, limits))
    }
}

fn is_bad(tally: &Tally, limits: &Limits, failed_share: f64) -> bool {
    tally.counts.requests >= limits.requests_min
        && tally.failed() >= limits.failures_min
        && tally.share() >= failed_share
}
