use switchboard_fleet::report::WorkerKind;

use super::*;
use crate::rules::{CALM_MS, Covers, DOWN_AFTER_MS, HOUR_MS, Panicked};

const T0: u64 = 1_795_374_000_000;
const WELL: Reach = Reach { own: true, others: Some(true) };

/// A fleet that is looked at every minute.
struct Fleet {
    alerts: Alerts,
    rules: Rules,
    now_ms: u64,
    views: Vec<View>,
    reach: Reach,
    /// Who does not report.
    dead: BTreeSet<String>,
    events: Vec<Event>,
}

impl Fleet {
    /// Servers `a`, `b`, ... with so many instances each, all well; the monitor is at `a`.
    fn of(instances: &[usize]) -> Self {
        let mut views = Vec::new();
        for (server, count) in ["a", "b", "c", "d"].iter().zip(instances) {
            views.extend((1..=*count).map(|n| view(server, &format!("{server}/{n}"), WorkerKind::Instance)));
        }
        let rules = Rules {
            own: "a".into(),
            down_after_ms: DOWN_AFTER_MS,
            cpu_over: 0.9,
            threshold: 0.3,
            grace_ms: 30 * MINUTE_MS,
        };
        let alerts = Alerts::new(T0);
        Self { alerts, rules, now_ms: T0, views, reach: WELL, dead: BTreeSet::new(), events: Vec::new() }
    }

    fn kill(&mut self, names: &[&str]) {
        self.dead.extend(names.iter().map(|name| (*name).to_owned()));
    }

    fn heal(&mut self, names: &[&str]) {
        self.dead.retain(|name| !names.contains(&name.as_str()));
    }

    fn set(&mut self, name: &str, change: impl Fn(&mut View)) {
        change(self.views.iter_mut().find(|view| view.name == name).unwrap());
    }

    fn silence(&mut self, covers: Covers, minutes: u64) {
        let (from_ms, until_ms) = (self.now_ms, self.now_ms + minutes * MINUTE_MS);
        self.alerts.silence(Silence { covers, from_ms, until_ms, reason: "work".into() }).unwrap();
    }

    /// Lets minutes pass. The letters, each as `KIND@SERVER CHANGE N/M` with members and instances.
    fn pass(&mut self, minutes: u64) -> Vec<String> {
        let mut letters = Vec::new();
        for _ in 0..minutes {
            self.now_ms += MINUTE_MS;
            for view in self.views.iter_mut().filter(|view| !self.dead.contains(&view.name)) {
                view.heard_ms = Some(self.now_ms - 1000);
            }
            if self.now_ms.is_multiple_of(20 * MINUTE_MS) {
                let json = serde_json::to_string(&self.alerts).unwrap();
                self.alerts = serde_json::from_str(&json).unwrap();
            }
            let events = self.alerts.look(&self.rules, self.now_ms, &self.views, self.reach);
            letters.extend(events.iter().filter(|event| event.letter.is_some()).map(shown));
            self.events.extend(events);
        }
        letters
    }
}

fn view(server: &str, name: &str, kind: WorkerKind) -> View {
    View {
        name: name.into(),
        server: server.into(),
        kind,
        heard_ms: None,
        stopping_ms: None,
        cpu: None,
        wrong: Vec::new(),
        archive_fault: None,
        panic: None,
    }
}

fn shown(event: &Event) -> String {
    let change = match &event.change {
        Change::Opened => "opened".into(),
        Change::Updated { joined, left } => format!("updated +{} -{}", joined.len(), left.len()),
        Change::Reminder => "reminder".into(),
        Change::Unstable { .. } => "unstable".into(),
        Change::Recovered { lasted_ms } => format!("recovered after {}", lasted_ms / MINUTE_MS),
        Change::Ended { .. } => "ended".into(),
    };
    let whole = if event.kind == Kind::Down && event.facts.whole { " whole" } else { "" };
    let (members, all) = (event.facts.members.len(), event.facts.instances);
    format!("{:?}@{} {change} {members}/{all}{whole}", event.kind, event.server)
}

#[test]
fn some_down_is_told_after_six_minutes_once_and_again_when_over() {
    let mut fleet = Fleet::of(&[4, 2]);
    assert_eq!(fleet.pass(10), [""; 0]);
    fleet.kill(&["a/1", "a/3"]);
    assert_eq!(fleet.pass(5), [""; 0]);
    assert_eq!(fleet.pass(2), ["Down@a opened 2/4"]);
    assert_eq!(fleet.pass(28), [""; 0]);
    assert_eq!(fleet.pass(1), ["Down@a reminder 2/4"]);
    fleet.heal(&["a/1", "a/3"]);
    assert_eq!(fleet.pass(1), ["Down@a recovered after 31 0/4"]);
    assert_eq!(fleet.pass(60), [""; 0]);
    assert!(fleet.alerts.incidents().is_empty());
}

