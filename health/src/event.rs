//! What was decided, and why.

use serde::{Deserialize, Serialize};

/// One decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When, ms since 1970.
    pub at_ms: u64,
    /// About whom; `None`: the whole front.
    pub backend: Option<String>,
    /// What.
    pub kind: Kind,
    /// Why, in one sentence for people, with the numbers behind it.
    pub why: String,
}

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// It is new.
    Joined,
    /// It is no longer a backend.
    Left,
    /// It was taken out.
    Ejected,
    /// It is back with a part of its weight.
    SlowStart,
    /// It has its whole weight again.
    Up,
    /// An operator switched it, or set its weight.
    Switched,
    /// Too many are bad: all get traffic.
    PanicBegan,
    /// Few enough are bad again.
    PanicEnded,
}
