//! What happened to an incident.

use serde::{Deserialize, Serialize};
use switchboard_fleet::report::WorkerKind;

use super::Reach;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Workers of a server are not heard of.
    Down,
    /// The share of overloaded instances among a server's running ones has reached the threshold.
    Overload,
    /// Workers of a server say that something is wrong with them.
    Trouble,
    /// Archives cannot be read or written.
    Archive,
    /// Workers of a server have panicked.
    Panic,
    /// Nobody reports, or nobody of the other servers while none of their fronts answers.
    Unheard,
}

/// One step in the life of an incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The incident's name: unique, of `0-9 a-z -`.
    pub incident: String,
    /// What is wrong.
    pub kind: Kind,
    /// Where; empty if it is the fleet's.
    pub server: String,
    /// When, ms since 1970.
    pub at_ms: u64,
    /// When the incident began.
    pub opened_ms: u64,
    /// What has changed.
    pub change: Change,
    /// Which letter of the incident's thread tells it, from 0; `None`: it is recorded, not told.
    pub letter: Option<u32>,
    /// How things stand.
    pub facts: Facts,
}

/// What has changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "change")]
pub enum Change {
    /// It has begun.
    Opened,
    /// Other workers are concerned than told before.
    Updated {
        /// Those that came.
        joined: Vec<String>,
        /// Those that went.
        left: Vec<String>,
    },
    /// It still lasts.
    Reminder,
    /// It comes and goes: nothing more is told until it is calm.
    Unstable {
        /// Changes within the last hour.
        changes: usize,
    },
    /// It is over.
    Recovered {
        /// How long it lasted.
        lasted_ms: u64,
    },
    /// It is over as there is nothing more to watch: the workers were taken out of the configuration, or a panic is long past.
    Ended {
        /// How long it lasted.
        lasted_ms: u64,
    },
}

/// A worker concerned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Its server.
    pub server: String,
    /// What it is.
    pub kind: WorkerKind,
    /// Since when, ms since 1970: last heard, or when the matter was seen first.
    pub since_ms: u64,
    /// What is known, in words; not always one line.
    pub detail: String,
}

/// How things stand, for a letter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// The workers concerned, without silenced ones.
    pub members: Vec<Member>,
    /// Workers concerned that are silenced.
    pub silenced: usize,
    /// The instances watched: of the server, or of the fleet.
    pub instances: usize,
    /// Those of them that are heard of.
    pub running: usize,
    /// Those of them that are overloaded, whatever the threshold.
    pub overloaded: Vec<String>,
    /// The servers watched.
    pub servers: usize,
    /// All instances of the server are down.
    pub whole: bool,
    /// What the monitor found when it asked whether it is itself cut off.
    pub reach: Reach,
}
