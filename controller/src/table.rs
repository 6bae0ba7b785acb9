//! All that is known, as it is shown. Pure.

use std::collections::{BTreeMap, BTreeSet};

use switchboard_fleet::front::{
    Answers, Backend, BackendState, Checked, Failed, Heat, Place, Slots, Table, Times, Upstream,
};
use switchboard_health::{Health, Standing, State};
use switchboard_nginx::Switch;

use crate::{
    past::{Past, spread},
    rules::Rules,
    seen::{Seen, SeenBackend, SeenTimes, SeenUpstream},
    switches::{Setting, Switches},
};

/// What a table is made of.
pub(crate) struct View<'a> {
    pub(crate) now_ms: u64,
    /// The name of the upstream of this server's instances.
    pub(crate) routed: &'a str,
    /// The addresses of the instances that take part.
    pub(crate) here: &'a BTreeSet<String>,
    pub(crate) seen: Option<&'a Seen>,
    pub(crate) switches: &'a Switches,
    pub(crate) rules: &'a Rules,
    pub(crate) pasts: &'a BTreeMap<Place, Past>,
    pub(crate) checks: &'a BTreeMap<String, Checked>,
    pub(crate) bounds_ms: &'a [u64],
}

impl View<'_> {
    /// The upstreams, in the order of their names.
    pub(crate) fn upstreams(&self) -> Vec<Upstream> {
        let Some(seen) = self.seen else { return vec![self.unseen()] };
        let mut upstreams: Vec<Upstream> =
            seen.upstreams.iter().map(|upstream| self.upstream(upstream)).collect();
        upstreams.sort_by(|a, b| a.name.cmp(&b.name));
        upstreams
    }

    /// Places for instances that join.
    pub(crate) fn slots(&self) -> Option<Slots> {
        let slots = self.seen?.routed()?.slots?;
        Some(Slots { all: slots.all, free: slots.free })
    }

    /// Response times of the last hour: of `wanted`, or of all if they are few.
    pub(crate) fn heat(&self, upstreams: &[Upstream], wanted: &[Place], all: bool) -> Vec<Heat> {
        let count: usize = upstreams.iter().map(|upstream| upstream.backends.len()).sum();
        let is_wanted = |place: &&Place| all || count <= Table::HEAT_MAX || wanted.contains(place);
        let past = |place: &Place| self.pasts.get(place).map(|past| (place.clone(), past));
        let heat = |(place, past): (Place, &Past)| past.heat(place, self.now_ms, self.bounds_ms);
        self.pasts.keys().filter(is_wanted).filter_map(past).map(heat).collect()
    }

    /// What is known without nginx: the instances, and what their checks say.
    fn unseen(&self) -> Upstream {
        let health = self.rules.healths.get(self.routed);
        let backend = |address: &String| {
            let seen = SeenBackend { address: address.clone(), ..SeenBackend::default() };
            let mut backend = self.backend(self.routed, &seen, health, true);
            backend.counted = false;
            backend
        };
        Upstream {
            name: self.routed.into(),
            implicit: false,
            at: String::new(),
            switchable: true,
            no_live: 0,
            backends: self.here.iter().map(backend).collect(),
        }
    }

    fn upstream(&self, seen: &SeenUpstream) -> Upstream {
        let health = self.rules.healths.get(&seen.name);
        let mut backends: Vec<Backend> = seen
            .backends
            .iter()
            .map(|backend| self.backend(&seen.name, backend, health, seen.route))
            .collect();
        let per_second: f64 = backends.iter().map(|backend| backend.per_second).sum();
        if per_second > 0.0 {
            backends.iter_mut().for_each(|backend| backend.traffic = backend.per_second / per_second);
        }
        Upstream {
            name: seen.name.clone(),
            implicit: seen.implicit,
            at: format!("{}:{}", seen.file, seen.line),
            switchable: seen.zone,
            no_live: seen.no_live.unwrap_or(0),
            backends,
        }
    }

    fn backend(&self, upstream: &str, seen: &SeenBackend, health: Option<&Health>, checked: bool) -> Backend {
        let place = Place { upstream: upstream.into(), backend: seen.address.clone() };
        let past = self.pasts.get(&place).filter(|_| self.seen.is_some());
        let rates = past.map(|past| past.rates(self.now_ms)).unwrap_or_default();
        let setting = self.switches.get(upstream, &seen.address);
        let standing = health.and_then(|health| health.standing(&seen.address));
        let is_panic = health.is_some_and(|health| health.panic().is_some());
        let how = self.how(seen, setting, standing.as_ref(), is_panic);
        let statuses = &seen.responses;
        Backend {
            state: how.state,
            since_ms: how.since_ms,
            why: how.why,
            until_ms: how.until_ms,
            address: seen.address.clone(),
            server: seen.server.clone(),
            backup: seen.backup,
            weight: setting.map_or(100, Setting::percent),
            share: seen.share.unwrap_or(100),
            traffic: 0.0,
            per_second: rates.per_second,
            failed: rates.failed,
            counted: seen.counted,
            requests: seen.requests,
            in_flight: seen.in_flight,
            answers: Answers {
                classes: [
                    statuses.informational,
                    statuses.good,
                    statuses.redirect,
                    statuses.refused,
                    statuses.failed,
                ],
                client_closed: seen.client_closed,
                internal_error: statuses.internal_error,
                bad_gateway: statuses.bad_gateway,
                unavailable: statuses.unavailable,
                gateway_timeout: statuses.gateway_timeout,
            },
            connect_errors: seen.connect_errors,
            connect_timeouts: seen.connect_timeouts,
            read_timeouts: seen.read_timeouts,
            write_timeouts: seen.write_timeouts,
            no_answer: seen.no_answer,
            bad_answer: seen.bad_answer,
            cut: seen.cut,
            stale: seen.stale,
            bytes_sent: seen.bytes_sent,
            bytes_received: seen.bytes_received,
            times: Times {
                connect: self.times(&seen.connect),
                header: self.times(&seen.header),
                response: self.times(&seen.response),
            },
            recent: past.map(|past| past.recent(self.now_ms, self.bounds_ms)).unwrap_or_default(),
            fails: seen.fails,
            max_fails: seen.max_fails,
            fail_timeout_s: seen.fail_timeout_s,
            connections: seen.connections,
            last_failure: seen
                .last_failure
                .as_ref()
                .map(|failure| Failed { at_ms: failure.at_ms, why: failure.why.clone() }),
            check: if checked { self.checks.get(&seen.address).cloned() } else { None },
            switch: setting.and_then(Setting::by).cloned(),
        }
    }

    fn times(&self, seen: &SeenTimes) -> switchboard_fleet::front::Spread {
        spread(&seen.buckets, seen.sum_ms, self.bounds_ms)
    }

    /// Of several that are so the strongest: it left, an operator, the configuration, health, nginx itself.
    fn how(
        &self,
        seen: &SeenBackend,
        setting: Option<&Setting>,
        standing: Option<&Standing>,
        is_panic: bool,
    ) -> How {
        if seen.has_left() {
            return How::of(BackendState::Left, Some("it said that it leaves".into()));
        }
        let mark = setting.and_then(|setting| setting.state.as_ref());
        if let Some((mark, is)) =
            mark.and_then(|mark| mark.is.filter(|is| *is != Switch::On).map(|is| (mark, is)))
        {
            let state = if is == Switch::Off { BackendState::Off } else { BackendState::Draining };
            let reason = if mark.by.why.is_empty() { String::new() } else { format!(": {}", mark.by.why) };
            return How {
                state,
                since_ms: Some(mark.by.at_ms),
                why: Some(format!("{}{reason}", mark.by.who)),
                until_ms: mark.by.until_ms,
            };
        }
        if seen.switched() == Some(Switch::Drain) {
            return How::of(
                BackendState::Draining,
                Some("it said that it leaves; who names it still reaches it".into()),
            );
        }
        if seen.state == "down" {
            return How::of(BackendState::Down, Some("nginx's configuration has it off".into()));
        }
        // Nobody is taken out by a module that knows no shares.
        let in_force = self.rules.ejects && seen.share.is_some();
        match standing.map(|standing| &standing.state) {
            Some(State::Ejected { since_ms, until_ms, why }) if in_force && !is_panic => How {
                state: BackendState::Ejected,
                since_ms: Some(*since_ms),
                why: Some(why.clone()),
                until_ms: Some(*until_ms),
            },
            Some(State::Ejected { since_ms, why, .. }) => {
                let stays = match () {
                    () if is_panic => "too many are bad: all get traffic",
                    () if !self.rules.ejects => "it stays, as health.eject is false",
                    () => "it stays, as nginx has no module by which it could be taken out",
                };
                How {
                    since_ms: Some(*since_ms),
                    ..How::of(BackendState::Up, Some(format!("{why}; {stays}")))
                }
            }
            _ if seen.state == "unavailable" => {
                How::of(BackendState::Unavailable, Some("nginx counted too many failures".into()))
            }
            Some(State::SlowStart { since_ms }) if in_force => How {
                since_ms: Some(*since_ms),
                ..How::of(BackendState::SlowStart, Some("its share grows".into()))
            },
            Some(State::Up { since_ms } | State::SlowStart { since_ms }) => {
                How { since_ms: Some(*since_ms), ..How::of(BackendState::Up, None) }
            }
            _ if seen.state == "out" => How::of(BackendState::Ejected, None),
            _ => How::of(BackendState::Up, None),
        }
    }
}

/// How a backend is, and why.
struct How {
    state: BackendState,
    since_ms: Option<u64>,
    why: Option<String>,
    until_ms: Option<u64>,
}

impl How {
    fn of(state: BackendState, why: Option<String>) -> Self {
        Self { state, since_ms: None, why, until_ms: None }
    }
}
