//! What an instance shows of itself at `GET /status`.

use serde::{Deserialize, Serialize};

/// Where an instance stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It listens and is making its first contacts.
    Starting,
    /// It serves.
    Ready,
    /// It finishes what runs and takes nothing new.
    Draining,
}

/// The whole status of one instance. Counters start at 0 with the process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Where it stands.
    pub state: State,
    /// Its server's public name.
    pub server: String,
    /// Its port, which is its name on its server.
    pub port: u16,
    /// Its process.
    pub pid: u32,
    /// The program's version.
    pub version: String,
    /// Seconds since it started.
    pub uptime_s: u64,
    /// CPU time used, user and system, in microseconds.
    pub cpu_us: u64,
    /// Resident memory in bytes.
    pub rss_bytes: u64,
    /// The desktops it holds.
    pub agents: Agents,
    /// What it carried.
    pub transactions: Transactions,
    /// Bytes of bodies relayed, both directions.
    pub bytes: u64,
    /// Open connections.
    pub connections: u64,
    /// Calls refused with a 4xx or 5xx status.
    pub refused: u64,
    /// Customer IDs to give.
    pub ids: Ids,
    /// Whom it knows.
    pub peers: Peers,
    /// Where customers are.
    pub locations: Locations,
}

/// The desktops at an instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Agents {
    /// Polls parked now.
    pub parked: u64,
    /// Customer IDs that these polls belong to.
    pub unique: u64,
}

/// The transactions of an instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Transactions {
    /// Handed to an agent.
    pub started: u64,
    /// Answered in full.
    pub completed: u64,
    /// Broken off or timed out.
    pub failed: u64,
    /// Running now.
    pub current: u64,
    /// Apps that wait in line for an agent; absent from instances that do not count them.
    #[serde(default)]
    pub waiting: u64,
}

/// The customer IDs an instance can give.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ids {
    /// IDs of its own range not given yet.
    pub left: u64,
    /// IDs of the fleet's range not granted yet; the master only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub master_left: Option<u64>,
    /// IDs of the fleet's whole range; the master only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub master_whole: Option<u64>,
    /// Seconds for which `master_left` lasts at the rate of the last minutes; the master only, absent if nothing is granted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub master_lasts_s: Option<u64>,
    /// IDs that it asks for at a time now.
    #[serde(default)]
    pub size: u64,
    /// IDs given a second, over about the last minute.
    #[serde(default)]
    pub per_second: f64,
    /// Seconds for which `left` lasts at that rate; absent if none are given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lasts_s: Option<u64>,
    /// Times that there was no ID for a new customer.
    #[serde(default)]
    pub stalls: u64,
    /// Milliseconds during which there was none.
    #[serde(default)]
    pub stalled_ms: u64,
    /// Why it gives or grants no IDs, if it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// The rest of the fleet as an instance knows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Peers {
    /// Other servers that answer.
    pub servers: Vec<String>,
    /// Other ports of its server that answer.
    pub ports: Vec<u16>,
}

/// The table of who is where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Locations {
    /// Customers whose instance is known.
    pub entries: u64,
    /// Memory of the table in bytes.
    pub bytes: u64,
    /// `bytes` shared among `entries`.
    pub bytes_per_entry: f64,
}
