//! What is known of the fleet at one moment.

use serde::{Deserialize, Serialize};
use switchboard_fleet::report::WorkerKind;

/// What is known of one worker.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// Its name, as it reports it.
    pub name: String,
    /// The server where it runs; any text by which workers belong together.
    pub server: String,
    /// What it is.
    pub kind: WorkerKind,
    /// When a report of it last came in, by this machine's clock, ms since 1970.
    pub heard_ms: Option<u64>,
    /// When it said that it stops, if that was the last thing it said.
    pub stopping_ms: Option<u64>,
    /// The share of a core that it used over the last minutes; above 1 on several cores.
    pub cpu: Option<f64>,
    /// What it says is wrong with it, a sentence each, as it was last heard.
    pub wrong: Vec<String>,
    /// Why its archive cannot be read or written, if so.
    pub archive_fault: Option<String>,
    /// Its last panic.
    pub panic: Option<Panicked>,
}

/// A panic of a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Panicked {
    /// When, ms since 1970.
    pub at_ms: u64,
    /// What it said.
    pub message: String,
    /// Where, as `FILE:LINE:COLUMN`.
    pub place: String,
}

/// Whether the monitor itself is cut off: what it found when it tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reach {
    /// Its own listener answers over loopback.
    pub own: bool,
    /// At least one other server's front answers; `None` if there is no other server.
    pub others: Option<bool>,
}
