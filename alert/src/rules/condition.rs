//! What is wrong at one moment, apart from what was told of it.

use std::collections::{BTreeMap, BTreeSet};

use switchboard_fleet::report::WorkerKind;

use super::{Facts, Kind, MINUTE_MS, Member, PANIC_LASTS_MS, Reach, Rules, View, trouble::Complaints};

/// An overloaded instance is so until it is below this part of the limit: at the limit itself it would come and go.
const OVERLOAD_ENDS: f64 = 0.9;
/// After this the monitor has heard for long enough how much CPU is used.
const CPU_KNOWN_AFTER_MS: u64 = 3 * MINUTE_MS;
/// A report from further in the future than this was not heard by the present clock.
const FUTURE_MS: u64 = MINUTE_MS;

/// What is wrong with one server, or the fleet: [`Kind`] and server's name, empty for the fleet.
pub(super) type Key = (Kind, String);

/// One thing that may be wrong.
#[derive(Debug, Clone)]
pub(super) struct Condition {
    /// The workers concerned.
    pub(super) members: BTreeMap<String, Member>,
    /// Members that are not told yet, as others may follow them before long.
    pub(super) early: BTreeSet<String>,
    /// Nothing can be said at this moment: what was so before goes on.
    pub(super) unclear: bool,
    /// How things stand, without the members.
    pub(super) facts: Facts,
}

/// How a worker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Up,
    /// It will be down before long if nothing comes: see [`Rules::soon_ms`].
    Fading,
    Down,
    /// The monitor has not listened for long enough.
    Unknown,
}

/// All that is looked at for one answer.
pub(super) struct Scene<'a> {
    pub(super) rules: &'a Rules,
    pub(super) now_ms: u64,
    /// Since when the monitor listens.
    pub(super) since_ms: u64,
    pub(super) views: &'a [View],
    pub(super) reach: Reach,
    /// Who says that something is wrong.
    pub(super) complaints: &'a Complaints,
    /// The members of each incident so far.
    pub(super) before: &'a BTreeMap<Key, BTreeSet<String>>,
}

