//! When something is worth telling: incidents, and what is told of each.
//!
//! An incident is one thing wrong at one place ([`Kind`], server), with the workers concerned as its members. It is one thread of
//! letters: opened, told again when workers join, when some leave and the grace period is over, now and then while it lasts, and
//! recovered. What changes too often is told once as unstable and then left alone until it is calm.

mod condition;
mod event;
mod history;
mod incident;
mod look;
mod silence;
mod trouble;
mod view;

pub use event::{Change, Event, Facts, Kind, Member};
pub use incident::Incident;
pub use look::{Alerts, Rules, SilenceRefused};
pub use silence::{Covers, Silence};
pub use view::{Panicked, Reach, View};

/// The default of [`Rules::down_after_ms`].
pub const DOWN_AFTER_MS: u64 = 6 * MINUTE_MS;
/// More changes than these within an hour are unrest.
pub const CHANGES_MAX: usize = 6;
/// Unrest ends after so long without a change, in ms.
pub const CALM_MS: u64 = 30 * MINUTE_MS;
/// A panic is an open matter for so long, in ms.
pub const PANIC_LASTS_MS: u64 = HOUR_MS;

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
