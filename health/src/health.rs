//! The look at all backends of a front, and what is remembered between looks.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    Event, Kind, Limits, Observed, Panic, Standing,
    fault::{Fault, Middles},
    memory::{Memory, Phase},
    words,
};

/// Panic mode ends below this part of the limit: at the limit itself it would come and go.
const PANIC_ENDS: f64 = 0.75;

/// The backends of one front. Stored by the caller after each look, it goes on after a restart where it was.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Health {
    looked_ms: u64,
    /// False after it was read back: what was counted since nobody knows when is not judged.
    #[serde(skip)]
    awake: bool,
    panic: Option<Panic>,
    /// Since when panic mode would not have begun.
    calm_since_ms: Option<u64>,
    pub(crate) backends: BTreeMap<String, Memory>,
}

impl Health {
    /// A front without backends.
    pub fn new(now_ms: u64) -> Self {
        Self { looked_ms: now_ms, awake: true, panic: None, calm_since_ms: None, backends: BTreeMap::new() }
    }

    /// How each backend stands, in the order of names.
    pub fn standings(&self) -> impl Iterator<Item = Standing> + '_ {
        self.backends.iter().map(|(name, memory)| standing(name, memory))
    }

    /// How one stands; `None` if it is not known.
    pub fn standing(&self, backend: &str) -> Option<Standing> {
        self.backends.get_key_value(backend).map(|(name, memory)| standing(name, memory))
    }

    /// The weights alone: name and percentage of the configured weight, in the order of names.
    pub fn weights(&self) -> impl Iterator<Item = (&str, u8)> + '_ {
        self.backends.iter().map(|(name, memory)| (name.as_str(), memory.weight_percent))
    }

    /// Panic mode, while it lasts.
    pub fn panic(&self) -> Option<&Panic> {
        self.panic.as_ref()
    }

    /// Takes in what was seen since the last look, and decides. To be called at least once a second, also without anything new.
    ///
    /// After a time without looks longer than [`Limits::gap_ms`], when the clock was set back, or when this was read back from where it
    /// was stored, the requests of this look are passed over, as nobody knows when they were.
    pub fn look(&mut self, limits: &Limits, now_ms: u64, observed: &[Observed<'_>]) -> Vec<Event> {
        let next = self.looked_ms..=self.looked_ms.saturating_add(limits.gap_ms);
        let gap = !self.awake || !next.contains(&now_ms);
        if gap {
            self.calm_since_ms = None;
        }
        for memory in self.backends.values_mut() {
            if gap {
                memory.skip(self.looked_ms, now_ms);
            }
            memory.window.prune(now_ms, limits.window_s);
        }
        (self.looked_ms, self.awake) = (now_ms, true);
        for one in observed {
            let Some(memory) = self.backends.get_mut(one.backend) else { continue };
            if !gap {
                memory.note_counts(limits, now_ms, &one.counts);
            }
            if let Some(check) = one.check {
                memory.note_check(limits, now_ms, check);
            }
        }
        let mut events = Vec::new();
        self.judge(limits, now_ms, &mut events);
        self.settle(limits, now_ms, &mut events);
        events
    }

    fn judge(&mut self, limits: &Limits, now_ms: u64, events: &mut Vec<Event>) {
        if self.panic.is_some() && !self.calms_down(limits, now_ms, events) {
            return;
        }
        for (name, memory) in self.backends.iter_mut().filter(|(_, memory)| memory.in_rotation()) {
            events.extend(come_back(name, memory, limits, now_ms));
        }
        let faults = self.faults(limits, limits.failed_share, now_ms);
        let rotation = || self.backends.values().filter(|memory| memory.in_rotation());
        let out = rotation().filter(|memory| memory.is_ejected()).count();
        let all = rotation().count();
        if out + faults.len() > limits.out_max(all) {
            if let Some((name, fault)) = faults.first() {
                let bad = out + faults.len();
                let why = words::too_many(bad, all, limits.out_max(all), name, &fault.words(limits));
                self.begin_panic(why, now_ms, events);
            }
            return;
        }
        if faults.is_empty() {
            return;
        }
        let middles = Middles::of(rotation().filter(|memory| !memory.is_ejected()), limits, now_ms);
        for (name, fault) in faults.into_iter().filter(|(_, fault)| fault.is_its_own(&middles, limits)) {
            if let Some(memory) = self.backends.get_mut(&name) {
                events.push(eject(name, memory, &fault, limits, now_ms));
            }
        }
    }

    /// What speaks against the backends that are not out.
    fn faults(&self, limits: &Limits, failed_share: f64, now_ms: u64) -> Vec<(String, Fault)> {
        let inside = self.backends.iter().filter(|(_, memory)| memory.in_rotation() && !memory.is_ejected());
        let fault = |memory| Fault::of(memory, limits, failed_share, now_ms);
        inside.filter_map(|(name, memory)| fault(memory).map(|fault| (name.clone(), fault))).collect()
    }

    /// Whether panic mode is over; then those that are well serve as before, all of them at once, as they did all the time.
    fn calms_down(&mut self, limits: &Limits, now_ms: u64, events: &mut Vec<Event>) -> bool {
        let share = limits.failed_share * PANIC_ENDS;
        let is_bad = |memory: &Memory| {
            memory.is_ejected() && !memory.is_healed(limits)
                || Fault::of(memory, limits, share, now_ms).is_some()
        };
        let rotation = || self.backends.values().filter(|memory| memory.in_rotation());
        let (all, bad) = (rotation().count(), rotation().filter(|memory| is_bad(memory)).count());
        let out_max = limits.out_max(all);
        if bad > out_max {
            self.calm_since_ms = None;
            return false;
        }
        let calm_ms = now_ms.saturating_sub(*self.calm_since_ms.get_or_insert(now_ms));
        if calm_ms < limits.panic_calm_s.saturating_mul(1000) {
            return false;
        }
        let why = words::few_enough(bad, all, out_max, calm_ms);
        events.push(Event { at_ms: now_ms, backend: None, kind: Kind::PanicEnded, why });
        (self.panic, self.calm_since_ms) = (None, None);
        for (name, memory) in self.backends.iter_mut().filter(|(_, memory)| !is_bad(memory)) {
            if matches!(memory.phase, Phase::Up { .. }) || !memory.in_rotation() {
                continue;
            }
            memory.phase = Phase::Up { since_ms: now_ms };
            memory.forgiven_ms = now_ms;
            let why = "it did well while all got traffic: its whole weight".to_owned();
            events.push(Event { at_ms: now_ms, backend: Some(name.clone()), kind: Kind::Up, why });
        }
        true
    }

    /// Sees to it that no more are out than may be, and that the weights are what follows.
    pub(crate) fn settle(&mut self, limits: &Limits, now_ms: u64, events: &mut Vec<Event>) {
        let rotation = || self.backends.iter().filter(|(_, memory)| memory.in_rotation());
        let out = || rotation().filter(|(_, memory)| memory.is_ejected());
        let (all, bad) = (rotation().count(), out().count());
        if self.panic.is_none()
            && bad > limits.out_max(all)
            && let Some((name, Memory { phase: Phase::Ejected { why, .. }, .. })) = out().next()
        {
            let why = words::too_many(bad, all, limits.out_max(all), name, why);
            self.begin_panic(why, now_ms, events);
        }
        for memory in self.backends.values_mut() {
            memory.weigh(limits, now_ms, self.panic.is_some());
        }
    }

    fn begin_panic(&mut self, why: String, now_ms: u64, events: &mut Vec<Event>) {
        self.panic = Some(Panic { since_ms: now_ms, why: why.clone() });
        self.calm_since_ms = None;
        events.push(Event { at_ms: now_ms, backend: None, kind: Kind::PanicBegan, why });
    }
}

