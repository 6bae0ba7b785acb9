//! What is known of each worker at this moment: the newest of its reports. Pure.

use std::collections::BTreeMap;

use switchboard_alert::rules::{Panicked, View};
use switchboard_archive::Problem;
use switchboard_fleet::report::{Report, Told, WorkerKind, WorkerState};
use switchboard_journal::{Remembered, Standing, UNKNOWN_KEPT_MS};

use crate::{cpu::Cpu, watched::Watched};

/// A day, in ms.
const DAY_MS: u64 = 86_400_000;
/// A panic that is heard of late counts as of so many ms ago, at most.
const LATE_MS: u64 = 30 * 60_000;

/// One worker.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// What it is.
    pub(crate) kind: WorkerKind,
    /// Whether it is the fleet's.
    pub(crate) standing: Standing,
    /// Its newest life.
    pub(crate) boot: u64,
    /// Its newest state, and when that was.
    pub(crate) state: Option<(u64, WorkerState)>,
    /// When a report of it last came in, by this machine's clock, ms since 1970.
    pub(crate) heard_ms: u64,
    /// When it said that it stops, if that was the last thing it said.
    pub(crate) stopping_ms: Option<u64>,
    /// Its last panic.
    pub(crate) panic: Option<Panicked>,
    /// Its life and number.
    panic_of: (u64, u64),
    /// Reports taken, of all lives that are remembered.
    pub(crate) taken: u64,
    /// Reports missing among them.
    pub(crate) missing: u64,
    cpu: Cpu,
}

/// A batch as the journal has taken it.
#[derive(Debug)]
pub(crate) struct News<'a> {
    /// Who reports.
    pub(crate) worker: &'a str,
    /// What it is.
    pub(crate) kind: WorkerKind,
    /// Whether it is the fleet's.
    pub(crate) standing: Standing,
    /// Its life.
    pub(crate) boot: u64,
    /// The reports that were not there before, in order.
    pub(crate) fresh: &'a [Report],
    /// How many more of its reports are missing than before.
    pub(crate) missing_change: i64,
    /// When it came in, ms since 1970.
    pub(crate) heard_ms: u64,
}

/// All workers that have reported, by name.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    workers: BTreeMap<String, Entry>,
}

impl Roster {
    /// Those of an earlier life of the monitor.
    pub(crate) fn new(remembered: Vec<Remembered>) -> Self {
        Self { workers: remembered.into_iter().map(|one| (one.name.clone(), entry(one))).collect() }
    }

    /// Takes in a batch. An old batch, of a life that is over, changes only what is counted.
    pub(crate) fn hear(&mut self, news: &News<'_>) {
        let entry = self.workers.entry(news.worker.to_owned()).or_insert_with(|| Entry::new(news));
        // Not the greater of both: the clock may have been set back.
        entry.heard_ms = news.heard_ms;
        entry.standing = news.standing;
        entry.missing = entry.missing.saturating_add_signed(news.missing_change);
        entry.taken += news.fresh.len() as u64;
        // One impossible boot must not make all lives after it look old.
        let beyond = entry.boot > news.heard_ms.saturating_add(DAY_MS);
        if news.boot > entry.boot || (news.boot != entry.boot && beyond) {
            entry.boot = news.boot;
            entry.kind = news.kind;
            entry.stopping_ms = None;
            entry.cpu.clear();
            // The new life has not said yet that anything is wrong.
            if let Some((_, state)) = &mut entry.state {
                state.wrong.clear();
            }
        }
        for report in news.fresh {
            entry.take_in(report, news);
        }
    }

    /// Forgets a worker. Whether it was there.
    pub(crate) fn forget(&mut self, name: &str) -> bool {
        self.workers.remove(name).is_some()
    }

    /// Forgets unknown workers that the journal forgets too.
    pub(crate) fn forget_strangers(&mut self, now_ms: u64) {
        let horizon_ms = now_ms.saturating_sub(UNKNOWN_KEPT_MS);
        self.workers.retain(|_, entry| entry.standing == Standing::Known || entry.heard_ms >= horizon_ms);
    }

    /// One worker.
    pub(crate) fn get(&self, name: &str) -> Option<&Entry> {
        self.workers.get(name)
    }

