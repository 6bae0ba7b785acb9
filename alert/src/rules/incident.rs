//! The life of one incident: what is told when.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{CALM_MS, CHANGES_MAX, Change, Kind, Member, condition::Condition, history::History};

/// Something wrong, from its beginning to the end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// Its name: unique, of `0-9 a-z -`.
    pub id: String,
    /// What is wrong.
    pub kind: Kind,
    /// Where; empty if it is the fleet's.
    pub server: String,
    /// When it began, ms since 1970.
    pub opened_ms: u64,
    /// When it was over, as long as that is not told yet.
    pub ended_ms: Option<u64>,
    /// The workers concerned now, silenced or not.
    pub members: BTreeMap<String, Member>,
    /// Since when it comes and goes too often to be told.
    pub unstable_since_ms: Option<u64>,
    /// Letters written so far.
    pub letters: u32,
    /// The members as last told, without those silenced since.
    told: BTreeSet<String>,
    told_whole: bool,
    /// All that were ever told, with their servers.
    involved: BTreeMap<String, String>,
    /// Members without silenced ones, at the last look.
    visible: BTreeSet<String>,
    changed_ms: u64,
    last_letter_ms: u64,
}

/// What is given to an incident at each look.
pub(super) struct Now<'a> {
    pub(super) now_ms: u64,
    /// 0: no reminders.
    pub(super) grace_ms: u64,
    pub(super) silenced: &'a dyn Fn(&str, &str) -> bool,
    /// Whether a worker is watched at all.
    pub(super) watched: &'a dyn Fn(&str) -> bool,
}

impl Incident {
    pub(super) fn new(id: String, kind: Kind, server: String, now_ms: u64) -> Self {
        Self {
            id,
            kind,
            server,
            opened_ms: now_ms,
            ended_ms: None,
            members: BTreeMap::new(),
            unstable_since_ms: None,
            letters: 0,
            told: BTreeSet::new(),
            told_whole: false,
            involved: BTreeMap::new(),
            visible: BTreeSet::new(),
            changed_ms: now_ms,
            last_letter_ms: 0,
        }
    }

    /// What has changed, if it is to be told.
    pub(super) fn look(
        &mut self,
        condition: &Condition,
        history: &mut History,
        now: &Now<'_>,
    ) -> Option<Change> {
        let gone = self.involved.keys().all(|name| !(now.watched)(name));
        self.take_in(condition, now);
        self.note_change(history, now);
        let calm = self.calm_down(history, now);
        if self.unstable_since_ms.is_some() {
            return self.escalation(condition, now);
        }
        let joined: BTreeSet<String> = self.visible.difference(&self.told).cloned().collect();
        let over = self.members.is_empty();
        let changes = history.count(self.kind, &self.server);
        if changes > CHANGES_MAX && (!joined.is_empty() || (over && self.letters > 0)) {
            let told = self.tell(condition, now, Change::Unstable { changes });
            self.unstable_since_ms = told.is_some().then_some(now.now_ms);
            return told;
        }
        if over {
            return self.end(condition, now, gone);
        }
        if self.visible.is_empty() {
            return None;
        }
        let left: Vec<String> = self.told.difference(&self.visible).cloned().collect();
        let due = now.grace_ms > 0 && now.now_ms.saturating_sub(self.last_letter_ms) >= now.grace_ms;
        if !joined.is_empty() && !joined.is_subset(&condition.early) {
            let joined = joined.into_iter().collect();
            let opened = self.letters == 0;
            let change = if opened { Change::Opened } else { Change::Updated { joined, left } };
            self.tell(condition, now, change)
        } else if !left.is_empty() && (due || calm || now.grace_ms == 0) {
            self.tell(condition, now, Change::Updated { joined: Vec::new(), left })
        } else if self.letters > 0 && (calm || (due && self.has_news())) {
            self.tell(condition, now, Change::Reminder)
        } else {
            None
        }
    }

