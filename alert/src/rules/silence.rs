//! Silence for planned work.

use serde::{Deserialize, Serialize};

/// Nothing is sent about what this covers, from one moment to another. It is recorded all the same, and told afterwards if it lasts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// What is covered.
    pub covers: Covers,
    /// Its first moment, ms since 1970.
    pub from_ms: u64,
    /// The first moment after it.
    pub until_ms: u64,
    /// Why.
    pub reason: String,
}

/// What a silence covers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Covers {
    /// Everything.
    All,
    /// All workers of one server.
    Server(String),
    /// One worker.
    Worker(String),
}

impl Silence {
    pub(super) fn covers(&self, server: &str, worker: &str, now_ms: u64) -> bool {
        (self.from_ms..self.until_ms).contains(&now_ms)
            && match &self.covers {
                Covers::All => true,
                Covers::Server(name) => name == server,
                Covers::Worker(name) => name == worker,
            }
    }
}
