//! Health of the backends of each upstream, by the limits that are configured.

use std::collections::{BTreeMap, BTreeSet};

use switchboard_fleet::{
    config::Config,
    front::{Happened, Place},
};
use switchboard_health::{BadLimit, Event, Health, Kind, Limits, Observed, State, Switch};
use switchboard_nginx::Switch as Wanted;

use crate::switches::Switches;

/// What is judged by, and what is known of each upstream.
#[derive(Debug)]
pub(crate) struct Rules {
    /// Of the instances, which are checked.
    checked: Limits,
    /// Of the others.
    unchecked: Limits,
    /// False: what would be done is only said.
    pub(crate) ejects: bool,
    pub(crate) healths: BTreeMap<String, Health>,
}

/// The limits that the configuration sets; those that it does not name have their usual values.
///
/// # Errors
/// One that cannot be.
pub(crate) fn limits(config: &Config) -> Result<Limits, BadLimit> {
    let health = &config.health;
    let cause = |name: &String| serde_json::from_value(serde_json::Value::from(name.as_str())).ok();
    let limits = Limits {
        causes: health.failures.iter().filter_map(cause).collect(),
        window_s: health.window.get().as_secs(),
        requests_min: health.requests_min,
        failed_share: health.failed_share,
        margin_share: health.margin_share,
        bad_checks: health.bad_checks,
        good_checks: health.good_checks,
        check_max_ms: u32::try_from(health.check_within.get().as_millis()).unwrap_or(u32::MAX).max(1),
        out_share_max: health.out_share_max,
        cool_off_s: health.cool_off.get().as_secs(),
        cool_off_max_s: health.cool_off_max.get().as_secs(),
        slow_start_s: health.slow_start.get().as_secs(),
        ..Limits::default()
    };
    limits.check()?;
    Ok(limits)
}

impl Rules {
    /// Goes on with `healths`.
    ///
    /// # Errors
    /// A configured limit cannot be.
    pub(crate) fn new(config: &Config, healths: BTreeMap<String, Health>) -> Result<Self, BadLimit> {
        let checked = limits(config)?;
        let unchecked = Limits { good_checks: 0, ..checked.clone() };
        Ok(Self { checked, unchecked, ejects: config.health.eject, healths })
    }

    /// Says which backends an upstream has, and how operators switched them.
    pub(crate) fn sync(
        &mut self,
        upstream: &str,
        names: &BTreeSet<&str>,
        switches: &Switches,
        is_checked: bool,
        now_ms: u64,
    ) -> Vec<Happened> {
        let limits = if is_checked { &self.checked } else { &self.unchecked };
        let health = self.healths.entry(upstream.to_owned()).or_insert_with(|| Health::new(now_ms));
        let is_first = health.standings().next().is_none();
        // More or longer names than there may be: those that are known are judged still.
        let events = health.sync(limits, now_ms, names.iter().copied()).unwrap_or_default();
        let other = |name: &str, standing: &State| {
            let wanted = match switches.get(upstream, name).and_then(|setting| setting.switch()) {
                None | Some(Wanted::On) => Switch::On,
                Some(Wanted::Drain) => Switch::Drain,
                Some(Wanted::Off) => Switch::Off,
            };
            let is = match standing {
                State::Draining { .. } => Switch::Drain,
                State::Off { .. } => Switch::Off,
                _ => Switch::On,
            };
            (is != wanted).then_some(wanted)
        };
        let changes: Vec<(String, Switch)> = health
            .standings()
            .filter_map(|one| other(&one.backend, &one.state).map(|switch| (one.backend, switch)))
            .collect();
        for (name, switch) in changes {
            // Who switched is on record already.
            drop(health.switch(limits, now_ms, &name, switch));
        }
        if is_first { Vec::new() } else { self.told(upstream, events) }
    }

    /// An operator switched it on: from now on it is judged afresh.
    pub(crate) fn pardon(&mut self, place: &Place, now_ms: u64) {
        if let Some(health) = self.healths.get_mut(&place.upstream) {
            drop(health.switch(&self.checked, now_ms, &place.backend, Switch::On));
        }
    }

    /// Takes in what was seen of an upstream's backends, and decides.
    pub(crate) fn look(
        &mut self,
        upstream: &str,
        observed: &[Observed<'_>],
        is_checked: bool,
        now_ms: u64,
    ) -> Vec<Happened> {
        let limits = if is_checked { &self.checked } else { &self.unchecked };
        let health = self.healths.get_mut(upstream);
        let events = health.map(|health| health.look(limits, now_ms, observed)).unwrap_or_default();
        self.told(upstream, events)
    }

    fn told(&self, upstream: &str, events: Vec<Event>) -> Vec<Happened> {
        events.into_iter().filter_map(|event| told(upstream, event, self.ejects)).collect()
    }
}

fn told(upstream: &str, event: Event, ejects: bool) -> Option<Happened> {
    let what = match event.kind {
        Kind::Switched => return None,
        Kind::Joined => "joined",
        Kind::Left => "left",
        Kind::Ejected if ejects => "ejected",
        Kind::Ejected => "would-eject",
        Kind::SlowStart if ejects => "slow-start",
        Kind::SlowStart => "would-return",
        Kind::Up => "up",
        Kind::PanicBegan => "panic",
        Kind::PanicEnded => "panic-ended",
    };
    let why = match event.kind {
        Kind::Ejected if !ejects => format!("{}; it stays, as health.eject is false", event.why),
        _ => event.why,
    };
    let place = event.backend.map(|backend| Place { upstream: upstream.into(), backend });
    Some(Happened { at_ms: event.at_ms, place, what: what.into(), why, who: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configured_defaults_are_limits() {
        let limits = limits(&Config::default()).unwrap();
        let causes = Config::default().health.failures.len();
        assert_eq!((limits.causes.len(), limits.check_max_ms, limits.window_s), (causes, 3000, 10));
    }

    #[test]
    fn without_ejecting_it_is_only_said() {
        let mut config = Config::default();
        config.health.eject = false;
        let mut rules = Rules::new(&config, BTreeMap::new()).unwrap();
        let names = BTreeSet::from(["a", "b", "c"]);
        let sync = |rules: &mut Rules, now_ms| rules.sync("u", &names, &Switches::default(), true, now_ms);
        assert!(sync(&mut rules, 0).is_empty(), "those that are there at first are no news");
        let mut happened = Vec::new();
        for second in 1..=3 {
            let check = switchboard_health::Check::Bad(switchboard_health::Cause::ReadTimeout);
            happened.extend(rules.look("u", &[Observed::check("a", check)], true, second * 1000));
        }
        assert_eq!(happened.len(), 1, "{happened:?}");
        assert_eq!(happened[0].what, "would-eject");
        assert!(happened[0].why.ends_with("no answer in time; it stays, as health.eject is false"));
    }
}
