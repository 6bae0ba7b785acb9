//! What an operator decides: who is a backend, and how it is switched.

use std::collections::BTreeSet;

use crate::{
    BACKENDS_MAX, Event, Health, Kind, Limits, NAME_BYTES_MAX, Switch,
    memory::{Memory, Phase},
    words,
};

/// A change that was not taken; nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no such backend.
    #[error("there is no backend `{0}`: see the names that the front knows")]
    Unknown(String),
    /// There would be more than [`BACKENDS_MAX`].
    #[error("{0} backends are too many: at most {BACKENDS_MAX} for one front")]
    TooMany(usize),
    /// A name is empty, or longer than [`NAME_BYTES_MAX`].
    #[error("a backend's name has {0} bytes: 1 to {NAME_BYTES_MAX} are taken")]
    BadName(usize),
    /// The weight is above 100 %.
    #[error("a weight of {0} % is more than what is configured: choose 0 to 100")]
    BadWeight(u8),
}

impl Health {
    /// Says which backends there are, each name once or more often. Who is new begins with a part of its weight, unless all are new.
    ///
    /// # Errors
    /// Too many, or a name that cannot be.
    pub fn sync<'a>(
        &mut self,
        limits: &Limits,
        now_ms: u64,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<Vec<Event>, Refused> {
        let names: BTreeSet<&str> = names.into_iter().collect();
        if names.len() > BACKENDS_MAX {
            return Err(Refused::TooMany(names.len()));
        }
        if let Some(bad) = names.iter().find(|name| name.is_empty() || name.len() > NAME_BYTES_MAX) {
            return Err(Refused::BadName(bad.len()));
        }
        let mut events = Vec::new();
        let mut said = |name: &str, kind, why: &str| {
            events.push(Event { at_ms: now_ms, backend: Some(name.to_owned()), kind, why: why.to_owned() });
        };
        let first = self.backends.is_empty();
        self.backends.retain(|name, _| {
            let stays = names.contains(name.as_str());
            if !stays {
                said(name, Kind::Left, "it is no longer a backend of this front");
            }
            stays
        });
        for name in names {
            if self.backends.contains_key(name) {
                continue;
            }
            let (phase, why) = if first || limits.slow_start_s == 0 {
                (Phase::Up { since_ms: now_ms }, "it is a new backend: its whole weight")
            } else {
                (Phase::SlowStart { since_ms: now_ms }, "it is a new backend: its share grows")
            };
            self.backends.insert(name.to_owned(), Memory::new(phase, now_ms));
            said(name, Kind::Joined, why);
        }
        self.settle(limits, now_ms, &mut events);
        Ok(events)
    }

    /// Switches a backend. On ends an ejection at once, whatever speaks for it; from then on it is judged afresh.
    ///
    /// # Errors
    /// It is not known.
    pub fn switch(
        &mut self,
        limits: &Limits,
        now_ms: u64,
        name: &str,
        switch: Switch,
    ) -> Result<Vec<Event>, Refused> {
        let memory = self.backends.get_mut(name).ok_or_else(|| Refused::Unknown(name.to_owned()))?;
        if memory.switch == switch && !(switch == Switch::On && memory.is_ejected()) {
            return Ok(Vec::new());
        }
        memory.switch = switch;
        memory.switched_ms = now_ms;
        if switch == Switch::On {
            memory.forget();
            memory.forgiven_ms = now_ms;
            memory.phase = Phase::Up { since_ms: now_ms };
        }
        let why = words::switched(switch).to_owned();
        let mut events =
            vec![Event { at_ms: now_ms, backend: Some(name.to_owned()), kind: Kind::Switched, why }];
        self.settle(limits, now_ms, &mut events);
        Ok(events)
    }

    /// Leaves a backend a part of its configured weight, in percent; with 0 it is out of rotation like a draining one.
    ///
    /// # Errors
    /// It is not known, or more than 100.
    pub fn set_weight(
        &mut self,
        limits: &Limits,
        now_ms: u64,
        name: &str,
        percent: u8,
    ) -> Result<Vec<Event>, Refused> {
        let memory = self.backends.get_mut(name).ok_or_else(|| Refused::Unknown(name.to_owned()))?;
        if percent > 100 {
            return Err(Refused::BadWeight(percent));
        }
        if memory.operator_percent == percent {
            return Ok(Vec::new());
        }
        memory.operator_percent = percent;
        let why = format!("its weight was set to {percent} % by an operator");
        let mut events =
            vec![Event { at_ms: now_ms, backend: Some(name.to_owned()), kind: Kind::Switched, why }];
        self.settle(limits, now_ms, &mut events);
        Ok(events)
    }
}