    /// All workers, by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, &Entry)> {
        self.workers.iter()
    }

    /// The workers that are watched, as the rules want to see them.
    pub(crate) fn views(&self, watched: &Watched, problems: &[Problem]) -> Vec<View> {
        let mut views: BTreeMap<String, View> =
            watched.expected().map(|(name, kind)| (name.clone(), never_heard(name, kind, watched))).collect();
        for (name, entry) in &self.workers {
            if entry.standing == Standing::Known && watched.is_watched(name, entry.kind) {
                views.insert(name.clone(), entry.view(name, watched));
            }
        }
        for problem in problems {
            if let Some(view) = views.get_mut(&problem.worker) {
                view.archive_fault = Some(problem.error.to_string());
            }
        }
        views.into_values().collect()
    }
}

impl Entry {
    fn new(news: &News<'_>) -> Self {
        Self {
            kind: news.kind,
            standing: news.standing,
            boot: news.boot,
            state: None,
            heard_ms: news.heard_ms,
            stopping_ms: None,
            panic: None,
            panic_of: (0, 0),
            taken: 0,
            missing: 0,
            cpu: Cpu::default(),
        }
    }

    /// The share of a core that it used over the last minutes, above 1 on several cores.
    pub(crate) fn cpu(&self) -> Option<f64> {
        self.cpu.share()
    }

    fn take_in(&mut self, report: &Report, news: &News<'_>) {
        if let Told::Panic { message, place } = &report.told
            && self.panic_of <= (news.boot, report.seq)
        {
            self.panic_of = (news.boot, report.seq);
            let at_ms = told_when(report.at_ms, news.heard_ms);
            self.panic = Some(Panicked { at_ms, message: message.clone(), place: place.clone() });
        }
        if news.boot != self.boot {
            return;
        }
        // Whoever says anything after that it stops has not stopped.
        self.stopping_ms = matches!(report.told, Told::Stopping).then_some(report.at_ms);
        if let Told::State(state) = &report.told {
            self.cpu.add(report.at_ms, state.cpu_us);
            self.state = Some((report.at_ms, state.clone()));
        }
    }

    fn view(&self, name: &str, watched: &Watched) -> View {
        View {
            name: name.into(),
            server: watched.server_of(name).into(),
            kind: self.kind,
            heard_ms: Some(self.heard_ms),
            stopping_ms: self.stopping_ms,
            cpu: self.cpu(),
            wrong: self.state.as_ref().map(|(_, state)| state.wrong.clone()).unwrap_or_default(),
            archive_fault: None,
            panic: self.panic.clone(),
        }
    }
}

/// The time of a panic as the rules take it: not ahead of our clock, and one that comes late is told all the same.
fn told_when(at_ms: u64, heard_ms: u64) -> u64 {
    at_ms.clamp(heard_ms.saturating_sub(LATE_MS), heard_ms)
}

fn entry(one: Remembered) -> Entry {
    let panic = |(at_ms, message, place)| Panicked { at_ms: told_when(at_ms, one.heard_ms), message, place };
    Entry {
        kind: one.kind,
        standing: one.standing,
        boot: one.boot,
        state: one.state,
        heard_ms: one.heard_ms,
        stopping_ms: one.stopping_ms,
        panic: one.panic.map(panic),
        panic_of: (0, 0),
        taken: one.taken,
        missing: one.missing,
        cpu: Cpu::default(),
    }
}

fn never_heard(name: String, kind: WorkerKind, watched: &Watched) -> View {
    let server = watched.server_of(&name).to_owned();
    View {
        name,
        server,
        kind,
        heard_ms: None,
        stopping_ms: None,
        cpu: None,
        wrong: Vec::new(),
        archive_fault: None,
        panic: None,
    }
}

#[cfg(test)]
mod tests {
    use switchboard_fleet::config::Config;

    use super::*;

    fn state(cpu_us: u64) -> Told {
        Told::State(WorkerState {
            rss_bytes: 1,
            cpu_us,
            uptime_s: 1,
            host: "h".into(),
            address: String::new(),
            version: "1".into(),
            pid: 1,
            lost: 0,
            wrong: Vec::new(),
        })
    }

    fn hear(roster: &mut Roster, boot: u64, told: Vec<(u64, Told)>) {
        let fresh: Vec<Report> = told
            .into_iter()
            .enumerate()
            .map(|(seq, (at_ms, told))| Report { seq: seq as u64 + 1, at_ms, told })
            .collect();
        roster.hear(&News {
            worker: "127.0.0.1:8080/8081",
            kind: WorkerKind::Instance,
            standing: Standing::Known,
            boot,
            fresh: &fresh,
            missing_change: 0,
            heard_ms: 100_000,
        });
    }

