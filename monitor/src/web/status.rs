//! `GET /status`: the overview for machines, as JSON.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Json, extract::State};
use serde::Serialize;
use switchboard_alert::rules::Kind;
use switchboard_fleet::report::WorkerKind;

use crate::{clock::now_ms, control, desk::Desk, web::state};

/// The whole answer. Times are ms since 1970.
#[derive(Debug, Serialize)]
pub(super) struct Status {
    version: &'static str,
    /// Open incidents.
    incidents: Vec<Incident>,
    /// Letters that wait for the mail server.
    letters: usize,
    /// What is wrong with the monitor itself, in words.
    faults: Vec<String>,
    workers: BTreeMap<String, Worker>,
}

#[derive(Debug, Serialize)]
struct Incident {
    id: String,
    kind: Kind,
    server: String,
    opened_ms: u64,
    workers: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Worker {
    kind: WorkerKind,
    /// As the overview page says it.
    state: &'static str,
    /// When it was last heard.
    heard_ms: Option<u64>,
    /// The share of a core over the last minutes.
    cpu: Option<f64>,
    rss_bytes: Option<u64>,
    /// Reports taken, of all lives that are remembered.
    reports: u64,
    /// Reports missing among them.
    missing: u64,
    /// Until when no letters are written about it.
    silenced_until_ms: Option<u64>,
}

/// Tells all that the overview page shows.
pub(super) async fn status(State(desk): State<Arc<Desk>>) -> Json<Status> {
    let open = desk.published().incidents().to_vec();
    let incident = |incident: switchboard_alert::rules::Incident| Incident {
        workers: incident.members.into_keys().collect(),
        id: incident.id,
        kind: incident.kind,
        server: incident.server,
        opened_ms: incident.opened_ms,
    };
    let silences = control::in_force(&desk);
    let workers = state::workers(&desk, &silences, now_ms());
    let worker = |worker: switchboard_pages::Worker| Worker {
        kind: worker.kind,
        state: worker.health.words(),
        heard_ms: worker.heard_ms,
        cpu: worker.cpu,
        rss_bytes: worker.state.map(|state| state.rss_bytes),
        reports: worker.taken,
        missing: worker.missing,
        silenced_until_ms: worker.silenced_until_ms,
    };
    let faults = state::faults(&desk).await;
    Json(Status {
        version: env!("CARGO_PKG_VERSION"),
        incidents: open.into_iter().map(incident).collect(),
        letters: state::letters(&desk).await,
        faults: faults.iter().map(switchboard_pages::Fault::what).collect(),
        workers: workers.into_iter().map(|(name, found)| (name, worker(found))).collect(),
    })
}
