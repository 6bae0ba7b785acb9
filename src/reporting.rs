//! How programs of this server report to its monitor.

use std::path::PathBuf;

use anyhow::Context;
use switchboard_fleet::{KeyRing, config::Config, report::WorkerKind};
use switchboard_worker::{Bounds, Subject, Worker};

/// Who reports.
pub(crate) struct Identity {
    /// Behind the server's name.
    pub(crate) name: String,
    pub(crate) kind: WorkerKind,
    pub(crate) subject: Subject,
    /// Where it listens.
    pub(crate) address: String,
    /// What waits for the monitor.
    pub(crate) spool: PathBuf,
}

/// Begins to report, if there is anyone to report to.
///
/// # Errors
/// The spool cannot be used: whoever calls says so, and goes on without.
pub(crate) fn start(config: &Config, keys: KeyRing, identity: Identity) -> anyhow::Result<Option<Worker>> {
    let Some(monitor) = config.monitor_url() else { return Ok(None) };
    let worker = Worker::start(switchboard_worker::Config {
        worker: format!("{}/{}", config.front_name(), identity.name),
        kind: identity.kind,
        subject: identity.subject,
        address: identity.address,
        version: env!("CARGO_PKG_VERSION").into(),
        monitor,
        keys: Some(keys),
        spool: identity.spool,
        bounds: Bounds::default(),
    });
    worker.map(Some).context("nothing is reported to the monitor")
}
