use super::*;

impl Fleet {
    fn says(&mut self, name: &str, wrong: &[&str]) {
        self.set(name, |view| view.wrong = wrong.iter().map(|sentence| (*sentence).to_owned()).collect());
    }

    /// With a controller beside its one instance, all of it well for a while.
    fn with_a_controller() -> Self {
        let mut fleet = Self::of(&[1]);
        fleet.views.push(view("a", "a/controller", WorkerKind::Controller));
        fleet.pass(10);
        fleet
    }
}

const BAD: &[&str] = &["The module does not answer.", "no lease"];

#[test]
fn what_a_program_says_for_two_looks_is_told_and_its_end_too() {
    let mut fleet = Fleet::with_a_controller();
    fleet.says("a/controller", BAD);
    assert_eq!(fleet.pass(1), [""; 0]);
    assert!(fleet.alerts.incidents().is_empty());
    let first_ms = fleet.now_ms;
    assert_eq!(fleet.pass(1), ["Trouble@a opened 1/1"]);
    let member = &fleet.events[0].facts.members[0];
    assert_eq!(member.detail, "The module does not answer; no lease");
    assert_eq!(member.since_ms, first_ms);
    // Other words are no other matter.
    fleet.says("a/controller", &["no lease"]);
    assert_eq!(fleet.pass(30), ["Trouble@a reminder 1/1"]);
    assert_eq!(fleet.events.last().unwrap().facts.members[0].detail, "no lease");
    fleet.says("a/1", &["disk is full"]);
    assert_eq!(fleet.pass(3), ["Trouble@a updated +1 -0 2/1"]);
    fleet.says("a/1", &[]);
    fleet.says("a/controller", &[]);
    assert_eq!(fleet.pass(1), ["Trouble@a recovered after 34 0/1"]);
    assert!(fleet.alerts.incidents().is_empty());
}

#[test]
fn a_blip_is_nothing_however_often_it_comes() {
    let mut fleet = Fleet::with_a_controller();
    for _ in 0..30 {
        fleet.says("a/controller", BAD);
        fleet.pass(1);
        fleet.says("a/controller", &[]);
        fleet.pass(1);
    }
    assert_eq!(fleet.events, []);
}

#[test]
fn whoever_falls_silent_in_trouble_is_down_and_no_better() {
    let mut fleet = Fleet::with_a_controller();
    fleet.says("a/controller", BAD);
    assert_eq!(fleet.pass(2), ["Trouble@a opened 1/1"]);
    fleet.kill(&["a/controller"]);
    assert_eq!(fleet.pass(10), ["Down@a opened 1/1"]);
    assert_eq!(fleet.pass(60), ["Down@a reminder 1/1"; 2], "of the trouble nothing more is known");
    fleet.heal(&["a/controller"]);
    assert_eq!(fleet.pass(1), ["Trouble@a reminder 1/1", "Down@a recovered after 65 0/1"]);
    fleet.kill(&["a/controller"]);
    assert_eq!(fleet.pass(10), ["Down@a opened 1/1"]);
    fleet.heal(&["a/controller"]);
    fleet.says("a/controller", &[]);
    assert_eq!(fleet.pass(1), ["Trouble@a recovered after 82 0/1", "Down@a recovered after 5 0/1"]);
    // One that complains no sooner than in its last words is down, and that is all.
    fleet.says("a/controller", BAD);
    fleet.kill(&["a/controller"]);
    fleet.pass(3);
    assert_eq!(fleet.pass(7), ["Down@a opened 1/1"]);
}

#[test]
fn a_silent_one_keeps_no_other_in_trouble() {
    let mut fleet = Fleet::with_a_controller();
    fleet.says("a/controller", BAD);
    fleet.says("a/1", BAD);
    assert_eq!(fleet.pass(2), ["Trouble@a opened 2/1"]);
    fleet.kill(&["a/controller"]);
    fleet.pass(10);
    fleet.says("a/1", &[]);
    fleet.pass(1);
    let members: Vec<_> = fleet.alerts.incidents()[0].members.keys().collect();
    assert_eq!(members, ["a/controller"]);
    fleet.views.retain(|view| view.name != "a/controller");
    let letters = fleet.pass(1);
    assert!(letters.iter().any(|letter| letter.starts_with("Trouble@a recovered")), "{letters:?}");
}

#[test]
fn a_restart_of_the_monitor_amid_trouble_changes_nothing() {
    let mut fleet = Fleet::with_a_controller();
    fleet.says("a/controller", BAD);
    assert_eq!(fleet.pass(2), ["Trouble@a opened 1/1"]);
    let json = serde_json::to_string(&fleet.alerts).unwrap();
    fleet.alerts = serde_json::from_str(&json).unwrap();
    fleet.alerts.restarted(fleet.now_ms);
    fleet.kill(&["a/controller"]);
    assert_eq!(fleet.pass(2), [""; 0]);
    fleet.heal(&["a/controller"]);
    assert_eq!(fleet.pass(20), [""; 0]);
    // The clock is set back.
    fleet.now_ms -= HOUR_MS;
    assert_eq!(fleet.pass(2), [""; 0]);
    fleet.says("a/controller", &[]);
    assert!(matches!(fleet.pass(1).as_slice(), [one] if one.starts_with("Trouble@a recovered")));
}

#[test]
fn what_was_remembered_before_programs_could_complain_is_read() {
    let fleet = Fleet::with_a_controller();
    let mut json = serde_json::to_value(&fleet.alerts).unwrap();
    json.as_object_mut().unwrap().remove("complaints").unwrap();
    assert_eq!(serde_json::from_value::<Alerts>(json).unwrap(), fleet.alerts);
}
