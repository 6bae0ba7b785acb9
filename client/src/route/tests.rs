use super::*;
use proptest::prelude::*;

fn servers(n: usize) -> Vec<ServerName> {
    (0..n).map(|i| format!("s{i}").parse().unwrap()).collect()
}

fn place(server: &ServerName, port: u16) -> InstanceName {
    InstanceName { server: server.clone(), port }
}

/// The servers tried until the next pause.
fn round(route: &mut Route) -> Vec<String> {
    let mut tried = Vec::new();
    while let Step::Connect { server, .. } = route.step(0.0) {
        tried.push(server.to_string());
    }
    tried
}

#[test]
fn a_broken_place_is_tried_first_and_a_silent_one_last() {
    let (s, now) = (servers(3), Instant::now());
    for (loss, order) in [(Loss::Broken, ["s1", "s0", "s2"]), (Loss::Silent, ["s0", "s2", "s1"])] {
        let mut route = Route::new(s.clone());
        route.arrived(&s[1], now);
        route.lost(loss, now + SETTLED);
        assert_eq!(round(&mut route), order);
        assert_eq!(round(&mut route), ["s0", "s1", "s2"], "the next round goes by distance");
    }
}

#[test]
fn a_server_that_greets_and_drops_is_left() {
    let (s, now) = (servers(2), Instant::now());
    let mut route = Route::new(s.clone());
    assert!(matches!(route.step(0.0), Step::Connect { server, .. } if server == s[0]));
    route.arrived(&s[0], now);
    route.lost(Loss::Broken, now);
    assert!(matches!(route.step(0.0), Step::Connect { server, .. } if server == s[1]));
    route.arrived(&s[1], now);
    route.lost(Loss::Broken, now);
    assert!(matches!(route.step(0.0), Step::Pause(_)));
}

#[test]
fn hints_lead_on_but_not_in_circles() {
    let (s, now) = (servers(1), Instant::now());
    let (a, b) = (place(&s[0], 1), place(&s[0], 2));
    let mut route = Route::new(s.clone());
    route.arrived(&s[0], now);
    assert!(!route.hinted(&a, &a, now));
    let followed = (0..10).filter(|_| route.hinted(&a, &b, now)).count();
    assert_eq!(followed as u32, HINTS_MAX);
    assert!(route.hinted(&b, &a, now + SETTLED), "a place that held makes hints good again");
}

#[test]
fn a_hint_that_fails_costs_no_pause() {
    let (s, now) = (servers(1), Instant::now());
    let mut route = Route::new(s.clone());
    route.arrived(&s[0], now);
    assert!(route.hinted(&place(&s[0], 1), &place(&s[0], 2), now + SETTLED));
    route.lost(Loss::Broken, now + SETTLED);
    assert!(matches!(route.step(0.0), Step::Connect { .. }));
}

#[test]
fn a_server_known_from_a_hint_is_tried_again_too() {
    let (s, now) = (servers(1), Instant::now());
    let far: ServerName = "far".parse().unwrap();
    let mut route = Route::new(s.clone());
    route.arrived(&s[0], now);
    assert!(route.hinted(&place(&s[0], 1), &place(&far, 2), now + SETTLED));
    route.lost(Loss::Broken, now + SETTLED * 2);
    assert_eq!(round(&mut route), ["far", "s0"]);
}

proptest! {
    #[test]
    fn every_server_is_tried_once_a_round_and_pauses_grow_to_their_bound(n in 1usize..6, jitter in 0.0f64..=1.0) {
        let mut route = Route::new(servers(n));
        let mut last = Duration::ZERO;
        for _ in 0..8 {
            for _ in 0..n {
                let connects = matches!(route.step(jitter), Step::Connect { .. });
                prop_assert!(connects);
            }
            let Step::Pause(pause) = route.step(jitter) else { panic!("a round without end") };
            prop_assert!(pause >= last && pause >= PAUSES.0 / 2 && pause <= PAUSES.1);
            last = pause;
        }
        prop_assert!(last >= PAUSES.1 / 2);
    }

    #[test]
    fn no_order_of_events_leads_to_busy_work(events in proptest::collection::vec((0u8..4, 0u64..1500), 1..200)) {
        let s = servers(2);
        let mut route = Route::new(s.clone());
        let (begun, mut now) = (Instant::now(), Instant::now());
        let (mut connects, mut paused) = (0u32, Duration::ZERO);
        for (event, after) in events {
            now += Duration::from_millis(after / 10);
            match event {
                0 => route.lost(Loss::Broken, now),
                1 => route.lost(Loss::Silent, now),
                2 => { route.hinted(&place(&s[0], 1), &place(&s[1], 2), now); }
                _ => match route.step(1.0) {
                    Step::Connect { server, .. } => { connects += 1; route.arrived(&server, now); }
                    Step::Pause(p) => { paused += p; now += p; }
                },
            }
        }
        // Between two pauses lie at most a round, its hints and what follows each of them, or settled time.
        let settled = (now - begun - paused).as_millis() as u32 / SETTLED.as_millis() as u32 + 1;
        let pauses = paused.as_millis() as u32 / (PAUSES.0.as_millis() as u32 / 2) + 1;
        prop_assert!(connects <= (settled + pauses) * 3 * (HINTS_MAX + 1), "{connects} {settled} {pauses}");
    }

    #[test]
    fn hasty_polls_are_slowed_and_parked_ones_are_not(n in 1u32..40) {
        let mut route = Route::new(servers(1));
        for _ in 0..n {
            prop_assert!(route.empty(Duration::ZERO, 1.0) >= PAUSES.0 / 2);
        }
        prop_assert_eq!(route.empty(PARKED_MIN, 1.0), Duration::ZERO);
    }
}
