//! What was counted and checked since the last look, and what the rules make of it.

use std::collections::{BTreeMap, BTreeSet};

use switchboard_fleet::front::{Happened, Place};
use switchboard_health::Observed;
use switchboard_nginx::Switch;

use crate::{
    checks::Outcome,
    controller::Controller,
    counted::{Counters, Delta},
    module::Reading,
    past::SlowLimit,
    seen::{SeenBackend, SeenUpstream},
};

impl Controller {
    /// Takes in counts and checks, and lets the rules decide.
    pub(crate) fn judge(&mut self, now_ms: u64, gap: bool) {
        let here = self.staying();
        let fresh = std::mem::take(&mut self.fresh);
        let deltas = self.count(now_ms, gap);
        let mut happened = self.judge_others(&deltas, now_ms);
        // Checks go on also without nginx's numbers.
        let names = here.iter().map(String::as_str).collect();
        happened.extend(self.rules.sync(&self.routed, &names, &self.kept.switches, true, now_ms));
        let observed = observed(&self.routed, &deltas, &fresh);
        happened.extend(self.rules.look(&self.routed, &observed, true, now_ms));
        self.checks.extend(fresh.into_iter().map(|outcome| (outcome.address, outcome.checked)));
        self.checks.retain(|address, _| here.contains(address));
        happened.extend(self.slow(now_ms));
        self.dirty |= !happened.is_empty();
        self.happened(happened);
    }

    /// What came since the last look.
    fn count(&mut self, now_ms: u64, gap: bool) -> BTreeMap<Place, Delta> {
        let mut deltas = BTreeMap::new();
        let Reading::Seen(seen) = &self.reading else { return deltas };
        let mut shown = 0;
        for upstream in &seen.upstreams {
            shown += upstream.backends.len();
            for backend in &upstream.backends {
                let place = Place { upstream: upstream.name.clone(), backend: backend.address.clone() };
                let past = self.pasts.entry(place.clone()).or_default();
                if let Some(delta) = past.take(now_ms, Counters::of(backend), gap) {
                    deltas.insert(place, delta);
                }
            }
        }
        if self.pasts.len() > shown {
            let names = |upstream: &SeenUpstream| {
                let place = |backend: &SeenBackend| (upstream.name.clone(), backend.address.clone());
                upstream.backends.iter().map(place).collect::<Vec<_>>()
            };
            let places: BTreeSet<_> = seen.upstreams.iter().flat_map(names).collect();
            self.pasts.retain(|place, _| places.contains(&(place.upstream.clone(), place.backend.clone())));
        }
        deltas
    }

    /// Judges the backends of the upstreams that are not this server's instances.
    fn judge_others(&mut self, deltas: &BTreeMap<Place, Delta>, now_ms: u64) -> Vec<Happened> {
        let mut happened = Vec::new();
        let Reading::Seen(seen) = &self.reading else { return happened };
        let others = || seen.upstreams.iter().filter(|upstream| upstream.zone && !upstream.route);
        for upstream in others() {
            let (name, names) = (&upstream.name, judged(upstream));
            happened.extend(self.rules.sync(name, &names, &self.kept.switches, false, now_ms));
            happened.extend(self.rules.look(name, &observed(name, deltas, &[]), false, now_ms));
        }
        let routed = &self.routed;
        self.rules
            .healths
            .retain(|name, _| name == routed || others().any(|upstream| upstream.name == *name));
        happened
    }

    /// Who answers too slowly now, and did not before.
    fn slow(&mut self, now_ms: u64) -> Vec<Happened> {
        let limit = self.slow_limit();
        let mut happened = Vec::new();
        for (place, past) in &mut self.pasts {
            let p99_ms = past.is_slow(now_ms, &self.bounds_ms, limit);
            if let (false, Some(p99_ms)) = (past.slow, p99_ms) {
                let why = slow_words(&place.backend, limit, p99_ms);
                let place = Some(place.clone());
                happened.push(Happened { at_ms: now_ms, place, what: "slow".into(), why, who: None });
            }
            past.slow = p99_ms.is_some();
        }
        happened
    }

    pub(crate) fn slow_limit(&self) -> SlowLimit {
        let health = &self.config.health;
        let over_ms = u64::try_from(health.slow_over.get().as_millis()).unwrap_or(u64::MAX);
        SlowLimit { over_ms, minutes: health.slow_for.get().as_secs().div_ceil(60) }
    }
}

/// The backends of another upstream that are judged: all that get traffic like the others.
fn judged(upstream: &SeenUpstream) -> BTreeSet<&str> {
    let takes_part = |backend: &&SeenBackend| {
        let is_down = backend.configured.down && backend.switched() != Some(Switch::On);
        !backend.backup && !is_down && !backend.has_left()
    };
    upstream.backends.iter().filter(takes_part).map(|backend| backend.address.as_str()).collect()
}

/// What was seen of an upstream's backends.
fn observed<'a>(
    upstream: &str,
    deltas: &'a BTreeMap<Place, Delta>,
    fresh: &'a [Outcome],
) -> Vec<Observed<'a>> {
    let counts = deltas
        .iter()
        .filter(|(place, _)| place.upstream == upstream)
        .map(|(place, delta)| Observed::counts(&place.backend, delta.counts));
    let checks = fresh.iter().map(|outcome| Observed::check(&outcome.address, outcome.check));
    counts.chain(checks).collect()
}

/// That 1 of 100 answers was too slow, in a sentence.
pub(crate) fn slow_words(address: &str, limit: SlowLimit, p99_ms: u64) -> String {
    let seconds = |ms: u64| {
        if ms.is_multiple_of(1000) { (ms / 1000).to_string() } else { format!("{:.1}", ms as f64 / 1000.0) }
    };
    let minutes = limit.minutes.max(1);
    let lasts = if minutes == 1 { "a minute".into() } else { format!("{minutes} minutes") };
    format!(
        "1 of 100 answers of {address} took over {} s for {lasts} (p99 {} s)",
        seconds(limit.over_ms),
        seconds(p99_ms)
    )
}