    /// Whether it is over and nothing is left to tell.
    pub(super) fn is_settled(&self) -> bool {
        self.members.is_empty() && self.told.is_empty() && self.unstable_since_ms.is_none()
    }

    /// How long it lasted, in ms.
    pub(super) fn lasted_ms(&self, now_ms: u64) -> u64 {
        self.ended_ms.unwrap_or(now_ms).saturating_sub(self.opened_ms)
    }

    fn take_in(&mut self, condition: &Condition, now: &Now<'_>) {
        let before = std::mem::take(&mut self.members);
        self.members = condition.members.clone();
        for (name, member) in &mut self.members {
            if let Some(known) = before.get(name)
                && self.kind != Kind::Panic
            {
                member.since_ms = member.since_ms.min(known.since_ms);
            }
        }
        self.ended_ms = if !self.members.is_empty() { None } else { self.ended_ms.or(Some(now.now_ms)) };
    }

    fn note_change(&mut self, history: &mut History, now: &Now<'_>) {
        let shown = |name: &String, server: &str| !(now.silenced)(server, name);
        let visible: BTreeSet<String> =
            self.members.values().filter(|m| shown(&m.name, &m.server)).map(|m| m.name.clone()).collect();
        // A member that is silenced is as if never told: when the silence ends it joins again. One that recovered meanwhile is
        // remembered by its server, which is still known.
        let (involved, members) = (&self.involved, &self.members);
        self.told.retain(|name| {
            !members.contains_key(name) || involved.get(name).is_none_or(|server| shown(name, server))
        });
        if visible != self.visible {
            self.visible = visible;
            self.changed_ms = now.now_ms;
            history.note(self.kind, &self.server, now.now_ms);
        }
    }

    /// Ends unrest after a calm time. Whether it has just ended.
    fn calm_down(&mut self, history: &mut History, now: &Now<'_>) -> bool {
        let calm = self.unstable_since_ms.is_some() && now.now_ms.saturating_sub(self.changed_ms) >= CALM_MS;
        if calm {
            self.unstable_since_ms = None;
            history.forget(self.kind, &self.server);
        }
        calm
    }

    /// The one thing that is told amid unrest, once: that nothing of the server is left.
    fn escalation(&mut self, condition: &Condition, now: &Now<'_>) -> Option<Change> {
        let whole = self.kind == Kind::Down && condition.facts.whole && !self.visible.is_empty();
        if !whole || self.told_whole {
            return None;
        }
        let joined = self.visible.difference(&self.told).cloned().collect();
        let left = self.told.difference(&self.visible).cloned().collect();
        self.tell(condition, now, Change::Updated { joined, left })
    }

    /// A panic is news only if there was another one.
    fn has_news(&self) -> bool {
        self.kind != Kind::Panic || self.members.values().any(|m| m.since_ms > self.last_letter_ms)
    }

    fn end(&mut self, condition: &Condition, now: &Now<'_>, gone: bool) -> Option<Change> {
        let lasted_ms = self.lasted_ms(now.now_ms);
        if self.letters == 0 || self.kind == Kind::Panic {
            self.told.clear();
            return None;
        }
        let change = if gone { Change::Ended { lasted_ms } } else { Change::Recovered { lasted_ms } };
        self.tell(condition, now, change)
    }

    /// Takes down that `change` is told; `None` if it is the end, and silenced. Then it waits for the end of the silence: the readers of
    /// the first letter shall learn of it.
    fn tell(&mut self, condition: &Condition, now: &Now<'_>, change: Change) -> Option<Change> {
        let covered = self.involved.iter().any(|(name, server)| (now.silenced)(server, name));
        if self.members.is_empty() && covered {
            self.told.extend(self.involved.keys().cloned());
            return None;
        }
        self.told = self.visible.clone();
        self.told_whole = condition.facts.whole;
        for name in &self.told {
            if let Some(member) = self.members.get(name) {
                self.involved.insert(name.clone(), member.server.clone());
            }
        }
        self.letters += 1;
        self.last_letter_ms = now.now_ms;
        Some(change)
    }
}
