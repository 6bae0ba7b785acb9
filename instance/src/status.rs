//! What an instance shows of itself, to callers on its own machine: `/status` and `/metrics`.

use std::fmt::Write;

use http::{HeaderValue, StatusCode, header};
use nix::sys::resource::{UsageWho, getrusage};
use switchboard_fleet::snapshot::{Agents, Locations, Peers, Snapshot, State, Transactions};

use crate::hub::{Answer, Hub};

/// `GET /status`: 200 when ready, 503 otherwise.
pub(crate) fn status(hub: &Hub) -> Answer {
    let snapshot = snapshot(hub);
    let text = serde_json::to_string(&snapshot).unwrap_or_default();
    let mut answer = shown(text, "application/json");
    if snapshot.state != State::Ready {
        *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    answer
}

/// `GET /metrics`, in the text format of Prometheus.
pub(crate) fn metrics(hub: &Hub) -> Answer {
    shown(metrics_text(&snapshot(hub)), "text/plain; version=0.0.4; charset=utf-8")
}

fn shown(text: String, kind: &'static str) -> Answer {
    let mut answer = Answer::new(text.into());
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

fn snapshot(hub: &Hub) -> Snapshot {
    let exchange = hub.exchange.borrow();
    let directory = hub.directory.borrow();
    let peers = hub.peers.borrow();
    let (entries, bytes) = (directory.entries() as u64, directory.bytes() as u64);
    Snapshot {
        state: hub.state.get(),
        server: hub.own.server.to_string(),
        port: hub.own.port,
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").into(),
        uptime_s: hub.uptime().as_secs(),
        cpu_us: cpu_us(),
        rss_bytes: rss_bytes(),
        agents: Agents { parked: exchange.parked() as u64, unique: exchange.unique() as u64 },
        transactions: Transactions {
            started: hub.counters.started.get(),
            completed: hub.counters.completed.get(),
            failed: hub.counters.failed.get(),
            current: hub.transactions.borrow().len() as u64,
            waiting: exchange.waiting() as u64,
        },
        bytes: hub.counters.bytes.get(),
        connections: hub.lines.len() as u64,
        refused: hub.counters.refused.get(),
        ids: hub.ids.snapshot(),
        peers: Peers {
            servers: peers.servers().map(ToString::to_string).collect(),
            ports: peers.ports().collect(),
        },
        locations: Locations { entries, bytes, bytes_per_entry: bytes as f64 / entries.max(1) as f64 },
    }
}

fn cpu_us() -> u64 {
    let micros = |time: nix::sys::time::TimeVal| time.tv_sec() as u64 * 1_000_000 + time.tv_usec() as u64;
    getrusage(UsageWho::RUSAGE_SELF)
        .map_or(0, |usage| micros(usage.user_time()) + micros(usage.system_time()))
}

/// Resident memory as the kernel tells it in `/proc/self/statm`: the second number, in pages of 4 KiB.
fn rss_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

fn metrics_text(s: &Snapshot) -> String {
    let ready = u64::from(s.state == State::Ready);
    let all = [
        ("ready", "gauge", "1 when the instance serves", ready as f64),
        ("uptime_seconds", "gauge", "Time since the process started", s.uptime_s as f64),
        ("cpu_seconds_total", "counter", "CPU time used", s.cpu_us as f64 / 1e6),
        ("resident_memory_bytes", "gauge", "Resident memory", s.rss_bytes as f64),
        ("connections", "gauge", "Open connections", s.connections as f64),
        ("agents_parked", "gauge", "Polls parked", s.agents.parked as f64),
        ("agents_unique", "gauge", "Customers with a poll parked", s.agents.unique as f64),
        (
            "transactions_started_total",
            "counter",
            "Transactions handed to an agent",
            s.transactions.started as f64,
        ),
        (
            "transactions_completed_total",
            "counter",
            "Transactions answered in full",
            s.transactions.completed as f64,
        ),
        ("transactions_failed_total", "counter", "Transactions broken off", s.transactions.failed as f64),
        ("transactions_current", "gauge", "Transactions running", s.transactions.current as f64),
        ("apps_waiting", "gauge", "Apps that wait in line for an agent", s.transactions.waiting as f64),
        ("relayed_bytes_total", "counter", "Bytes of bodies relayed", s.bytes as f64),
        ("refused_total", "counter", "Calls refused", s.refused as f64),
        ("ids_left", "gauge", "Customer IDs left to give", s.ids.left as f64),
        ("ids_per_second", "gauge", "Customer IDs given a second in the last minute", s.ids.per_second),
        ("id_stalls_total", "counter", "Times that there was no customer ID to give", s.ids.stalls as f64),
        (
            "id_stalled_seconds_total",
            "counter",
            "Time without a customer ID to give",
            s.ids.stalled_ms as f64 / 1e3,
        ),
        (
            "ids_fault",
            "gauge",
            "1 when customer IDs are not given or granted for a reason that needs help",
            f64::from(u8::from(s.ids.fault.is_some())),
        ),
        ("peer_servers", "gauge", "Other servers that answer", s.peers.servers.len() as f64),
        ("peer_instances", "gauge", "Siblings that answer", s.peers.ports.len() as f64),
        ("locations", "gauge", "Customers whose instance is known", s.locations.entries as f64),
        ("locations_bytes", "gauge", "Memory of the location table", s.locations.bytes as f64),
    ];
    let mut text = String::new();
    let master =
        s.ids.master_left.map(|left| ("master_ids_left", "gauge", "Customer IDs left to grant", left as f64));
    for (name, kind, help, value) in all.into_iter().chain(master) {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "# HELP switchboard_{name} {help}.\n# TYPE switchboard_{name} {kind}\nswitchboard_{name} {value}"
        );
    }
    text
}
