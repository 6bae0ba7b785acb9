//! What the nginx module knows of backends, without nginx: how an attempt ended, the records that several processes
//! count in at once, the questions asked of it, and its answers.

mod force;
mod histogram;
mod json;
mod outcome;
mod place;
mod ports;
mod query;
mod record;

pub use force::{Configured, InForce};
pub use histogram::{BOUNDS_MS, Histogram, Spread};
pub use json::{Bare, Json};
pub use outcome::{End, Outcome, Seen};
pub use place::{Part, Place};
pub use ports::{At, Meant, Ports, Refusal};
pub use query::{Order, Query, State, Wish};
pub use record::{Counts, Failure, Key, Record, Switch};