    #[test]
    fn the_newest_life_counts_and_an_old_one_that_comes_late_does_not() {
        let mut roster = Roster::default();
        hear(&mut roster, 2, vec![(0, state(0)), (60_000, state(60_000_000))]);
        let entry = roster.get("127.0.0.1:8080/8081").unwrap();
        assert_eq!((entry.cpu(), entry.stopping_ms, entry.taken), (Some(1.0), None, 2));
        hear(
            &mut roster,
            1,
            vec![
                (70_000, state(9)),
                (80_000, Told::Stopping),
                (81_000, Told::Panic { message: "m".into(), place: "p".into() }),
            ],
        );
        let entry = roster.get("127.0.0.1:8080/8081").unwrap();
        assert_eq!((entry.cpu(), entry.stopping_ms, entry.taken), (Some(1.0), None, 5));
        assert_eq!(entry.panic.as_ref().map(|panic| panic.at_ms), Some(81_000));
        let panicked =
            |message: &str| vec![(u64::MAX, Told::Panic { message: message.into(), place: "p".into() })];
        for (boot, message, expected) in [
            (1, "an older number", (81_000, "m")),
            (2, "ahead of our clock", (100_000, "ahead of our clock")),
        ] {
            hear(&mut roster, boot, panicked(message));
            let panic = roster.get("127.0.0.1:8080/8081").unwrap().panic.clone().unwrap();
            assert_eq!((panic.at_ms, panic.message.as_str()), expected);
        }
        hear(&mut roster, 2, vec![(90_000, Told::Stopping)]);
        assert_eq!(roster.get("127.0.0.1:8080/8081").unwrap().stopping_ms, Some(90_000));
        hear(&mut roster, 3, vec![(91_000, Told::Started)]);
        let entry = roster.get("127.0.0.1:8080/8081").unwrap();
        assert_eq!((entry.boot, entry.cpu(), entry.stopping_ms), (3, None, None));
    }

    #[test]
    fn what_a_worker_says_is_wrong_counts_until_it_says_otherwise_or_begins_anew() {
        let says = |wrong: &[&str]| {
            let Told::State(state) = state(0) else { panic!("no state") };
            Told::State(WorkerState { wrong: wrong.iter().map(|one| (*one).to_owned()).collect(), ..state })
        };
        let watched = Watched::new(&Config::default());
        let mut roster = Roster::default();
        let mut heard = |boot, told: Told| {
            hear(&mut roster, boot, vec![(1, told)]);
            roster.views(&watched, &[])[0].wrong.clone()
        };
        assert_eq!(heard(1, says(&["a", "b"])), ["a", "b"]);
        assert_eq!(heard(1, Told::Stopping), ["a", "b"]);
        assert_eq!(heard(1, says(&["b"])), ["b"]);
        assert_eq!(heard(2, Told::Started), [""; 0]);
        assert_eq!(heard(2, says(&["c"])), ["c"]);
        assert_eq!(heard(1, says(&["late"])), ["c"]);
        assert_eq!(heard(2, says(&[])), [""; 0]);
    }

    #[test]
    fn clocks_that_are_set_back_and_boots_that_cannot_be() {
        let mut roster = Roster::default();
        hear(&mut roster, 1 << 52, vec![(0, Told::Stopping)]);
        roster.workers.get_mut("127.0.0.1:8080/8081").unwrap().heard_ms = 9_000_000;
        hear(&mut roster, 5, vec![(1, Told::Started)]);
        let entry = roster.get("127.0.0.1:8080/8081").unwrap();
        assert_eq!((entry.heard_ms, entry.boot, entry.stopping_ms), (100_000, 5, None));
    }

    #[test]
    fn expected_workers_are_seen_before_they_were_heard_of() {
        let watched = Watched::new(&Config::default());
        let mut roster = Roster::default();
        hear(&mut roster, 1, vec![(0, Told::Started)]);
        let views = roster.views(&watched, &[]);
        let seen: Vec<_> = views.iter().map(|view| (view.name.as_str(), view.heard_ms)).collect();
        assert_eq!(seen, [("127.0.0.1:8080/8081", Some(100_000)), ("127.0.0.1:8080/8082", None)]);
    }
}
