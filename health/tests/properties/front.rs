//! A front that is tossed about, and beside it what an operator knows without the rules.

use std::collections::BTreeMap;

use proptest::prelude::*;
use switchboard_health::{
    Cause, Check, Counts, Event, Failures, Health, Kind, Limits, Observed, Standing, State, Switch,
};

pub(crate) const T0: u64 = 1_795_374_000_000;

/// One thing that may happen. Backends are numbered from 0 to 7; there are the first `n` of them.
#[derive(Debug, Clone)]
pub(crate) enum Turn {
    /// Seconds with so many requests and failures for each backend, and such checks.
    Pass {
        seconds: u64,
        backends: Vec<Seen>,
    },
    Away {
        ms: u64,
    },
    Back {
        ms: u64,
    },
    Restart,
    Switch(usize, Switch),
    Weight(usize, u8),
    Sync(Vec<usize>),
}

#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) requests: u32,
    pub(crate) cause: Cause,
    pub(crate) failed: u32,
    pub(crate) check: Option<Check>,
}

pub(crate) fn seen() -> impl Strategy<Value = Seen> {
    let cause = prop_oneof![Just(Cause::Refused), Just(Cause::ReadTimeout), Just(Cause::Status502)];
    let check = prop_oneof![
        5 => Just(Some(Check::Good { ms: 2 })),
        2 => Just(Some(Check::Bad(Cause::ReadTimeout))),
        1 => Just(None),
    ];
    let share = prop_oneof![3 => Just(0.0), 2 => Just(1.0), 2 => 0.0..1.0];
    (0..100u32, cause, share, check).prop_map(|(requests, cause, share, check)| Seen {
        requests,
        cause,
        failed: (f64::from(requests) * share) as u32,
        check,
    })
}

pub(crate) fn turn() -> impl Strategy<Value = Turn> {
    let switch = prop_oneof![4 => Just(Switch::On), 1 => Just(Switch::Drain), 1 => Just(Switch::Off)];
    prop_oneof![
        14 => (1..30u64, proptest::collection::vec(seen(), 8))
            .prop_map(|(seconds, backends)| Turn::Pass { seconds, backends }),
        1 => (5001..200_000u64).prop_map(|ms| Turn::Away { ms }),
        1 => (1..200_000u64).prop_map(|ms| Turn::Back { ms }),
        1 => Just(Turn::Restart),
        2 => (0..8usize, switch).prop_map(|(who, switch)| Turn::Switch(who, switch)),
        1 => (0..8usize, prop_oneof![Just(0u8), Just(100), 1..100u8]).prop_map(|(who, p)| Turn::Weight(who, p)),
        1 => proptest::collection::vec(0..8usize, 1..8).prop_map(Turn::Sync),
    ]
}

/// A front, and beside it what an operator knows without the rules.
pub(crate) struct Front {
    pub(crate) limits: Limits,
    pub(crate) health: Health,
    pub(crate) now_ms: u64,
    pub(crate) switches: BTreeMap<String, (Switch, u8)>,
    /// Until when each must be out, by its last ejection.
    out_until_ms: BTreeMap<String, u64>,
    before: BTreeMap<String, Standing>,
}

pub(crate) fn name(who: usize) -> String {
    format!("b{who}")
}

impl Front {
    pub(crate) fn of(backends: usize, limits: Limits) -> Self {
        let (health, now_ms) = (Health::new(T0), T0);
        let (switches, out_until_ms, before) = Default::default();
        let mut front = Self { limits, health, now_ms, switches, out_until_ms, before };
        front.sync(&(0..backends).collect::<Vec<_>>());
        front
    }

    pub(crate) fn sync(&mut self, who: &[usize]) -> Vec<Event> {
        let names: Vec<String> = who.iter().map(|who| name(*who)).collect();
        self.switches.retain(|name, _| names.contains(name));
        self.out_until_ms.retain(|name, _| names.contains(name));
        for name in &names {
            self.switches.entry(name.clone()).or_insert((Switch::On, 100));
        }
        self.health.sync(&self.limits, self.now_ms, names.iter().map(String::as_str)).unwrap()
    }

    pub(crate) fn look(&mut self, backends: &[Seen], fresh: bool) -> Vec<Event> {
        let names: Vec<String> = (0..backends.len()).map(name).collect();
        let observed: Vec<Observed> = names
            .iter()
            .zip(backends)
            .map(|(backend, seen)| Observed {
                backend,
                counts: Counts {
                    requests: seen.requests,
                    failures: Failures::of(&[(seen.cause, seen.failed)]),
                },
                check: seen.check.filter(|_| !fresh),
            })
            .collect();
        self.health.look(&self.limits, self.now_ms, &observed)
    }