fn standing(name: &str, memory: &Memory) -> Standing {
    Standing {
        backend: name.to_owned(),
        weight_percent: memory.weight_percent,
        state: memory.state(),
        ejections: memory.ejections,
    }
}

/// Takes a backend one step nearer to full service, if it is time.
fn come_back(name: &str, memory: &mut Memory, limits: &Limits, now_ms: u64) -> Option<Event> {
    let whole_ms = limits.slow_start_s.saturating_mul(1000);
    let (kind, why) = match &memory.phase {
        Phase::Up { .. } => {
            let well_ms = now_ms.saturating_sub(memory.forgiven_ms);
            if memory.ejections > 0 && well_ms >= limits.forgive_s.saturating_mul(1000) {
                memory.ejections -= 1;
                memory.forgiven_ms = now_ms;
            }
            return None;
        }
        Phase::SlowStart { since_ms } if now_ms.saturating_sub(*since_ms) >= whole_ms => {
            let why = format!("{} s of slow start went well: its whole weight", limits.slow_start_s);
            memory.phase = Phase::Up { since_ms: now_ms };
            memory.forgiven_ms = now_ms;
            (Kind::Up, why)
        }
        Phase::Ejected { since_ms, until_ms, .. } if now_ms >= *until_ms && memory.is_healed(limits) => {
            let why = words::back(memory, limits, now_ms.saturating_sub(*since_ms));
            memory.forget();
            memory.phase = Phase::SlowStart { since_ms: now_ms };
            (Kind::SlowStart, why)
        }
        Phase::SlowStart { .. } | Phase::Ejected { .. } => return None,
    };
    Some(Event { at_ms: now_ms, backend: Some(name.to_owned()), kind, why })
}

fn eject(name: String, memory: &mut Memory, fault: &Fault, limits: &Limits, now_ms: u64) -> Event {
    let why = fault.words(limits);
    memory.ejections = memory.ejections.saturating_add(1);
    let until_ms = now_ms.saturating_add(limits.cool_off_ms(memory.ejections));
    memory.phase = Phase::Ejected { since_ms: now_ms, until_ms, why: why.clone() };
    // What it is to show from now on are good checks in a row.
    memory.forget();
    Event { at_ms: now_ms, backend: Some(name), kind: Kind::Ejected, why }
}