#[test]
fn a_whole_server_is_one_letter_though_its_last_reports_are_a_minute_apart() {
    let mut fleet = Fleet::of(&[3, 3]);
    fleet.pass(10);
    fleet.kill(&["b/1"]);
    fleet.pass(1);
    fleet.kill(&["b/2", "b/3"]);
    assert_eq!(fleet.pass(9), ["Down@b opened 3/3 whole"]);
    fleet.heal(&["b/1", "b/2"]);
    assert_eq!(fleet.pass(1), [""; 0], "fewer than told: not before the grace period is over");
    assert_eq!(fleet.pass(40), ["Down@b updated +0 -2 1/3"]);
}

#[test]
fn who_joins_is_told_at_once() {
    let mut fleet = Fleet::of(&[3]);
    fleet.pass(10);
    fleet.kill(&["a/1"]);
    assert_eq!(fleet.pass(10), ["Down@a opened 1/3"]);
    fleet.kill(&["a/2", "a/3"]);
    assert_eq!(fleet.pass(7), ["Down@a updated +2 -0 3/3 whole"]);
}

#[test]
fn the_threshold_is_a_share_of_the_running_ones() {
    // Instances, down, overloaded, threshold: is it told? Sums that are not exact in binary are among them.
    let table = [
        (4, 0, 1, 0.3, false),
        (4, 0, 2, 0.3, true),
        (4, 1, 1, 0.3, true),
        (3, 0, 1, 0.3, true),
        (10, 0, 3, 0.3, true),
        (30, 0, 3, 0.1, true),
        (30, 0, 2, 0.1, false),
        (7, 0, 0, 0.0, false),
        (7, 0, 1, 0.0, true),
        (2, 0, 1, 1.0, false),
        (2, 0, 2, 1.0, true),
        (2, 1, 1, 1.0, true),
    ];
    for (instances, down, over, threshold, told) in table {
        let mut fleet = Fleet::of(&[instances]);
        fleet.rules.threshold = threshold;
        for n in 1..=down {
            fleet.kill(&[&format!("a/{n}")]);
        }
        fleet.pass(10);
        for n in down + 1..=down + over {
            fleet.set(&format!("a/{n}"), |view| view.cpu = Some(0.91));
        }
        let letters = fleet.pass(1);
        let row = format!("{instances} {down} {over} {threshold}: {letters:?}");
        assert_eq!(letters.iter().any(|letter| letter.starts_with("Overload@a opened")), told, "{row}");
    }
}

#[test]
fn some_down_and_some_overloaded_are_both_told() {
    let mut fleet = Fleet::of(&[4]);
    fleet.pass(10);
    fleet.kill(&["a/1"]);
    fleet.set("a/2", |view| view.cpu = Some(0.95));
    assert_eq!(fleet.pass(10), ["Down@a opened 1/4", "Overload@a opened 1/4"]);
    // At the limit it would come and go.
    fleet.set("a/2", |view| view.cpu = Some(0.85));
    assert_eq!(fleet.pass(10), [""; 0]);
    fleet.set("a/2", |view| view.cpu = Some(0.8));
    assert_eq!(fleet.pass(1), ["Overload@a recovered after 15 0/4"]);
}

#[test]
fn an_unreadable_archive_is_told_once_in_a_grace_period() {
    let mut fleet = Fleet::of(&[2, 2]);
    fleet.pass(10);
    for name in ["a/1", "b/2"] {
        fleet.set(name, |view| view.archive_fault = Some("disk is full".into()));
    }
    assert_eq!(fleet.pass(30), ["Archive@ opened 2/4"]);
    assert_eq!(fleet.pass(30), ["Archive@ reminder 2/4"]);
    for name in ["a/1", "b/2"] {
        fleet.set(name, |view| view.archive_fault = None);
    }
    assert_eq!(fleet.pass(1), ["Archive@ recovered after 60 0/4"]);
}

#[test]
fn a_panic_is_told_and_not_recovered_from() {
    let mut fleet = Fleet::of(&[2]);
    fleet.pass(10);
    let panic = |at_ms| Some(Panicked { at_ms, message: "no".into(), place: "a.rs:1:2".into() });
    let at_ms = fleet.now_ms;
    fleet.set("a/1", |view| view.panic = panic(at_ms));
    assert_eq!(fleet.pass(40), ["Panic@a opened 1/2"]);
    let at_ms = fleet.now_ms;
    fleet.set("a/1", |view| view.panic = panic(at_ms));
    assert_eq!(fleet.pass(100), ["Panic@a reminder 1/2"]);
    assert!(fleet.alerts.incidents().is_empty());
    assert!(matches!(fleet.events.last().unwrap().change, Change::Ended { .. }));
}

