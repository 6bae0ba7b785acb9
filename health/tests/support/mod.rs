//! A front that is played: requests by weight, active checks, looks about once a second.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking; not every test uses all of it"
)]

use switchboard_health::{Cause, Check, Counts, Event, Failures, Health, Kind, Limits, Observed, State};

pub(crate) const T0: u64 = 1_795_374_000_000;

/// How a backend behaves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Manner {
    Healthy,
    /// Every connection is refused.
    Dead,
    /// This share of its requests fails; its checks are good.
    Fails(f64),
    /// Requests and checks take so long; from 5 s on the front gives up.
    Slow(u32),
}

/// Numbers that look like chance, the same for each seed (SplitMix64).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to 1.
    pub(crate) fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn of(&mut self, count: u32, chance: f64) -> u32 {
        (0..count).map(|_| u32::from(self.share() < chance)).sum()
    }
}

pub(crate) struct Front {
    pub(crate) health: Health,
    pub(crate) limits: Limits,
    pub(crate) now_ms: u64,
    pub(crate) names: Vec<String>,
    pub(crate) manners: Vec<Manner>,
    /// Requests in a second for one backend with its whole weight, as long as all have it.
    pub(crate) rate: f64,
    pub(crate) events: Vec<Event>,
    dice: Dice,
    /// What of a request each backend is still to get.
    rest: Vec<f64>,
}

impl Front {
    /// So many healthy backends that have been watched for a while.
    pub(crate) fn of(backends: usize, rate: f64, seed: u64) -> Self {
        let limits = Limits::default();
        limits.check().unwrap();
        let names: Vec<String> =
            (0..backends).map(|n| format!("10.0.{}.{}:8081", n / 250, n % 250)).collect();
        let mut health = Health::new(T0);
        health.sync(&limits, T0, names.iter().map(String::as_str)).unwrap();
        let dice = Dice::new(seed);
        let rest = (0..backends).map(|n| n as f64 / backends as f64).collect();
        let manners = vec![Manner::Healthy; backends];
        let mut front =
            Self { health, limits, now_ms: T0, names, manners, rate, events: Vec::new(), dice, rest };
        front.pass(15);
        front.events.clear();
        front
    }

    /// Lets seconds pass, a look in each of them, not quite at its end.
    pub(crate) fn pass(&mut self, seconds: u64) {
        let begin_ms = self.now_ms;
        for n in 1..=seconds {
            let late_ms = if n == seconds { 0 } else { self.dice.below(200) };
            self.step(begin_ms + n * 1000 + late_ms - self.now_ms);
        }
    }

    /// Looks once after `ms`.
    pub(crate) fn step(&mut self, ms: u64) {
        self.now_ms += ms;
        let weights: Vec<u8> = {
            let by_name: std::collections::BTreeMap<&str, u8> = self.health.weights().collect();
            self.names.iter().map(|name| by_name[name.as_str()]).collect()
        };
        let whole: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
        let requests = self.rate * self.names.len() as f64 * ms as f64 / 1000.0;
        let mut observed = Vec::new();
        for (n, name) in self.names.iter().enumerate() {
            self.rest[n] += requests * f64::from(weights[n]) / whole.max(1) as f64;
            let requests = self.rest[n].floor() as u32;
            self.rest[n] -= f64::from(requests);
            let (counts, check) = behave(self.manners[n], requests, &mut self.dice);
            observed.push(Observed { backend: name, counts, check: Some(check) });
        }
        self.events.extend(self.health.look(&self.limits, self.now_ms, &observed));
    }

    /// Seconds until something happens, at most `seconds_max`.
    pub(crate) fn until(&mut self, seconds_max: u64, happened: impl Fn(&Self) -> bool) -> u64 {
        for passed in 0..seconds_max {
            if happened(self) {
                return passed;
            }
            self.pass(1);
        }
        assert!(happened(self), "not within {seconds_max} s: {:#?}", self.events);
        seconds_max
    }

    pub(crate) fn state(&self, n: usize) -> State {
        self.health.standing(&self.names[n]).unwrap().state
    }

    pub(crate) fn is_out(&self, n: usize) -> bool {
        matches!(self.state(n), State::Ejected { .. })
    }

    pub(crate) fn weight(&self, n: usize) -> u8 {
        self.health.standing(&self.names[n]).unwrap().weight_percent
    }

    pub(crate) fn kinds(&self) -> Vec<Kind> {
        self.events.iter().map(|event| event.kind).collect()
    }
}

fn behave(manner: Manner, requests: u32, dice: &mut Dice) -> (Counts, Check) {
    let failed = |cause, count| Counts { requests, failures: Failures::of(&[(cause, count)]) };
    match manner {
        Manner::Healthy => (failed(Cause::Cut, 0), Check::Good { ms: 2 }),
        Manner::Dead => (failed(Cause::Refused, requests), Check::Bad(Cause::Refused)),
        Manner::Fails(share) => (failed(Cause::Status502, dice.of(requests, share)), Check::Good { ms: 2 }),
        Manner::Slow(ms) if ms >= 5000 => {
            (failed(Cause::ReadTimeout, requests), Check::Bad(Cause::ReadTimeout))
        }
        Manner::Slow(ms) => (failed(Cause::Cut, 0), Check::Good { ms }),
    }
}
