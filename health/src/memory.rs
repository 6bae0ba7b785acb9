//! What is known of one backend.

use serde::{Deserialize, Serialize};

use crate::{Cause, Check, Counts, Limits, State, Switch, window::Window};

/// Where a backend is on its way out and back, whatever the operator says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "phase")]
pub(crate) enum Phase {
    Up { since_ms: u64 },
    SlowStart { since_ms: u64 },
    Ejected { since_ms: u64, until_ms: u64, why: String },
}

/// The last bad check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadCheck {
    Failed(Cause),
    Slow { ms: u32 },
}

/// Refused connections with hardly anything else in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Refusals {
    pub(crate) count: u32,
    pub(crate) first_ms: u64,
}

/// All that is remembered of a backend. What it did of late is not stored: after a restart it would be stale.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Memory {
    pub(crate) phase: Phase,
    pub(crate) switch: Switch,
    pub(crate) switched_ms: u64,
    /// What the operator leaves it of its configured weight.
    pub(crate) operator_percent: u8,
    /// What it is to have now, after all.
    pub(crate) weight_percent: u8,
    /// Ejections in a row.
    pub(crate) ejections: u32,
    /// When one of them was last forgotten, or when that time began.
    pub(crate) forgiven_ms: u64,
    #[serde(skip)]
    pub(crate) window: Window,
    #[serde(skip)]
    pub(crate) refusals: Refusals,
    #[serde(skip)]
    pub(crate) good_row: u32,
    #[serde(skip)]
    pub(crate) bad_row: u32,
    #[serde(skip)]
    pub(crate) last_bad: Option<BadCheck>,
}

impl Memory {
    pub(crate) fn new(phase: Phase, now_ms: u64) -> Self {
        Self {
            phase,
            switch: Switch::On,
            switched_ms: now_ms,
            operator_percent: 100,
            weight_percent: 0,
            ejections: 0,
            forgiven_ms: now_ms,
            window: Window::default(),
            refusals: Refusals::default(),
            good_row: 0,
            bad_row: 0,
            last_bad: None,
        }
    }

    /// Whether the operator leaves it to the rules at all.
    pub(crate) fn in_rotation(&self) -> bool {
        self.switch == Switch::On && self.operator_percent > 0
    }

    pub(crate) fn is_ejected(&self) -> bool {
        matches!(self.phase, Phase::Ejected { .. })
    }

    /// Whether its checks say that it is well enough to come back.
    pub(crate) fn is_healed(&self, limits: &Limits) -> bool {
        self.good_row >= limits.good_checks && self.bad_row == 0
    }

    /// Forgets what it did of late.
    pub(crate) fn forget(&mut self) {
        self.window.clear();
        self.refusals = Refusals::default();
        (self.good_row, self.bad_row, self.last_bad) = (0, 0, None);
    }

    /// Nobody looked from `from_ms` to `to_ms`, or the clock was set back.
    pub(crate) fn skip(&mut self, from_ms: u64, to_ms: u64) {
        self.forget();
        self.forgiven_ms = to_ms;
        let back = from_ms.saturating_sub(to_ms);
        match &mut self.phase {
            // Who was not watched meanwhile did not show that it is well.
            Phase::SlowStart { since_ms } => {
                *since_ms = since_ms.saturating_add(to_ms.saturating_sub(from_ms)).saturating_sub(back);
            }
            Phase::Up { since_ms } => *since_ms = since_ms.saturating_sub(back),
            Phase::Ejected { since_ms, until_ms, .. } => {
                *since_ms = since_ms.saturating_sub(back);
                *until_ms = until_ms.saturating_sub(back);
            }
        }
    }

    /// Takes in requests that ended.
    pub(crate) fn note_counts(&mut self, limits: &Limits, now_ms: u64, counts: &Counts) {
        let counts = counts.limited_to(&limits.causes);
        self.window.add(now_ms, &counts);
        let refused = counts.failures.get(Cause::Refused);
        if counts.requests > 0 && u64::from(refused) * 2 >= u64::from(counts.requests) {
            self.note_refused(limits, now_ms, refused);
        } else if counts.requests > 0 {
            self.refusals = Refusals::default();
        }
    }

    /// Takes in a check.
    pub(crate) fn note_check(&mut self, limits: &Limits, now_ms: u64, check: Check) {
        let bad = match check {
            Check::Good { ms } if ms <= limits.check_max_ms => {
                self.good_row = self.good_row.saturating_add(1);
                self.bad_row = 0;
                self.refusals = Refusals::default();
                return;
            }
            Check::Good { ms } => BadCheck::Slow { ms },
            Check::Bad(cause) => BadCheck::Failed(cause),
        };
        self.good_row = 0;
        self.bad_row = self.bad_row.saturating_add(1);
        self.last_bad = Some(bad);
        if bad == BadCheck::Failed(Cause::Refused) {
            self.note_refused(limits, now_ms, 1);
        }
    }

    fn note_refused(&mut self, limits: &Limits, now_ms: u64, count: u32) {
        let row = &mut self.refusals;
        if row.count == 0 || now_ms.saturating_sub(row.first_ms) > limits.refused_within_ms {
            *row = Refusals { count, first_ms: now_ms };
        } else {
            row.count = row.count.saturating_add(count);
        }
    }

    /// The weight that follows from all this.
    pub(crate) fn weigh(&mut self, limits: &Limits, now_ms: u64, panic: bool) {
        let share = match &self.phase {
            _ if !self.in_rotation() => 0,
            _ if panic => 100,
            Phase::Up { .. } => 100,
            Phase::Ejected { .. } => 0,
            Phase::SlowStart { since_ms } => ramp(limits, now_ms.saturating_sub(*since_ms)),
        };
        // A small part of a small part is still some.
        let part = (share * u64::from(self.operator_percent)).div_ceil(100);
        self.weight_percent = u8::try_from(part).unwrap_or(100).min(100);
    }

    pub(crate) fn state(&self) -> State {
        match (self.switch, &self.phase) {
            (Switch::Off, _) => State::Off { since_ms: self.switched_ms },
            (Switch::Drain, _) => State::Draining { since_ms: self.switched_ms },
            (Switch::On, Phase::Up { since_ms }) => State::Up { since_ms: *since_ms },
            (Switch::On, Phase::SlowStart { since_ms }) => State::SlowStart { since_ms: *since_ms },
            (Switch::On, Phase::Ejected { since_ms, until_ms, why }) => {
                State::Ejected { since_ms: *since_ms, until_ms: *until_ms, why: why.clone() }
            }
        }
    }
}

/// The share of the weight, in percent, so long after the beginning of a slow start.
fn ramp(limits: &Limits, passed_ms: u64) -> u64 {
    let whole_ms = limits.slow_start_s.saturating_mul(1000);
    let from = u64::from(limits.slow_start_percent.min(100));
    if passed_ms >= whole_ms {
        return 100;
    }
    from + (100 - from) * passed_ms / whole_ms.max(1)
}
