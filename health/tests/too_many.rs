//! When more are bad than may be out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use support::{Front, Manner};
use switchboard_health::{Kind, State, Switch};

#[test]
fn when_all_are_bad_all_get_traffic_and_one_event_says_so() {
    for manner in [Manner::Fails(0.3), Manner::Dead, Manner::Slow(9000)] {
        for backends in [1, 2, 3, 10] {
            let mut front = Front::of(backends, 50.0, 9);
            front.manners.fill(manner);
            front.pass(120);
            assert_eq!(front.kinds(), [Kind::PanicBegan], "{manner:?} {backends}: {:#?}", front.events);
            assert!((0..backends).all(|n| front.weight(n) == 100));
            assert!(front.health.panic().is_some());
            front.manners.fill(Manner::Healthy);
            let seconds = front.until(30, |front| front.health.panic().is_none());
            assert!(seconds >= 10, "not at once: {seconds}");
            front.pass(60);
            assert_eq!(front.kinds(), [Kind::PanicBegan, Kind::PanicEnded]);
        }
    }
}

#[test]
fn panic_ends_with_those_out_that_are_still_bad() {
    let mut front = Front::of(4, 50.0, 10);
    front.manners[..3].fill(Manner::Dead);
    front.pass(30);
    assert_eq!(front.kinds(), [Kind::PanicBegan]);
    front.manners[0] = Manner::Healthy;
    front.pass(30);
    assert_eq!(front.kinds(), [Kind::PanicBegan, Kind::PanicEnded, Kind::Ejected, Kind::Ejected]);
    assert_eq!([0, 1, 2, 3].map(|n| front.weight(n)), [100, 0, 0, 100]);
}

#[test]
fn one_after_the_other_until_too_many_are_out() {
    let mut front = Front::of(4, 50.0, 11);
    for (n, panic) in [(0, false), (1, false), (2, true)] {
        front.manners[n] = Manner::Dead;
        front.pass(5);
        assert_eq!(front.health.panic().is_some(), panic, "{n}");
    }
    assert_eq!([0, 1, 2, 3].map(|n| front.weight(n)), [100; 4]);
    // All are well again: those that were out serve on, without a slow start after full service.
    front.manners.fill(Manner::Healthy);
    front.pass(30);
    assert!((0..4).all(|n| matches!(front.state(n), State::Up { .. }) && front.weight(n) == 100));
}

#[test]
fn one_bad_of_two_is_out_and_the_other_one_never() {
    let mut front = Front::of(2, 50.0, 12);
    front.manners[0] = Manner::Fails(0.5);
    front.until(4, |front| front.is_out(0));
    assert_eq!(front.weight(1), 100);
    front.manners[1] = Manner::Fails(0.5);
    front.until(10, |front| front.health.panic().is_some());
    assert_eq!((front.weight(0), front.weight(1)), (100, 100));
    assert_eq!(front.events.iter().filter(|event| event.kind == Kind::Ejected).count(), 1);
}

#[test]
fn the_last_one_switched_on_gets_traffic_though_it_was_out() {
    let mut front = Front::of(2, 50.0, 13);
    front.manners[0] = Manner::Dead;
    front.pass(3);
    assert_eq!(front.weight(0), 0);
    let off = front.health.switch(&front.limits, front.now_ms, &front.names[1], Switch::Off).unwrap();
    assert_eq!(off.iter().map(|event| event.kind).collect::<Vec<_>>(), [Kind::Switched, Kind::PanicBegan]);
    assert_eq!((front.weight(0), front.weight(1)), (100, 0));
}