#[test]
fn when_nobody_reports_one_letter_says_so() {
    let mut fleet = Fleet::of(&[3, 3, 2]);
    fleet.pass(10);
    let all: Vec<String> = fleet.views.iter().map(|view| view.name.clone()).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    fleet.kill(&all);
    assert_eq!(fleet.pass(15), ["Unheard@ opened 8/8"]);
    // They come back one by one; one does not.
    fleet.heal(&["a/1"]);
    assert_eq!(fleet.pass(1), ["Unheard@ recovered after 10 0/8"]);
    fleet.heal(&all[1..7]);
    assert_eq!(fleet.pass(10), ["Down@c opened 1/2"]);
}

#[test]
fn a_monitor_that_is_cut_off_says_so_and_calls_nobody_down() {
    let mut fleet = Fleet::of(&[2, 2, 2]);
    fleet.pass(10);
    fleet.reach = Reach { own: true, others: Some(false) };
    fleet.kill(&["b/1", "b/2", "c/1", "c/2"]);
    assert_eq!(fleet.pass(12), ["Unheard@ opened 4/6"]);
    fleet.reach = WELL;
    fleet.dead.clear();
    assert_eq!(fleet.pass(12), ["Unheard@ recovered after 7 0/6"]);
    // One server alone whose front does not answer is down.
    let mut fleet = Fleet::of(&[2, 2]);
    fleet.pass(10);
    fleet.reach = Reach { own: true, others: Some(false) };
    fleet.kill(&["b/1", "b/2"]);
    assert_eq!(fleet.pass(12), ["Down@b opened 2/2 whole"]);
    // A single server is no fleet: its silence is its own, unless the monitor does not answer itself.
    for (own, letter) in [(true, "Down@a opened 2/2 whole"), (false, "Unheard@ opened 2/2")] {
        let mut fleet = Fleet::of(&[2]);
        fleet.reach = Reach { own, others: None };
        fleet.pass(10);
        fleet.kill(&["a/1", "a/2"]);
        assert_eq!(fleet.pass(12), [letter]);
    }
}

#[test]
fn what_comes_and_goes_is_told_once_until_it_is_calm() {
    let mut fleet = Fleet::of(&[4]);
    fleet.pass(10);
    let mut letters = Vec::new();
    for _ in 0..20 {
        fleet.kill(&["a/1"]);
        letters.extend(fleet.pass(7));
        fleet.heal(&["a/1"]);
        letters.extend(fleet.pass(2));
    }
    assert_eq!(letters.len(), 7, "{letters:?}");
    assert_eq!(letters[6], "Down@a unstable 1/4");
    // The end of the whole server is told even so, once.
    fleet.kill(&["a/1", "a/2", "a/3", "a/4"]);
    assert_eq!(fleet.pass(20), ["Down@a updated +3 -0 4/4 whole"]);
    fleet.dead.clear();
    let calm = fleet.pass(CALM_MS / MINUTE_MS + 1);
    assert!(matches!(calm.as_slice(), [one] if one.starts_with("Down@a recovered")), "{calm:?}");
    assert!(fleet.alerts.incidents().is_empty());
}

#[test]
fn a_silence_holds_letters_back_and_loses_none() {
    let mut fleet = Fleet::of(&[4, 2]);
    fleet.pass(10);
    fleet.silence(Covers::Server("a".into()), 60);
    fleet.kill(&["a/1", "b/1"]);
    assert_eq!(fleet.pass(59), ["Down@b opened 1/2", "Down@b reminder 1/2"]);
    assert!(fleet.events.iter().any(|e| e.server == "a" && e.letter.is_none() && e.change == Change::Opened));
    assert_eq!(fleet.pass(2), ["Down@a opened 1/4"], "told when the silence ends");
    // A recovery under silence is told afterwards.
    fleet.silence(Covers::Worker("a/1".into()), 30);
    fleet.heal(&["a/1", "b/1"]);
    assert_eq!(fleet.pass(29), ["Down@b recovered after 56 0/2"]);
    assert_eq!(fleet.pass(2), ["Down@a recovered after 56 0/4"]);
    // One of two that are down is silenced: only the other is told.
    fleet.silence(Covers::Worker("a/2".into()), 100);
    fleet.kill(&["a/2", "a/3"]);
    assert_eq!(fleet.pass(10), ["Down@a opened 1/4"]);
    assert_eq!(fleet.events.last().unwrap().facts.silenced, 1);
    assert_eq!(fleet.alerts.end_silences(|_| true), 1);
    assert_eq!(fleet.pass(1), ["Down@a updated +1 -0 2/4"]);
}

