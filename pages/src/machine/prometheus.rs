//! The text that Prometheus reads.

use std::collections::HashSet;

use switchboard_fleet::front::{Table, Upstream};

use super::{
    Missing, Named,
    exposition::{Exposition, Number, Of, SpreadOf, flag},
};
use crate::UpstreamsQuery;

/// The text that Prometheus reads, version 0.0.4: counters and summaries since nginx began to count, gauges of the moment. Backends are told
/// apart by `front`, `upstream` and `backend`; those that nginx does not count have no counters.
///
/// # Errors
/// What the query names and nobody knows.
pub fn prometheus(fronts: &[&Table], query: &UpstreamsQuery) -> Result<String, Missing> {
    let mut text = Exposition::default();
    let (mut upstreams, mut backends): (Vec<(&Table, &Upstream)>, Vec<_>) = Default::default();
    match query.find(fronts)? {
        Named::Fronts(tables) => {
            of_fronts(&mut text, &tables);
            upstreams.extend(
                tables.iter().flat_map(|table| table.upstreams.iter().map(|upstream| (*table, upstream))),
            );
        }
        Named::Upstream(table, upstream) => upstreams.push((table, upstream)),
        Named::Backend(table, upstream, backend) => backends.push(Of { table, upstream, backend }),
    }
    of_upstreams(&mut text, &upstreams);
    for (table, upstream) in upstreams {
        backends.extend(upstream.backends.iter().map(|backend| Of { table, upstream, backend }));
    }
    // Two lines with the same labels would make all of it unreadable.
    let mut seen = HashSet::new();
    backends.retain(|of| seen.insert((&of.table.front, &of.upstream.name, &of.backend.address)));
    of_backends(&mut text, &backends);
    Ok(text.out)
}

fn of_fronts(text: &mut Exposition, tables: &[&Table]) {
    let mut gauge = |name: &str, help: &str, value: fn(&Table) -> Option<f64>| {
        text.family(name, "gauge", help);
        for table in tables {
            text.line(name, &[("front", &table.front)], value(table));
        }
    };
    gauge("switchboard_front_table_timestamp_seconds", "When the front's table was made.", |t| {
        Some(t.at_ms as f64 / 1000.0)
    });
    gauge("switchboard_front_nginx_running", "Whether nginx runs.", |t| Some(flag(t.nginx.pid.is_some())));
    gauge("switchboard_front_module_loaded", "Whether nginx has the module that counts.", |t| {
        Some(flag(t.nginx.module.is_some()))
    });
    gauge("switchboard_front_panic", "Whether so many backends are bad that all get traffic.", |t| {
        Some(flag(t.panic.is_some()))
    });
    gauge("switchboard_front_wrong", "Things that are wrong with the front.", |t| Some(t.wrong.len() as f64));
    gauge(
        "switchboard_front_places_free",
        "Places that are left for backends that come without a reload.",
        |t| t.slots.map(|slots| slots.free as f64),
    );
}

fn of_upstreams(text: &mut Exposition, upstreams: &[(&Table, &Upstream)]) {
    let name = "switchboard_upstream_no_live_total";
    text.family(name, "counter", "Requests for which no backend could be found.");
    for (table, upstream) in upstreams {
        text.line(
            name,
            &[("front", &table.front), ("upstream", &upstream.name)],
            Some(upstream.no_live as f64),
        );
    }
}

const COUNTERS: [(&str, &str, Number); 4] = [
    ("switchboard_backend_requests_total", "Requests that began.", |b| b.requests as f64),
    ("switchboard_backend_bytes_sent_total", "Bytes sent to the backend.", |b| b.bytes_sent as f64),
    ("switchboard_backend_bytes_received_total", "Bytes received from the backend.", |b| {
        b.bytes_received as f64
    }),
    (
        "switchboard_backend_stale_connections_total",
        "Kept connections that had been closed meanwhile.",
        |b| b.stale as f64,
    ),
];

