use serde::{Deserialize, Serialize};

use super::{Backend, Place};

/// All that is known of a front's backends at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// The front's name: its server's, and `#2`, `#3` behind it for further fronts of one server.
    pub front: String,
    /// The moment, ms since 1970.
    pub at_ms: u64,
    /// Grows with every switch: an [`Order`](super::Order) for an older table can be told from one for this.
    pub version: u64,
    /// nginx itself.
    pub nginx: Nginx,
    /// Places for backends that come without a reload; `None` without the module.
    pub slots: Option<Slots>,
    /// So many backends are bad that all get traffic.
    pub panic: Option<Panic>,
    /// What else is wrong with this front at present, a sentence each.
    pub wrong: Vec<String>,
    /// The upstreams, in the order of their names.
    pub upstreams: Vec<Upstream>,
    /// Response times of the last hour, for the backends that were asked for, or for all if they are few.
    pub heat: Vec<Heat>,
    /// What happened last, the newest first: ejections, returns, switches.
    pub happened: Vec<Happened>,
}

impl Table {
    /// Most entries of [`Table::happened`].
    pub const HAPPENED_MAX: usize = 100;
    /// Up to so many backends have their [`Heat`] without being asked for.
    pub const HEAT_MAX: usize = 16;
    /// Most bytes of a table as JSON.
    pub const BYTES_MAX: usize = 16 << 20;

    /// The upstream of a name.
    pub fn upstream(&self, name: &str) -> Option<&Upstream> {
        self.upstreams.iter().find(|upstream| upstream.name == name)
    }

    /// A backend.
    pub fn backend(&self, place: &Place) -> Option<&Backend> {
        self.upstream(&place.upstream)?.backends.iter().find(|backend| backend.address == place.backend)
    }
}

/// nginx, as the controller sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Nginx {
    /// Its master process; `None` if it does not run.
    pub pid: Option<u32>,
    /// The number of the configuration that it serves.
    pub generation: Option<u64>,
    /// The version of the module in it; without it nothing is counted.
    pub module: Option<String>,
}

/// Places for backends that come without a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slots {
    /// All of them.
    pub all: usize,
    /// Those that no backend has.
    pub free: usize,
}

/// Panic mode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Panic {
    /// Since when, ms since 1970.
    pub since_ms: u64,
    /// Why, in a sentence.
    pub why: String,
}

/// One upstream of nginx.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Upstream {
    /// Its name.
    pub name: String,
    /// Made by a bare `proxy_pass http://ADDRESS`, not declared.
    pub implicit: bool,
    /// Where it stands in the configuration, `FILE:LINE`.
    pub at: String,
    /// Whether its backends can be switched: they are in memory that all of nginx's workers share.
    pub switchable: bool,
    /// Requests for which no backend could be found.
    pub no_live: u64,
    /// Its backends: resolved addresses, so a name may stand for several.
    pub backends: Vec<Backend>,
}

/// Response times of one backend by the minute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heat {
    /// Whose.
    pub place: Place,
    /// The minute of the last column, ms since 1970.
    pub until_ms: u64,
    /// The upper bounds of the rows in ms, from short to long; one row more is for what took longer.
    pub bounds_ms: Vec<u64>,
    /// A column for each minute, the oldest first: how many requests fell into each row. Empty where there were none.
    pub columns: Vec<Vec<u64>>,
}

/// Something that happened to a backend, or to the front.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happened {
    /// When, ms since 1970.
    pub at_ms: u64,
    /// To which backend; `None`: to the front.
    pub place: Option<Place>,
    /// A word: `ejected`, `slow-start`, `up`, `joined`, `left`, `panic`, `panic-ended`, `on`, `off`, `drain`, `weight`, `refused`, `slow`, and others.
    pub what: String,
    /// Why, in a sentence.
    pub why: String,
    /// Who did it; `None`: the controller by itself.
    pub who: Option<String>,
}

/// An instance that takes part, as it says itself to the controller of its server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its port.
    pub port: u16,
    /// Its process.
    pub pid: u32,
}