#[test]
fn a_monitor_that_was_away_waits_and_does_not_repeat_itself() {
    let mut fleet = Fleet::of(&[4, 2]);
    fleet.pass(10);
    fleet.kill(&["a/1", "a/2"]);
    assert_eq!(fleet.pass(10), ["Down@a opened 2/4"]);
    for restarted in [true, false] {
        // Away for an hour; told of it, or finding it out by the clock. The end of the incident has to be heard, not assumed.
        fleet.now_ms += HOUR_MS;
        if restarted {
            fleet.alerts.restarted(fleet.now_ms);
        }
        let all: Vec<String> = fleet.views.iter().map(|view| view.name.clone()).collect();
        let heard = fleet.dead.clone();
        fleet.dead = all.into_iter().collect();
        let letters = fleet.pass(4);
        assert_eq!(letters, ["Down@a reminder 2/4"], "{restarted}");
        fleet.dead = heard;
        assert_eq!(fleet.pass(10), [""; 0]);
    }
    // The clock is set back.
    fleet.now_ms -= 5 * HOUR_MS;
    assert_eq!(fleet.pass(5), [""; 0]);
    fleet.dead.clear();
    assert!(matches!(fleet.pass(3).as_slice(), [one] if one.starts_with("Down@a recovered")));
}

#[test]
fn what_is_no_longer_watched_ends() {
    let mut fleet = Fleet::of(&[2, 2]);
    fleet.kill(&["b/1", "b/2"]);
    fleet.views.push(view("a", "a/front", WorkerKind::Front));
    assert_eq!(fleet.pass(10), ["Down@b opened 2/2 whole"]);
    fleet.views.retain(|view| view.server != "b");
    assert_eq!(fleet.pass(2), ["Down@b ended 0/0"]);
    fleet.kill(&["a/front"]);
    assert_eq!(fleet.pass(10), ["Down@a opened 1/2"]);
}

#[test]
fn silences_are_bounded_and_not_empty() {
    let mut alerts = Alerts::new(T0);
    let silence = |until_ms| Silence { covers: Covers::All, from_ms: 5, until_ms, reason: String::new() };
    assert_eq!(alerts.silence(silence(5)), Err(SilenceRefused::Empty));
    for _ in 0..Alerts::SILENCES_MAX {
        alerts.silence(silence(6)).unwrap();
    }
    assert_eq!(alerts.silence(silence(6)), Err(SilenceRefused::TooMany));
    alerts.look(&Fleet::of(&[]).rules, T0, &[], WELL);
    assert!(alerts.silences().is_empty(), "those that are over are forgotten");
}

#[path = "simulation_tests.rs"]
mod simulation;

#[path = "trouble_tests.rs"]
mod trouble;

#[test]
fn a_restart_of_the_monitor_amid_overload_changes_nothing() {
    let mut fleet = Fleet::of(&[2]);
    fleet.set("a/1", |view| view.cpu = Some(0.97));
    assert_eq!(fleet.pass(8), ["Overload@a opened 1/2"]);
    // It does not know yet how much CPU is used.
    fleet.alerts.restarted(fleet.now_ms);
    fleet.set("a/1", |view| view.cpu = None);
    assert_eq!(fleet.pass(2), [""; 0]);
    fleet.set("a/1", |view| view.cpu = Some(0.97));
    assert_eq!(fleet.pass(20), [""; 0]);
    fleet.set("a/1", |view| view.cpu = Some(0.1));
    assert_eq!(fleet.pass(2), ["Overload@a recovered after 30 0/2"]);
}

#[test]
fn a_program_that_has_ended_its_work_is_not_down() {
    let mut fleet = Fleet::of(&[2]);
    fleet.views.push(view("a", "backup", WorkerKind::Program));
    fleet.kill(&["backup"]);
    assert_eq!(fleet.pass(20), [""; 0], "its turn has not come yet");
    fleet.heal(&["backup"]);
    fleet.pass(1);
    fleet.kill(&["backup"]);
    let now_ms = fleet.now_ms;
    fleet.set("backup", |view| view.stopping_ms = Some(now_ms));
    assert_eq!(fleet.pass(600), [""; 0]);
    // One that fell silent in the middle of it is.
    fleet.set("backup", |view| view.stopping_ms = None);
    assert_eq!(fleet.pass(1), ["Down@a opened 1/2"]);
}
