//! The look at the fleet that is taken every minute or more often, and what is remembered between looks.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use switchboard_fleet::{
    ServerName,
    config::{Alert, Seconds},
};

use super::{
    Change, Event, Facts, Incident, Kind, MINUTE_MS, Reach, Silence, View,
    condition::{Condition, Key, Scene},
    history::History,
    incident::Now,
    trouble::Complaints,
};

/// Looks further apart than this mean that the monitor did not listen in between, or that the clock was set.
const LOOKS_APART_MS: u64 = 3 * MINUTE_MS;

/// The limits, from the configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// The server that the monitor runs on.
    pub own: String,
    /// A worker that was not heard for so long is down, in ms.
    pub down_after_ms: u64,
    /// An instance above this share of a core is overloaded.
    pub cpu_over: f64,
    /// The share of overloaded instances among the running ones that makes it the server's problem.
    pub threshold: f64,
    /// The time between two letters about a matter that did not get worse, in ms; 0: no reminders, and every change is told at once.
    pub grace_ms: u64,
}

impl Rules {
    /// The limits of a monitor that runs on `own`.
    pub fn new(config: &Alert, own: &ServerName) -> Self {
        let ms = |time: Seconds| u64::try_from(time.get().as_millis()).unwrap_or(u64::MAX);
        Self {
            own: own.as_str().into(),
            down_after_ms: ms(config.down_after),
            cpu_over: config.cpu_over,
            threshold: config.threshold,
            grace_ms: ms(config.grace_period),
        }
    }

    /// Whoever falls silent within this after another is told in the same letter, in ms; the time between two looks should be no
    /// longer. A minute, or less when little silence is enough to be down.
    pub fn soon_ms(&self) -> u64 {
        MINUTE_MS.min(self.down_after_ms / 6)
    }
}

/// What is remembered between looks: open incidents, unrest, silences. Stored by the caller after each look.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alerts {
    epoch_ms: u64,
    next: u64,
    since_ms: u64,
    looked_ms: u64,
    incidents: Vec<Incident>,
    history: History,
    silences: Vec<Silence>,
    #[serde(default)]
    complaints: Complaints,
}

/// A silence that was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SilenceRefused {
    /// It would never cover anything.
    #[error("the silence would end before it begins: choose a later end")]
    Empty,
    /// There are [`Alerts::SILENCES_MAX`] of them.
    #[error("there are {} silences already: end one first", Alerts::SILENCES_MAX)]
    TooMany,
}

impl Alerts {
    /// Most silences at once.
    pub const SILENCES_MAX: usize = 1000;

    /// A monitor's first memory.
    pub fn new(now_ms: u64) -> Self {
        Self {
            epoch_ms: now_ms,
            next: 1,
            since_ms: now_ms,
            looked_ms: now_ms,
            incidents: Vec::new(),
            history: History::default(),
            silences: Vec::new(),
            complaints: Complaints::default(),
        }
    }

    /// To be called when the monitor has just started: it has not listened so far, and calls nobody down who had no time to report.
    pub fn restarted(&mut self, now_ms: u64) {
        self.since_ms = now_ms;
        self.looked_ms = now_ms;
    }

    /// The open incidents, the oldest first.
    pub fn incidents(&self) -> &[Incident] {
        &self.incidents
    }

    /// The silences that are not over, as of the last look.
    pub fn silences(&self) -> &[Silence] {
        &self.silences
    }

    /// Takes in a silence.
    ///
    /// # Errors
    /// It is empty, or one too many.
    pub fn silence(&mut self, silence: Silence) -> Result<(), SilenceRefused> {
        if silence.until_ms <= silence.from_ms {
            return Err(SilenceRefused::Empty);
        }
        if self.silences.len() >= Self::SILENCES_MAX {
            return Err(SilenceRefused::TooMany);
        }
        self.silences.push(silence);
        Ok(())
    }

    /// Ends the silences that `ends` picks, now. How many there were.
    pub fn end_silences(&mut self, ends: impl Fn(&Silence) -> bool) -> usize {
        let before = self.silences.len();
        self.silences.retain(|silence| !ends(silence));
        before - self.silences.len()
    }

