use serde::{Deserialize, Serialize};

use super::Table;

/// One backend of a front.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// The upstream's name.
    pub upstream: String,
    /// The backend's address.
    pub backend: String,
}

/// What an operator wants of a backend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Names the order; of 1 to 64 bytes `0-9 a-z -`. One that comes twice is carried out once.
    pub id: String,
    /// Which backend.
    pub place: Place,
    /// What shall become of it.
    pub change: Change,
    /// Who wants that: a name of at most [`Order::WORDS_MAX`] bytes.
    pub who: String,
    /// Why, for the record; may be empty, at most [`Order::WORDS_MAX`] bytes.
    pub why: String,
    /// When it ends by itself and the backend is on again, ms since 1970. Not for [`Change::On`].
    pub until_ms: Option<u64>,
    /// Also if no backend of the upstream is left in service.
    pub force: bool,
    /// The version of the table that the operator saw: if the switches have changed since, the order is refused. `None`: whatever has changed.
    pub seen: Option<u64>,
}

impl Order {
    /// Most bytes of who and why, each.
    pub const WORDS_MAX: usize = 300;
}

/// A change of a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "change")]
pub enum Change {
    /// It serves, and is judged by how it does.
    On,
    /// It gets no new agents and apps; those that name it still reach it.
    Drain,
    /// It gets nothing.
    Off,
    /// It keeps this part of its weight.
    Weight {
        /// From 1 to 100.
        percent: u32,
    },
}

impl Change {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Drain => "drain",
            Self::Off => "off",
            Self::Weight { .. } => "weight",
        }
    }
}

/// Why an order was not carried out; nothing has changed then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "refused")]
pub enum Refused {
    /// There is no such backend.
    #[error("there is no backend {backend} in upstream {upstream}: see the table for those there are")]
    Unknown {
        /// The upstream.
        upstream: String,
        /// The backend.
        backend: String,
    },
    /// The upstream would be left without a backend in service.
    #[error(
        "{backend} is the last one of {upstream} in service: without it nobody is served; force it if that is meant"
    )]
    Last {
        /// The upstream.
        upstream: String,
        /// The backend.
        backend: String,
    },
    /// Somebody has switched something meanwhile.
    #[error("the switches have changed since this table was shown: look again")]
    Changed,
    /// The order cannot be.
    #[error("{why}")]
    Bad {
        /// What is wrong with it.
        why: String,
    },
    /// The front did not do it.
    #[error("{why}")]
    Failed {
        /// What went wrong, and what to do.
        why: String,
    },
}

/// What became of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// The order's name.
    pub id: String,
    /// A sentence that says what is so now; or why not.
    pub outcome: Result<String, Refused>,
}

/// What a controller parks at the monitor, `POST /front`: how things are, and what became of the last orders. Signed like a report,
/// with an `X-IWP-Nonce`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Parked {
    /// How things are.
    pub table: Table,
    /// What became of the orders of the last answer.
    pub done: Vec<Done>,
}

/// What the monitor answers: at once if there are orders, else when it wants to know again. Signed under the method `ANSWER` with
/// the question's `X-IWP-Nonce`, as answers between instances are: whoever sits at the monitor's address cannot give orders without the key.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Waiting {
    /// What is to be done.
    pub orders: Vec<Order>,
    /// The backends of which [`Table::heat`](super::Table::heat) is wanted.
    pub heat: Vec<Place>,
}

impl Parked {
    /// The path at the monitor.
    pub const PATH: &str = "/front";
    /// The longest that the monitor holds a call, in ms.
    pub const HELD_MAX_MS: u64 = 10_000;
}
