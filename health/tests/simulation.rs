//! What an operator may rely on, played with numbers that look like chance.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use support::{Dice, Front, Manner};
use switchboard_health::{Cause, Counts, Failures, Kind, Observed, State};

#[test]
fn who_fails_30_percent_of_50_a_second_is_out_within_three_seconds() {
    let mut slow = 0;
    for seed in 0..100 {
        let mut front = Front::of(4, 50.0, seed);
        front.manners[1] = Manner::Fails(0.3);
        let seconds = front.until(5, |front| front.is_out(1));
        slow += u32::from(seconds > 3);
        assert_eq!(front.kinds(), [Kind::Ejected]);
        assert_eq!(front.events[0].backend.as_deref(), Some("10.0.0.1:8081"));
    }
    // Its 30 % are an average: now and then it takes a second more to see.
    assert!(slow <= 10, "{slow} of 100 took longer");
}

#[test]
fn who_fails_1_or_5_percent_never_is() {
    for (seed, share) in [(1, 0.01), (2, 0.05)] {
        let mut front = Front::of(4, 50.0, seed);
        front.manners[1] = Manner::Fails(share);
        front.pass(3600);
        assert_eq!(front.events, []);
    }
}

#[test]
fn few_failures_and_bursts_throw_nobody_out() {
    // Three failures in 356 requests within 8 s.
    let mut front = Front::of(2, 22.0, 3);
    for failed in [1, 0, 0, 1, 0, 0, 0, 1] {
        burst(&mut front, 44, failed);
    }
    front.pass(20);
    assert_eq!(front.events, []);
    // A second in which nearly all of many requests fail, once and again.
    let mut front = Front::of(2, 500.0, 4);
    for _ in 0..5 {
        burst(&mut front, 500, 480);
        front.pass(20);
        assert_eq!(front.events, []);
    }
    // The very first second that is seen of a backend.
    let mut front = Front::of(2, 0.0, 5);
    burst(&mut front, 500, 480);
    assert_eq!(front.events, []);
}

/// A second in which the first backend has so many requests, and the others what they have.
fn burst(front: &mut Front, requests: u32, failed: u32) {
    let failures = Failures::of(&[(Cause::ReadTimeout, failed)]);
    front.now_ms += 1000;
    let mut observed = vec![Observed::counts(&front.names[0], Counts { requests, failures })];
    for name in &front.names[1..] {
        let requests = front.rate as u32;
        observed.push(Observed::counts(name, Counts { requests, failures: Failures::default() }));
    }
    let events = front.health.look(&front.limits, front.now_ms, &observed);
    front.events.extend(events);
}

#[test]
fn a_dead_one_is_out_within_two_seconds_and_without_traffic_within_three_checks() {
    for (rate, seconds_max) in [(500.0, 1), (50.0, 1), (2.0, 1), (1.0, 2), (0.0, 3)] {
        for seed in 0..20 {
            let mut front = Front::of(3, rate, seed);
            front.manners[2] = Manner::Dead;
            assert!(front.until(4, |front| front.is_out(2)) <= seconds_max, "at {rate}/s");
            assert_eq!(front.kinds(), [Kind::Ejected]);
        }
    }
}

#[test]
fn who_dies_between_two_looks_is_out_at_the_next_but_one() {
    for alive in [0, 10, 24, 25, 26, 40, 50] {
        let mut front = Front::of(3, 50.0, 1);
        let failures = Failures::of(&[(Cause::Refused, 50 - alive)]);
        for counts in [
            Counts { requests: 50, failures },
            Counts { requests: 50, failures: Failures::of(&[(Cause::Refused, 50)]) },
        ] {
            front.now_ms += 1000;
            let observed = [Observed::counts(&front.names[0], counts)];
            front.events.extend(front.health.look(&front.limits, front.now_ms, &observed));
        }
        assert!(front.is_out(0), "{alive} were served before");
    }
}

#[test]
fn after_healing_it_is_back_in_full_within_cool_off_and_slow_start() {
    for dead_s in [5, 60] {
        let mut front = Front::of(3, 50.0, 6);
        front.manners[0] = Manner::Dead;
        front.pass(dead_s);
        assert!(front.is_out(0));
        front.manners[0] = Manner::Healthy;
        let seconds = front.until(60, |front| matches!(front.state(0), State::Up { .. }));
        // The rest of the cool-off or three checks, the slow start, a look.
        assert!(seconds <= 10 + 30 + 1, "{seconds}");
        assert!(dead_s < 60 || seconds <= 3 + 30 + 1, "{seconds}");
        assert_eq!(front.kinds(), [Kind::Ejected, Kind::SlowStart, Kind::Up]);
        assert_eq!(front.weight(0), 100);
    }
}