    /// Looks at the fleet, at least once a minute. `views` has every worker that is watched, each name once, without this monitor itself.
    ///
    /// What follows is in the order in which it is to be told, at most one event for each incident.
    pub fn look(&mut self, rules: &Rules, now_ms: u64, views: &[View], reach: Reach) -> Vec<Event> {
        if !(self.looked_ms..=self.looked_ms.saturating_add(LOOKS_APART_MS)).contains(&now_ms) {
            self.since_ms = now_ms;
        }
        self.looked_ms = now_ms;
        self.silences.retain(|silence| silence.until_ms > now_ms);
        self.history.prune(now_ms);
        self.complaints.take_in(views, now_ms);
        let before = self.members();
        let complaints = &self.complaints;
        let conditions = |since_ms| {
            Scene { rules, now_ms, since_ms, views, reach, complaints, before: &before }.conditions()
        };
        let mut found = conditions(self.since_ms);
        let unheard = (Kind::Unheard, String::new());
        let heard_again =
            before.contains_key(&unheard) && found.get(&unheard).is_some_and(|c| c.members.is_empty());
        if heard_again {
            // Reports come in one after the other: who is not heard yet gets as long as after a start.
            self.since_ms = now_ms;
            found = conditions(now_ms);
            if let Some(condition) = found.get_mut(&unheard) {
                condition.members.clear();
            }
        }
        self.open(&found, now_ms);
        self.tell(rules, now_ms, views, reach, &found)
    }

    /// The members of each open incident.
    fn members(&self) -> BTreeMap<Key, BTreeSet<String>> {
        let open = self.incidents.iter().filter(|incident| !incident.members.is_empty());
        open.map(|i| ((i.kind, i.server.clone()), i.members.keys().cloned().collect())).collect()
    }

    fn open(&mut self, found: &BTreeMap<Key, Condition>, now_ms: u64) {
        for ((kind, server), condition) in found {
            let known = |i: &Incident| i.kind == *kind && i.server == *server;
            if condition.unclear || condition.members.is_empty() || self.incidents.iter().any(known) {
                continue;
            }
            let id = format!("{:x}-{}", self.epoch_ms, self.next);
            self.next += 1;
            self.incidents.push(Incident::new(id, *kind, server.clone(), now_ms));
        }
    }

    fn tell(
        &mut self,
        rules: &Rules,
        now_ms: u64,
        views: &[View],
        reach: Reach,
        found: &BTreeMap<Key, Condition>,
    ) -> Vec<Event> {
        let silences = &self.silences;
        let names: BTreeSet<&str> = views.iter().map(|view| view.name.as_str()).collect();
        let silenced = |server: &str, name: &str| silences.iter().any(|s| s.covers(server, name, now_ms));
        let watched = |name: &str| names.contains(name);
        let now = Now { now_ms, grace_ms: rules.grace_ms, silenced: &silenced, watched: &watched };
        let (history, mut events) = (&mut self.history, Vec::new());
        let nothing = Condition::none(reach);
        for incident in &mut self.incidents {
            let condition = found.get(&(incident.kind, incident.server.clone())).unwrap_or(&nothing);
            if condition.unclear {
                continue;
            }
            let new = incident.letters == 0 && incident.opened_ms == now_ms;
            let told = incident.look(condition, history, &now);
            let letter = told.is_some().then(|| incident.letters - 1);
            let lasted_ms = incident.lasted_ms(now_ms);
            let change = told.or_else(|| match (new, incident.is_settled()) {
                (_, true) if incident.kind == Kind::Panic => Some(Change::Ended { lasted_ms }),
                (_, true) => Some(Change::Recovered { lasted_ms }),
                (true, false) => Some(Change::Opened),
                (false, false) => None,
            });
            if let Some(change) = change {
                events.push(event(incident, condition, &silenced, now_ms, change, letter));
            }
        }
        self.incidents.retain(|incident| !incident.is_settled());
        events
    }
}

fn event(
    incident: &Incident,
    condition: &Condition,
    silenced: &dyn Fn(&str, &str) -> bool,
    at_ms: u64,
    change: Change,
    letter: Option<u32>,
) -> Event {
    let shown = |member: &super::Member| !silenced(&member.server, &member.name);
    let members: Vec<_> = incident.members.values().filter(|member| shown(member)).cloned().collect();
    let silenced = incident.members.len() - members.len();
    Event {
        incident: incident.id.clone(),
        kind: incident.kind,
        server: incident.server.clone(),
        at_ms,
        opened_ms: incident.opened_ms,
        change,
        letter,
        facts: Facts { members, silenced, ..condition.facts.clone() },
    }
}

#[cfg(test)]
#[path = "look_tests.rs"]
mod tests;
