//! What holds whatever happens.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod front;

use front::{Front, Seen, T0, Turn, seen, turn};
use proptest::prelude::*;
use switchboard_health::{Cause, Check, Health, Kind, Limits, Observed, Switch};

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens(
        backends in 1..9usize,
        share in prop_oneof![Just(0.5), Just(1.0), 0.0..1.0],
        good_checks in 0..4u32,
        turns in proptest::collection::vec(turn(), 1..60),
    ) {
        let limits = Limits { out_share_max: share, good_checks, ..Limits::default() };
        limits.check().unwrap();
        let mut front = Front::of(backends, limits);
        for turn in &turns {
            front.take(turn)?;
        }
        // When all is well for long, all is as it was.
        let well = Seen { requests: 50, cause: Cause::Cut, failed: 0, check: Some(Check::Good { ms: 1 }) };
        front.take(&Turn::Pass { seconds: 10 + 300 + 30 + 5, backends: vec![well; 8] })?;
        prop_assert!(front.health.panic().is_none());
        for (name, (switch, percent)) in &front.switches {
            let weight = front.health.standing(name).unwrap().weight_percent;
            prop_assert_eq!(weight, if *switch == Switch::On { *percent } else { 0 });
        }
    }

    #[test]
    fn who_does_alike_is_treated_alike(series in proptest::collection::vec(seen(), 1..60), backends in 2..9usize) {
        let mut front = Front::of(backends, Limits::default());
        for seen in &series {
            front.now_ms += 1000;
            let events = front.look(&vec![seen.clone(); 8], false);
            prop_assert!(!events.iter().any(|event| event.kind == Kind::Ejected), "{events:?}");
            let weights: Vec<u8> = front.health.weights().map(|(_, weight)| weight).collect();
            prop_assert!(weights.iter().all(|weight| *weight == 100));
        }
    }

    #[test]
    fn names_do_not_matter(series in proptest::collection::vec(proptest::collection::vec(seen(), 8), 1..60)) {
        let (mut one, mut other) = (Front::of(8, Limits::default()), Front::of(8, Limits::default()));
        for seen in &series {
            let reversed: Vec<Seen> = seen.iter().rev().cloned().collect();
            for (front, seen) in [(&mut one, seen), (&mut other, &reversed)] {
                front.now_ms += 1000;
                front.look(seen, false);
            }
            let states = |front: &Front| -> Vec<_> {
                front.health.standings().map(|one| (one.state, one.weight_percent, one.ejections)).collect()
            };
            let mut mirrored = states(&other);
            mirrored.reverse();
            prop_assert_eq!(states(&one), mirrored);
        }
    }
}

#[test]
fn changes_that_cannot_be_are_refused_and_change_nothing() {
    let limits = Limits::default();
    let mut health = Health::new(T0);
    health.sync(&limits, T0, ["a"]).unwrap();
    let many: Vec<String> = (0..5001).map(|n| n.to_string()).collect();
    let many = health.sync(&limits, T0, many.iter().map(String::as_str)).unwrap_err();
    assert_eq!(many.to_string(), "5001 backends are too many: at most 5000 for one front");
    assert!(health.sync(&limits, T0, [""]).is_err());
    assert!(health.sync(&limits, T0, ["a".repeat(301).as_str()]).is_err());
    assert!(health.switch(&limits, T0, "b", Switch::Off).is_err());
    assert!(health.set_weight(&limits, T0, "a", 101).is_err());
    let stranger = [Observed::check("b", Check::Bad(Cause::Refused)); 10];
    assert_eq!(health.look(&limits, T0 + 1000, &stranger), []);
    assert_eq!(health.weights().collect::<Vec<_>>(), [("a", 100)]);
}
