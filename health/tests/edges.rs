//! Single cases at the edge of a rule.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use support::{Front, Manner};
use switchboard_health::{Cause, Check, Counts, Failures, Observed};

/// One look after a second, in which only the first backend has requests.
fn see(front: &mut Front, requests: u32, cause: Cause, failed: u32, check: Option<Check>) {
    front.now_ms += 1000;
    let counts = Counts { requests, failures: Failures::of(&[(cause, failed)]) };
    let observed = [Observed { backend: &front.names[0], counts, check }];
    front.events.extend(front.health.look(&front.limits, front.now_ms, &observed));
}

#[test]
fn causes_that_do_not_count_are_answers_like_any() {
    let mut front = Front::of(3, 50.0, 1);
    front.limits.causes.retain(|cause| *cause != Cause::Status502);
    front.manners[0] = Manner::Fails(0.9);
    front.pass(30);
    assert_eq!(front.events, []);
}

#[test]
fn bad_checks_before_and_after_a_gap_are_no_row() {
    let bad = Some(Check::Bad(Cause::ReadTimeout));
    let mut front = Front::of(3, 0.0, 1);
    see(&mut front, 0, Cause::Cut, 0, bad);
    see(&mut front, 0, Cause::Cut, 0, bad);
    front.now_ms += 10_000;
    see(&mut front, 0, Cause::Cut, 0, bad);
    see(&mut front, 0, Cause::Cut, 0, bad);
    assert!(!front.is_out(0));
    see(&mut front, 0, Cause::Cut, 0, bad);
    assert!(front.is_out(0));
}

#[test]
fn half_of_the_requests_refused_is_a_dead_process_and_less_is_not() {
    for (refused, out) in [(25, true), (24, false)] {
        let mut front = Front::of(3, 50.0, 1);
        see(&mut front, 50, Cause::Refused, refused, None);
        assert_eq!(front.is_out(0), out, "{refused} of 50");
    }
}

#[test]
fn few_requests_of_three_seconds_do_not_speak_for_ten() {
    let mut front = Front::of(3, 0.0, 1);
    for failed in [0, 0, 0, 0, 0, 0, 0, 4, 4, 4] {
        see(&mut front, 10, Cause::ReadTimeout, failed, None);
    }
    assert!(!front.is_out(0), "12 of 100, though 12 of the last 30");
}

#[test]
fn what_was_on_its_way_while_it_was_out_does_not_speak_against_it_afterwards() {
    let mut front = Front::of(3, 50.0, 1);
    front.manners[0] = Manner::Dead;
    front.pass(2);
    let good = Some(Check::Good { ms: 1 });
    // Old requests run into their timeouts, one heap in each second.
    for _ in 0..20 {
        see(&mut front, 30, Cause::ReadTimeout, 30, good);
        if !front.is_out(0) {
            break;
        }
    }
    see(&mut front, 1, Cause::ReadTimeout, 0, good);
    assert!(!front.is_out(0));
}