#[test]
fn a_slow_start_grows_from_a_tenth_to_all() {
    let mut front = Front::of(3, 50.0, 6);
    front.manners[0] = Manner::Dead;
    front.pass(20);
    front.manners[0] = Manner::Healthy;
    front.until(5, |front| !front.is_out(0));
    let mut weights = vec![front.weight(0)];
    for _ in 0..30 {
        front.pass(1);
        weights.push(front.weight(0));
    }
    assert_eq!((weights[0], weights[10], weights[20], weights[30]), (10, 40, 70, 100));
    assert!(weights.is_sorted());
}

#[test]
fn who_fails_again_stays_out_twice_as_long_and_is_forgiven_in_time() {
    let mut front = Front::of(4, 50.0, 7);
    // Its checks are good all the time.
    front.manners[0] = Manner::Fails(0.6);
    front.pass(1200);
    let at: Vec<_> = front.events.iter().map(|event| (event.kind, event.at_ms)).collect();
    let out: Vec<u64> = at
        .windows(2)
        .filter(|pair| pair[0].0 == Kind::Ejected)
        .map(|pair| (pair[1].1 - pair[0].1).div_euclid(1000))
        .collect();
    assert!(out.len() >= 6, "{out:?}");
    for (n, seconds) in out.iter().enumerate() {
        let expected = (10 << n).min(300);
        assert!((expected..=expected + 1).contains(seconds), "{out:?}");
    }
    assert!(at.iter().all(|(kind, _)| *kind != Kind::Up), "it fails again during its slow start");
    front.manners[0] = Manner::Healthy;
    front.pass(400 + 10 * 60);
    assert_eq!(front.health.standing(&front.names[0]).unwrap().ejections, 0);
    front.events.clear();
    front.manners[0] = Manner::Fails(0.6);
    front.until(10, |front| front.is_out(0));
    let State::Ejected { since_ms, until_ms, .. } = front.state(0) else { panic!() };
    assert_eq!(until_ms - since_ms, 10_000);
}

#[test]
fn slow_ones_are_out_when_they_are_too_slow() {
    for (ms, out) in [(500, false), (2900, false), (3100, true), (9000, true)] {
        let mut front = Front::of(4, 20.0, 8);
        front.manners[3] = Manner::Slow(ms);
        front.pass(5);
        assert_eq!(front.is_out(3), out, "{ms}");
        front.pass(300);
        assert_eq!(front.is_out(3), out, "{ms}");
    }
}

#[test]
fn of_a_thousand_just_the_bad_ones_are_out() {
    let mut front = Front::of(1000, 20.0, 14);
    let mut dice = Dice::new(15);
    let mut bad = Vec::new();
    for n in 0..1000 {
        let manner = match dice.below(10) {
            0 => Manner::Dead,
            1 => Manner::Fails(0.6),
            2 => Manner::Slow(9000),
            3 => Manner::Fails(0.02),
            _ => Manner::Healthy,
        };
        let is_bad = !matches!(manner, Manner::Healthy | Manner::Fails(0.02));
        bad.extend(is_bad.then_some(n));
        front.manners[n] = manner;
    }
    front.pass(6);
    let out: Vec<usize> = (0..1000).filter(|n| front.is_out(*n)).collect();
    assert_eq!(out, bad);
    assert_eq!(front.events.len(), bad.len());
}

#[test]
fn a_thousand_that_are_bad_alike_stay() {
    // Just below the limit and above it, with so few requests each that chance puts many beyond it.
    for (rate, share) in [(1.0, 0.1), (2.0, 0.15), (5.0, 0.15), (10.0, 0.18), (10.0, 0.25)] {
        let mut front = Front::of(1000, rate, 16);
        front.manners.fill(Manner::Fails(share));
        front.pass(60);
        let out = front.events.iter().filter(|event| event.kind == Kind::Ejected).count();
        assert_eq!(out, 0, "{rate} {share}");
    }
}

#[test]
fn a_controller_that_was_away_judges_nothing_from_stale_numbers() {
    for stored in [false, true] {
        let mut front = Front::of(3, 50.0, 17);
        front.manners[0] = Manner::Fails(0.9);
        front.manners[1] = Manner::Dead;
        front.step(1000);
        assert_eq!(front.events.len(), 1, "the dead one");
        if stored {
            let json = serde_json::to_string(&front.health).unwrap();
            front.health = serde_json::from_str(&json).unwrap();
        }
        // What they did meanwhile comes in one heap.
        front.step(if stored { 1000 } else { 60_000 });
        front.manners[0] = Manner::Healthy;
        front.manners[1] = Manner::Healthy;
        assert!(front.is_out(1), "what was decided stays, though the cool-off passed");
        front.pass(20);
        assert!(front.events.iter().all(|event| event.backend.as_deref() != Some(&front.names[0])));
        assert!(!front.is_out(1));
    }
}

#[test]
fn a_clock_that_was_set_back_keeps_nobody_out() {
    let mut front = Front::of(3, 50.0, 18);
    front.manners[0] = Manner::Dead;
    front.pass(3);
    front.now_ms -= 3_600_000;
    front.manners[0] = Manner::Healthy;
    let seconds = front.until(60, |front| front.weight(0) == 100);
    assert!(seconds <= 10 + 30 + 2, "{seconds}");
}
