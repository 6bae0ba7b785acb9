use proptest::prelude::*;
use switchboard_fleet::front::Backend;

use super::*;

const NOW_MS: u64 = 1_000_000;

fn order(backend: &str, change: Change) -> Order {
    Order {
        id: "a-1".into(),
        place: Place { upstream: "instances".into(), backend: backend.into() },
        change,
        who: "ada".into(),
        why: String::new(),
        until_ms: None,
        force: false,
        seen: None,
    }
}

/// How the upstream looks with these switches.
fn upstream(switches: &Switches, states: &[BackendState]) -> Upstream {
    let backend = |(at, state): (usize, &BackendState)| {
        let setting = switches.get("instances", &at.to_string()).cloned().unwrap_or_default();
        let state = match setting.switch() {
            Some(Switch::Off) => BackendState::Off,
            Some(Switch::Drain) => BackendState::Draining,
            Some(Switch::On) => BackendState::Up,
            None => *state,
        };
        Backend {
            address: at.to_string(),
            state,
            weight: setting.percent(),
            share: if state.serves() { 100 } else { 0 },
            ..Backend::default()
        }
    };
    Upstream {
        name: "instances".into(),
        implicit: false,
        at: String::new(),
        switchable: true,
        no_live: 0,
        backends: states.iter().enumerate().map(backend).collect(),
    }
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        Just(Change::On),
        Just(Change::Drain),
        Just(Change::Off),
        (1u32..=100).prop_map(|percent| Change::Weight { percent }),
    ]
}

proptest! {
    #[test]
    fn unforced_orders_never_leave_nobody(
        states in prop::collection::vec(prop::sample::select(&BackendState::ALL[..]), 1..6),
        orders in prop::collection::vec((0usize..6, change(), prop::option::of(1u64..50)), 0..60),
    ) {
        let (mut switches, mut now_ms) = (Switches::default(), NOW_MS);
        let serving = |switches: &Switches| {
            upstream(switches, &states).backends.iter().filter(|one| one.state.serves()).count()
        };
        let begin = serving(&switches);
        for (at, change, lasts) in orders {
            now_ms += 10;
            let before = serving(&switches);
            switches.expire(now_ms);
            // What ends by itself only gives back.
            prop_assert!(serving(&switches) >= before || states.contains(&BackendState::Down));
            let mut order = order(&at.to_string(), change);
            order.until_ms = lasts.map(|lasts| now_ms + lasts);
            let version = switches.version;
            if let Ok(next) = switches.with(&order, Some(&upstream(&switches, &states)), now_ms) {
                prop_assert_eq!(next.version, version + 1);
                switches = next;
            }
            if before > 0 && !states.contains(&BackendState::Down) {
                prop_assert!(begin == 0 || serving(&switches) > 0);
            }
        }
        let text = serde_json::to_string(&switches).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Switches>(&text).unwrap(), &switches);
        switches.expire(u64::MAX);
        prop_assert!(switches.iter().all(|(.., setting)| setting.by().is_some_and(|by| by.until_ms.is_none())));
    }

    #[test]
    fn odd_orders_are_refused_and_change_nothing(
        id in "\\PC{0,80}", who in "\\PC{0,400}", percent in 0u32..300, until in prop::option::of(any::<u64>()),
    ) {
        let switches = Switches::default();
        let upstream = upstream(&switches, &[BackendState::Up; 3]);
        let mut order = order("1", Change::Weight { percent });
        (order.id, order.who, order.until_ms) = (id, who, until);
        if let Ok(next) = switches.with(&order, Some(&upstream), NOW_MS) {
            prop_assert!(order.id.len() <= 64 && order.who.len() <= 300 && (1..=100).contains(&percent));
            prop_assert!(until.is_none_or(|until| until > NOW_MS));
            prop_assert_eq!(next.version, 1);
        }
    }
}

#[test]
fn refusals_have_their_reason() {
    let switches = Switches { version: 7, ..Switches::default() };
    let shown = upstream(&switches, &[BackendState::Up, BackendState::Ejected]);
    let with = |order: &Order| switches.with(order, Some(&shown), NOW_MS);
    assert!(matches!(with(&order("0", Change::Off)), Err(Refused::Last { .. })));
    assert!(with(&Order { force: true, ..order("0", Change::Off) }).is_ok());
    assert!(with(&order("1", Change::Off)).is_ok());
    assert!(matches!(with(&order("9", Change::Off)), Err(Refused::Unknown { .. })));
    assert!(matches!(switches.with(&order("0", Change::On), None, NOW_MS), Err(Refused::Unknown { .. })));
    assert_eq!(with(&Order { seen: Some(6), ..order("1", Change::Off) }), Err(Refused::Changed));
    assert!(with(&Order { seen: Some(7), ..order("1", Change::Off) }).is_ok());
    assert!(matches!(
        with(&Order { until_ms: Some(NOW_MS), ..order("1", Change::Off) }),
        Err(Refused::Bad { .. })
    ));
    let on = Order { until_ms: Some(NOW_MS + 1), ..order("1", Change::On) };
    assert!(matches!(with(&on), Err(Refused::Bad { .. })));
    let fixed = Upstream { switchable: false, ..shown.clone() };
    assert!(matches!(
        switches.with(&order("1", Change::Off), Some(&fixed), NOW_MS),
        Err(Refused::Bad { .. })
    ));
}

#[test]
fn a_weight_outlives_a_switch_that_ends() {
    let mut switches = Switches::default();
    let shown = upstream(&switches, &[BackendState::Up; 2]);
    switches = switches.with(&order("0", Change::Weight { percent: 50 }), Some(&shown), NOW_MS).unwrap();
    let off = Order { until_ms: Some(NOW_MS + 10), ..order("0", Change::Off) };
    switches = switches.with(&off, Some(&shown), NOW_MS).unwrap();
    assert!(switches.expire(NOW_MS + 9).is_empty());
    let happened = switches.expire(NOW_MS + 10);
    assert_eq!(happened.len(), 1);
    assert_eq!(happened[0].why, "the time is over for which ada had switched it to off");
    let setting = switches.get("instances", "0").unwrap();
    assert!(setting.switch().is_none() && setting.percent() == 50);
    assert_eq!(switches.version, 3);
}
