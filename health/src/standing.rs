//! How things stand, for whoever sets the weights and whoever looks at the page.

use serde::{Deserialize, Serialize};

/// What an operator decided about a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Switch {
    /// It is judged by how it does.
    #[default]
    On,
    /// Nobody new is sent there.
    Drain,
    /// Nobody is sent there.
    Off,
}

/// How one backend stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Its name.
    pub backend: String,
    /// The part of its configured weight that it is to have now, 0 to 100 %. In panic mode an ejected one has weight too.
    pub weight_percent: u8,
    /// How it is.
    pub state: State,
    /// Ejections in a row, from which the next cool-off follows.
    pub ejections: u32,
}

/// How a backend is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum State {
    /// In full service.
    Up {
        /// Since when, ms since 1970.
        since_ms: u64,
    },
    /// It is new, or back; its share grows.
    SlowStart {
        /// Since when.
        since_ms: u64,
    },
    /// It is taken out.
    Ejected {
        /// Since when.
        since_ms: u64,
        /// When it comes back at the earliest.
        until_ms: u64,
        /// Why, in one sentence.
        why: String,
    },
    /// An operator lets it run dry.
    Draining {
        /// Since when.
        since_ms: u64,
    },
    /// An operator switched it off.
    Off {
        /// Since when.
        since_ms: u64,
    },
}

/// Panic mode: so many are bad that all get traffic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Panic {
    /// Since when, ms since 1970.
    pub since_ms: u64,
    /// Why, in one sentence.
    pub why: String,
}