    pub(crate) fn take(&mut self, turn: &Turn) -> Result<(), TestCaseError> {
        match turn {
            Turn::Pass { seconds, backends } => {
                for _ in 0..*seconds {
                    self.now_ms += 1000;
                    let events = self.look(backends, false);
                    self.check(&events)?;
                }
            }
            Turn::Away { ms } => {
                self.now_ms += ms;
                self.wake()?;
            }
            Turn::Back { ms } => {
                self.now_ms -= ms;
                for until_ms in self.out_until_ms.values_mut() {
                    *until_ms -= ms;
                }
                self.wake()?;
            }
            Turn::Restart => {
                let before: Vec<Standing> = self.health.standings().collect();
                let json = serde_json::to_string(&self.health).unwrap();
                self.health = serde_json::from_str(&json).unwrap();
                prop_assert_eq!(self.health.standings().collect::<Vec<_>>(), before);
                self.now_ms += 1000;
                self.wake()?;
            }
            Turn::Switch(who, switch) => {
                let events = self.health.switch(&self.limits, self.now_ms, &name(*who), *switch);
                prop_assert_eq!(events.is_ok(), self.switches.contains_key(&name(*who)));
                if let Ok(events) = events {
                    self.switches.get_mut(&name(*who)).unwrap().0 = *switch;
                    if *switch == Switch::On {
                        self.out_until_ms.remove(&name(*who));
                        let on = self.health.standing(&name(*who)).unwrap();
                        prop_assert!(
                            matches!(on.state, State::Up { .. } | State::SlowStart { .. }),
                            "{:?}",
                            on
                        );
                    }
                    self.check(&events)?;
                }
            }
            Turn::Weight(who, percent) => {
                let events = self.health.set_weight(&self.limits, self.now_ms, &name(*who), *percent);
                if let Ok(events) = events {
                    self.switches.get_mut(&name(*who)).unwrap().1 = *percent;
                    self.before.clear();
                    self.check(&events)?;
                }
            }
            Turn::Sync(who) => {
                let events = self.sync(who);
                self.check(&events)?;
            }
        }
        Ok(())
    }

    /// The first look after a time without any: a heap of failures of nobody knows when.
    fn wake(&mut self) -> Result<(), TestCaseError> {
        let all_failed = Seen { requests: 5000, cause: Cause::Refused, failed: 5000, check: None };
        let events = self.look(&vec![all_failed; 8], true);
        prop_assert!(!events.iter().any(|event| event.kind == Kind::Ejected), "{events:?}");
        self.before.clear();
        self.check(&events)
    }

    fn check(&mut self, events: &[Event]) -> Result<(), TestCaseError> {
        let standings: BTreeMap<String, Standing> =
            self.health.standings().map(|one| (one.backend.clone(), one)).collect();
        prop_assert!(standings.keys().eq(self.switches.keys()), "nobody else is remembered");
        self.check_shares(&standings)?;
        self.check_events(events, &standings)?;
        // A slow start never goes back.
        for (name, now) in &standings {
            let Some(before) = self.before.get(name) else { continue };
            let same = before.state == now.state && matches!(now.state, State::SlowStart { .. });
            if same && self.health.panic().is_none() && !events.iter().any(|e| e.kind == Kind::PanicEnded) {
                prop_assert!(before.weight_percent <= now.weight_percent, "{before:?} {now:?}");
            }
        }
        self.before = standings;
        Ok(())
    }

    fn check_shares(&self, standings: &BTreeMap<String, Standing>) -> Result<(), TestCaseError> {
        let (mut all, mut out) = (0usize, 0usize);
        for (name, (switch, percent)) in &self.switches {
            let weight = standings[name].weight_percent;
            prop_assert!(weight <= *percent, "an operator's word is the most there is");
            if *switch != Switch::On || *percent == 0 {
                prop_assert_eq!(weight, 0, "{} is {:?}", name, switch);
                continue;
            }
            all += 1;
            out += usize::from(weight == 0);
            let full = self.health.panic().is_some() || matches!(standings[name].state, State::Up { .. });
            prop_assert!(!full || weight == *percent);
        }
        let max = (all as f64 * self.limits.out_share_max + 1e-9) as usize;
        prop_assert!(out <= max, "{out} of {all} are out");
        prop_assert!(all == 0 || out < all, "the last one");
        Ok(())
    }

    fn check_events(
        &mut self,
        events: &[Event],
        standings: &BTreeMap<String, Standing>,
    ) -> Result<(), TestCaseError> {
        let panic_ended = events.iter().any(|event| event.kind == Kind::PanicEnded);
        for event in events {
            prop_assert_eq!(event.at_ms, self.now_ms);
            prop_assert!(!event.why.is_empty() && !event.why.contains('\n'));
            let Some(name) = &event.backend else { continue };
            let until_ms = self.out_until_ms.get(name).copied();
            match event.kind {
                Kind::Ejected => {
                    prop_assert!(until_ms.is_none(), "{name} was out already");
                    let State::Ejected { since_ms, until_ms, .. } = standings[name].state else { panic!() };
                    prop_assert!(until_ms - since_ms >= self.limits.cool_off_s * 1000);
                    self.out_until_ms.insert(name.clone(), until_ms);
                }
                // Panic mode has shown that it is well.
                Kind::Up if panic_ended => drop(self.out_until_ms.remove(name)),
                Kind::SlowStart => {
                    prop_assert!(
                        until_ms.is_some_and(|until| until <= self.now_ms),
                        "{event:?} {until_ms:?}"
                    );
                    self.out_until_ms.remove(name);
                }
                Kind::Up => prop_assert!(until_ms.is_none(), "{event:?}"),
                _ => {}
            }
        }
        Ok(())
    }
}
