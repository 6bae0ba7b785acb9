//! What the module in nginx shows. Fields that it does not know yet have a default; those that are not known here are passed over.

use serde::{Deserialize, Serialize};
use switchboard_nginx::Switch;

/// All of it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Seen {
    /// The module's version.
    pub(crate) version: String,
    /// What is left of the lease, in ms; `None` if the module knows none.
    pub(crate) lease_ms: Option<u64>,
    /// Upper bounds of the buckets of times.
    pub(crate) bounds_ms: Vec<u64>,
    pub(crate) upstreams: Vec<SeenUpstream>,
}

/// An upstream.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SeenUpstream {
    pub(crate) name: String,
    pub(crate) implicit: bool,
    /// Its backends can be switched.
    pub(crate) zone: bool,
    pub(crate) file: String,
    pub(crate) line: u64,
    pub(crate) no_live: Option<u64>,
    /// It is the one of this server's instances.
    pub(crate) route: bool,
    pub(crate) slots: Option<SeenSlots>,
    pub(crate) backends: Vec<SeenBackend>,
}

/// Places for backends that join.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SeenSlots {
    pub(crate) all: usize,
    pub(crate) free: usize,
}

/// A backend.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SeenBackend {
    pub(crate) address: String,
    pub(crate) server: String,
    pub(crate) backup: bool,
    pub(crate) state: String,
    pub(crate) configured: Configured,
    pub(crate) switch: Option<SeenSwitch>,
    /// What health left it, in percent; `None` if the module knows no shares.
    pub(crate) share: Option<u32>,
    /// It has one of the places for backends that join.
    pub(crate) slot: bool,
    pub(crate) counted: bool,
    pub(crate) fails: u64,
    pub(crate) max_fails: u64,
    pub(crate) fail_timeout_s: u64,
    pub(crate) connections: u64,
    pub(crate) requests: u64,
    pub(crate) in_flight: u64,
    pub(crate) responses: Responses,
    pub(crate) answered: u64,
    pub(crate) client_closed: u64,
    pub(crate) stale: u64,
    pub(crate) connect_errors: u64,
    pub(crate) connect_timeouts: u64,
    pub(crate) read_timeouts: u64,
    pub(crate) write_timeouts: u64,
    pub(crate) no_answer: u64,
    pub(crate) bad_answer: u64,
    pub(crate) cut: u64,
    pub(crate) failures: u64,
    pub(crate) last_failure: Option<SeenFailure>,
    pub(crate) bytes_sent: u64,
    pub(crate) bytes_received: u64,
    pub(crate) connect: SeenTimes,
    pub(crate) header: SeenTimes,
    pub(crate) response: SeenTimes,
}

/// What nginx's configuration says of a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Configured {
    pub(crate) down: bool,
    pub(crate) weight: u32,
}

/// What an operator made of a backend.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SeenSwitch {
    pub(crate) state: String,
    pub(crate) weight: Option<u32>,
}

/// Answers by status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Responses {
    #[serde(rename = "1xx")]
    pub(crate) informational: u64,
    #[serde(rename = "2xx")]
    pub(crate) good: u64,
    #[serde(rename = "3xx")]
    pub(crate) redirect: u64,
    #[serde(rename = "4xx")]
    pub(crate) refused: u64,
    #[serde(rename = "5xx")]
    pub(crate) failed: u64,
    #[serde(rename = "500")]
    pub(crate) internal_error: u64,
    #[serde(rename = "502")]
    pub(crate) bad_gateway: u64,
    #[serde(rename = "503")]
    pub(crate) unavailable: u64,
    #[serde(rename = "504")]
    pub(crate) gateway_timeout: u64,
}

/// The last failure.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SeenFailure {
    pub(crate) at_ms: u64,
    pub(crate) why: String,
}

/// Times of one kind. Buckets behind the last one that is not empty are left out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SeenTimes {
    pub(crate) count: u64,
    pub(crate) sum_ms: u64,
    pub(crate) p50_ms: Option<u64>,
    pub(crate) p99_ms: Option<u64>,
    pub(crate) buckets: Vec<u64>,
}

impl Seen {
    /// The upstream of a name.
    pub(crate) fn upstream(&self, name: &str) -> Option<&SeenUpstream> {
        self.upstreams.iter().find(|upstream| upstream.name == name)
    }

    /// The one of this server's instances.
    pub(crate) fn routed(&self) -> Option<&SeenUpstream> {
        self.upstreams.iter().find(|upstream| upstream.route)
    }
}

impl SeenUpstream {
    /// A backend.
    pub(crate) fn backend(&self, address: &str) -> Option<&SeenBackend> {
        self.backends.iter().find(|backend| backend.address == address)
    }
}

impl SeenBackend {
    /// Whether it said that it leaves.
    pub(crate) fn has_left(&self) -> bool {
        self.state == "left"
    }

    /// How it is switched; `None`: neither by an operator nor by the configuration in a way that is known here.
    pub(crate) fn switched(&self) -> Option<Switch> {
        match self.switch.as_ref().map_or("config", |switch| switch.state.as_str()) {
            "on" => Some(Switch::On),
            "drain" => Some(Switch::Drain),
            "off" => Some(Switch::Off),
            _ if self.configured.down => None,
            _ => Some(Switch::On),
        }
    }

    /// The weight that an operator or the configuration gave it.
    pub(crate) fn weight(&self) -> u32 {
        self.switch.as_ref().and_then(|switch| switch.weight).unwrap_or(self.configured.weight)
    }
}