const GAUGES: [(&str, &str, Number); 8] = [
    ("switchboard_backend_counted", "Whether nginx counts the backend.", |b| flag(b.counted)),
    ("switchboard_backend_in_flight", "Requests under way.", |b| b.in_flight as f64),
    ("switchboard_backend_connections", "Open connections.", |b| b.connections as f64),
    ("switchboard_backend_fails", "Failures as nginx counts them for max_fails.", |b| b.fails as f64),
    ("switchboard_backend_weight_ratio", "Part of its weight that operators left to it.", |b| {
        f64::from(b.weight) / 100.0
    }),
    ("switchboard_backend_share_ratio", "Part of that weight which it has now.", |b| {
        f64::from(b.share) / 100.0
    }),
    ("switchboard_backend_traffic_ratio", "Part of the upstream's requests, last minute.", |b| b.traffic),
    ("switchboard_backend_failed_ratio", "Part of its requests that failed, last minute.", |b| b.failed),
];

/// What a label tells apart within one family.
type Split<const N: usize> = [(&'static str, Number); N];

const CLASSES: Split<5> = [
    ("1xx", |b| b.answers.classes[0] as f64),
    ("2xx", |b| b.answers.classes[1] as f64),
    ("3xx", |b| b.answers.classes[2] as f64),
    ("4xx", |b| b.answers.classes[3] as f64),
    ("5xx", |b| b.answers.classes[4] as f64),
];

const STATUSES: Split<5> = [
    ("499", |b| b.answers.client_closed as f64),
    ("500", |b| b.answers.internal_error as f64),
    ("502", |b| b.answers.bad_gateway as f64),
    ("503", |b| b.answers.unavailable as f64),
    ("504", |b| b.answers.gateway_timeout as f64),
];

const FAILURES: Split<7> = [
    ("connect-error", |b| b.connect_errors as f64),
    ("connect-timeout", |b| b.connect_timeouts as f64),
    ("read-timeout", |b| b.read_timeouts as f64),
    ("write-timeout", |b| b.write_timeouts as f64),
    ("no-answer", |b| b.no_answer as f64),
    ("bad-answer", |b| b.bad_answer as f64),
    ("cut", |b| b.cut as f64),
];

const TIMES: [(&str, &str, SpreadOf); 3] = [
    ("switchboard_backend_connect_seconds", "Until connected.", |b| b.times.connect),
    ("switchboard_backend_header_seconds", "Until the head of the answer.", |b| b.times.header),
    ("switchboard_backend_response_seconds", "Until the end of the answer.", |b| b.times.response),
];

fn of_backends(text: &mut Exposition, all: &[Of]) {
    let counted: Vec<&Of> = all.iter().filter(|of| of.backend.counted).collect();
    for (name, help, value) in COUNTERS {
        text.family(name, "counter", help);
        for of in &counted {
            text.line(name, &of.labels(), Some(value(of.backend)));
        }
    }
    text.split("switchboard_backend_answers_total", "Answers by class.", "class", &CLASSES, &counted);
    text.split(
        "switchboard_backend_statuses_total",
        "Answers of some statuses; 499: the caller went away.",
        "status",
        &STATUSES,
        &counted,
    );
    text.split(
        "switchboard_backend_failures_total",
        "Attempts without a whole answer.",
        "kind",
        &FAILURES,
        &counted,
    );
    for (name, help, spread) in TIMES {
        text.summary(name, help, spread, &counted);
    }
    text.recent(&counted);
    for (name, help, value) in GAUGES {
        text.family(name, "gauge", help);
        for of in all {
            text.line(name, &of.labels(), Some(value(of.backend)));
        }
    }
    text.states(all);
    let name = "switchboard_backend_check_good";
    text.family(name, "gauge", "Whether the last active check was good.");
    for of in all {
        text.line(name, &of.labels(), of.backend.check.as_ref().map(|check| flag(check.fault.is_none())));
    }
}
