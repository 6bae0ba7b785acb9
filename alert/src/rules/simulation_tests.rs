use proptest::prelude::*;

use super::*;

/// One thing that may happen in a simulated day.
#[derive(Debug, Clone)]
enum Turn {
    Kill(usize),
    Heal(usize),
    HealAll,
    Cpu(usize, f64),
    Wrong(usize, bool),
    Fault(usize, bool),
    Panic(usize),
    Silence(usize, u64),
    Reach(bool, bool),
    Away(u64),
    Pass(u64),
}

fn turn() -> impl Strategy<Value = Turn> {
    let who = 0..9usize;
    prop_oneof![
        4 => who.clone().prop_map(Turn::Kill),
        3 => who.clone().prop_map(Turn::Heal),
        1 => Just(Turn::HealAll),
        2 => (who.clone(), 0.5..1.2).prop_map(|(who, cpu)| Turn::Cpu(who, cpu)),
        2 => (who.clone(), any::<bool>()).prop_map(|(who, bad)| Turn::Wrong(who, bad)),
        1 => (who.clone(), any::<bool>()).prop_map(|(who, bad)| Turn::Fault(who, bad)),
        1 => who.clone().prop_map(Turn::Panic),
        1 => (0..12usize, 1..200u64).prop_map(|(who, minutes)| Turn::Silence(who, minutes)),
        1 => (any::<bool>(), any::<bool>()).prop_map(|(own, others)| Turn::Reach(own, others)),
        1 => (1..200u64).prop_map(Turn::Away),
        12 => (1..40u64).prop_map(Turn::Pass),
    ]
}

impl Fleet {
    fn take(&mut self, turn: &Turn) {
        let name = |who: usize, views: &[View]| views[who % views.len()].name.clone();
        match turn {
            Turn::Kill(who) => self.kill(&[&name(*who, &self.views)]),
            Turn::Heal(who) => self.heal(&[&name(*who, &self.views)]),
            Turn::HealAll => self.dead.clear(),
            Turn::Cpu(who, cpu) => self.views[*who].cpu = Some(*cpu),
            Turn::Wrong(who, bad) => {
                self.views[*who].wrong = if *bad { vec!["bad.".into()] } else { Vec::new() };
            }
            Turn::Fault(who, bad) => self.views[*who].archive_fault = bad.then(|| "bad".into()),
            Turn::Panic(who) => {
                let at_ms = self.now_ms;
                self.views[*who].panic =
                    Some(Panicked { at_ms, message: "no".into(), place: "x:1:1".into() });
            }
            Turn::Silence(who, minutes) => {
                let covers = match who {
                    9 => Covers::All,
                    10 => Covers::Server("a".into()),
                    11 => Covers::Server("b".into()),
                    who => Covers::Worker(name(*who, &self.views)),
                };
                self.silence(covers, *minutes);
            }
            Turn::Reach(own, others) => self.reach = Reach { own: *own, others: Some(*others) },
            Turn::Away(minutes) => self.now_ms += minutes * MINUTE_MS,
            Turn::Pass(minutes) => drop(self.pass(*minutes)),
        }
    }
}

/// Letters of one incident that were written, and its end.
fn check_threads(events: &[Event]) -> Result<BTreeSet<String>, TestCaseError> {
    let (mut open, mut letters) = (BTreeSet::new(), BTreeMap::new());
    for event in events {
        if let Some(number) = event.letter {
            let next: &mut u32 = letters.entry(event.incident.clone()).or_default();
            prop_assert_eq!(number, *next, "numbers without a gap");
            *next += 1;
        }
        open.insert(event.incident.clone());
        if let Change::Recovered { .. } | Change::Ended { .. } = event.change {
            open.remove(&event.incident);
            let told = letters.contains_key(&event.incident) && event.kind != Kind::Panic;
            prop_assert!(!told || event.letter.is_some(), "who learned of the beginning learns of the end");
        }
    }
    Ok(open)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn days_of_outages(turns in proptest::collection::vec(turn(), 1..120)) {
        let mut fleet = Fleet::of(&[4, 3, 2]);
        for turn in &turns {
            let (before, from) = (fleet.alerts.silences.clone(), fleet.events.len());
            fleet.take(turn);
            for event in &fleet.events[from..] {
                let silent = |m: &crate::rules::Member| before.iter().any(|s| s.covers(&m.server, &m.name, event.at_ms));
                prop_assert!(event.letter.is_none() || !event.facts.members.iter().any(silent), "{event:?}");
                let all = before.iter().any(|s| s.covers == Covers::All && (s.from_ms..s.until_ms).contains(&event.at_ms));
                prop_assert!(event.letter.is_none() || !all, "a letter amid a silence: {event:?}");
                let empty = event.facts.members.is_empty() && event.letter.is_some();
                let end = matches!(event.change, Change::Recovered { .. } | Change::Ended { .. } | Change::Unstable { .. });
                prop_assert!(!empty || end, "a letter about nobody: {event:?}");
            }
        }
        // Changes and one more, one for the whole server, and reminders each half hour.
        for kind in [Kind::Down, Kind::Overload, Kind::Trouble, Kind::Archive, Kind::Panic, Kind::Unheard] {
            for server in ["", "a", "b", "c"] {
                let told: Vec<u64> = fleet.events.iter()
                    .filter(|e| e.kind == kind && e.server == server && e.letter.is_some())
                    .map(|e| e.at_ms).collect();
                for window in told.windows(13) {
                    prop_assert!(window[12] - window[0] > HOUR_MS, "{kind:?} {server}");
                }
            }
        }
        let open = check_threads(&fleet.events)?;
        let known: BTreeSet<String> = fleet.alerts.incidents().iter().map(|i| i.id.clone()).collect();
        prop_assert_eq!(open, known);

        // All that is wrong for long is told, and all ends when all is well.
        fleet.reach = WELL;
        fleet.pass(300);
        let mut told: BTreeSet<String> = BTreeSet::new();
        for incident in fleet.alerts.incidents().iter().filter(|i| i.kind == Kind::Down) {
            prop_assert!(incident.letters > 0);
            told.extend(incident.members.keys().cloned());
        }
        let unheard = fleet.alerts.incidents().iter().any(|i| i.kind == Kind::Unheard);
        prop_assert!(unheard || told == fleet.dead, "{told:?} {:?}", fleet.dead);
        // Whoever is heard to complain, and nobody who is heard to be well.
        let heard = |view: &&View| !fleet.dead.contains(&view.name);
        for view in fleet.views.iter().filter(heard) {
            let in_it = |i: &&crate::rules::Incident| i.kind == Kind::Trouble && i.members.contains_key(&view.name);
            let incident = fleet.alerts.incidents().iter().find(in_it);
            prop_assert_eq!(incident.is_some_and(|i| i.letters > 0), !view.wrong.is_empty(), "{}", view.name);
        }
        fleet.dead.clear();
        for view in &mut fleet.views {
            view.cpu = None;
            view.wrong.clear();
            view.archive_fault = None;
        }
        fleet.pass(2 * HOUR_MS / MINUTE_MS);
        prop_assert_eq!(check_threads(&fleet.events)?, BTreeSet::new());
        prop_assert!(fleet.alerts.incidents().is_empty());
        prop_assert!(fleet.events.iter().all(|e| e.letter.is_none() || e.at_ms >= T0 + 6 * MINUTE_MS || e.kind != Kind::Down));
    }
}