impl Scene<'_> {
    /// Everything that was looked at, wrong or not.
    pub(super) fn conditions(&self) -> BTreeMap<Key, Condition> {
        let mut found = BTreeMap::new();
        let hidden = self.unheard(&mut found);
        let mut servers: BTreeMap<&str, Vec<&View>> = BTreeMap::new();
        for view in self.views {
            servers.entry(&view.server).or_default().push(view);
        }
        for (server, views) in servers {
            found.insert((Kind::Down, server.into()), self.down(server, &views, hidden.contains(server)));
            found.insert((Kind::Overload, server.into()), self.overload(server, &views));
            found.insert((Kind::Trouble, server.into()), self.trouble(server, &views));
            found.insert((Kind::Panic, server.into()), self.panicked(&views));
        }
        found.insert((Kind::Archive, String::new()), self.archives());
        found
    }

    fn down(&self, server: &str, views: &[&View], hidden: bool) -> Condition {
        let mut condition = self.nothing(views);
        condition.unclear = hidden;
        let fading = self.views.iter().any(|view| self.life(view) == Life::Fading);
        for view in views {
            if !self.is_down(view, server) || is_at_rest(view) {
                continue;
            }
            if fading && self.age_ms(view) < self.rules.down_after_ms + self.rules.soon_ms() {
                condition.early.insert(view.name.clone());
            }
            let last = view.heard_ms.filter(|heard| *heard <= self.now_ms + FUTURE_MS);
            let detail = match (last, view.stopping_ms) {
                (None, _) => "never heard of",
                (Some(_), Some(_)) => "silent since it said that it stops",
                (Some(_), None) => "silent",
            };
            condition.add(view, last.unwrap_or(self.since_ms), detail.into());
        }
        condition
    }

    fn overload(&self, server: &str, views: &[&View]) -> Condition {
        let mut condition = self.nothing(views);
        let (running, over) = (condition.facts.running, condition.facts.overloaded.len());
        condition.unclear = running == 0;
        // Not divided: with whole numbers a third of two would be none.
        let reached = over as f64 + 1e-9 >= self.rules.threshold * running as f64;
        if over == 0 || !reached {
            return condition;
        }
        for view in views.iter().filter(|view| self.is_overloaded(view, server)) {
            let percent = view.cpu.unwrap_or(0.0) * 100.0;
            condition.add(view, self.now_ms, format!("{percent:.0} % of a core"));
        }
        condition
    }

    fn panicked(&self, views: &[&View]) -> Condition {
        let mut condition = self.nothing(views);
        for view in views {
            if let Some(panic) = &view.panic
                && panic.at_ms.saturating_add(PANIC_LASTS_MS) > self.now_ms
            {
                condition.add(view, panic.at_ms, format!("{} ({})", panic.message, panic.place));
            }
        }
        condition
    }

    fn archives(&self) -> Condition {
        let all: Vec<&View> = self.views.iter().collect();
        let mut condition = self.nothing(&all);
        for view in all {
            if let Some(fault) = &view.archive_fault {
                condition.add(view, self.now_ms, fault.clone());
            }
        }
        condition
    }

    /// Whether the trouble is between the monitor and the fleet. The servers of which nothing can be said then.
    fn unheard(&self, found: &mut BTreeMap<Key, Condition>) -> BTreeSet<String> {
        let all: Vec<&View> = self.views.iter().collect();
        let others: Vec<&View> = self.views.iter().filter(|view| view.server != self.rules.own).collect();
        let cut = !self.reach.own || self.reach.others == Some(false);
        let nobody = self.all_down(&all) && (cut || servers(&all) > 1);
        let nobody_else = self.all_down(&others) && self.reach.others == Some(false) && servers(&others) > 1;
        let mut condition = self.nothing(&all);
        let silent: Vec<&View> = match (nobody, nobody_else) {
            (true, _) => all,
            (false, true) => others,
            (false, false) => Vec::new(),
        };
        for view in &silent {
            condition.add(view, view.heard_ms.unwrap_or(self.since_ms), "silent".into());
        }
        found.insert((Kind::Unheard, String::new()), condition);
        silent.iter().map(|view| view.server.clone()).collect()
    }

    fn all_down(&self, views: &[&View]) -> bool {
        let known = self.before.get(&(Kind::Unheard, String::new()));
        let still = |view: &View| {
            self.life(view) == Life::Unknown && known.is_some_and(|before| before.contains(&view.name))
        };
        !views.is_empty() && views.iter().all(|view| self.life(view) == Life::Down || still(view))
    }

    fn is_down(&self, view: &View, server: &str) -> bool {
        match self.life(view) {
            Life::Up | Life::Fading => false,
            Life::Down => true,
            Life::Unknown => self.was(Kind::Down, server, &view.name),
        }
    }

    /// Whether its last words are those of now.
    pub(super) fn is_heard(&self, view: &View) -> bool {
        matches!(self.life(view), Life::Up | Life::Fading)
    }

    fn is_overloaded(&self, view: &View, server: &str) -> bool {
        let before = self.was(Kind::Overload, server, &view.name);
        if view.kind != WorkerKind::Instance || self.is_down(view, server) {
            return false;
        }
        let limit = if before { self.rules.cpu_over * OVERLOAD_ENDS } else { self.rules.cpu_over };
        // Not known for a while after a start of the monitor: as before.
        let young = self.now_ms.saturating_sub(self.since_ms) < CPU_KNOWN_AFTER_MS;
        view.cpu.map_or(before && (young || self.life(view) == Life::Unknown), |cpu| cpu > limit)
    }

    pub(super) fn was(&self, kind: Kind, server: &str, name: &str) -> bool {
        self.before.get(&(kind, server.to_owned())).is_some_and(|members| members.contains(name))
    }

    fn age_ms(&self, view: &View) -> u64 {
        let heard = view.heard_ms.filter(|heard| *heard <= self.now_ms.saturating_add(FUTURE_MS));
        self.now_ms.saturating_sub(heard.unwrap_or(0).max(self.since_ms))
    }

    fn life(&self, view: &View) -> Life {
        let heard = view.heard_ms.filter(|heard| *heard <= self.now_ms.saturating_add(FUTURE_MS));
        match (self.age_ms(view), heard.is_some_and(|heard| heard >= self.since_ms)) {
            (age, _) if age >= self.rules.down_after_ms => Life::Down,
            (_, false) => Life::Unknown,
            (age, true) if age + self.rules.soon_ms() >= self.rules.down_after_ms => Life::Fading,
            (_, true) => Life::Up,
        }
    }

    /// Nothing wrong, and how the instances among `views` are.
    pub(super) fn nothing(&self, views: &[&View]) -> Condition {
        let instances: Vec<_> = views.iter().filter(|view| view.kind == WorkerKind::Instance).collect();
        let running = instances.iter().filter(|view| !self.is_down(view, &view.server)).count();
        let over = instances.iter().filter(|view| self.is_overloaded(view, &view.server));
        let mut condition = Condition::none(self.reach);
        condition.facts.instances = instances.len();
        condition.facts.running = running;
        condition.facts.overloaded = over.map(|view| view.name.clone()).collect();
        condition.facts.servers = servers(views);
        condition.facts.whole = running == 0 && !instances.is_empty();
        condition
    }
}

impl Condition {
    /// Nothing wrong, as nothing is watched.
    pub(super) fn none(reach: Reach) -> Self {
        let facts = Facts {
            members: Vec::new(),
            silenced: 0,
            instances: 0,
            running: 0,
            overloaded: Vec::new(),
            servers: 0,
            whole: false,
            reach,
        };
        Self { members: BTreeMap::new(), early: BTreeSet::new(), unclear: false, facts }
    }

    pub(super) fn add(&mut self, view: &View, since_ms: u64, detail: String) {
        let (name, server, kind) = (view.name.clone(), view.server.clone(), view.kind);
        self.members.insert(name.clone(), Member { name, server, kind, since_ms, detail });
    }
}

/// A program that ends when its work is done: it said so, or its turn has not come yet.
fn is_at_rest(view: &View) -> bool {
    view.kind == WorkerKind::Program && (view.stopping_ms.is_some() || view.heard_ms.is_none())
}

fn servers(views: &[&View]) -> usize {
    views.iter().map(|view| view.server.as_str()).collect::<BTreeSet<_>>().len()
}
