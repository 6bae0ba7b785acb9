//! What the nginx module knows of backends, without nginx: how an attempt ended, the records that several processes
//! count in at once, the questions asked of it, and its answers.

mod histogram;
mod json;
mod outcome;
mod query;
mod record;

pub use histogram::{BOUNDS_MS, Histogram, Spread};
pub use json::Json;
pub use outcome::{End, Outcome, Seen};
pub use query::{Query, State, Wish};
pub use record::{Counts, Failure, Key, Record, Switch};
