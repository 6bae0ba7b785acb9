//! When a backend of the front is taken out, and how it comes back. Pure: no clock, socket, task or file.
//!
//! About once a second the caller says what it [observed](Observed) of each backend; [`Health`] answers with [`Event`]s, each with its
//! reason in one sentence, and knows the weight that each backend is to have now. What an operator has [switched](Switch) always wins.
//!
//! ```
//! use switchboard_health::{Cause, Counts, Failures, Health, Kind, Limits, Observed};
//!
//! let limits = Limits::default();
//! limits.check()?;
//! let (mut health, mut now_ms) = (Health::new(0), 0);
//! health.sync(&limits, now_ms, ["10.0.0.1:80", "10.0.0.2:80"])?;
//! let mut events = Vec::new();
//! for _ in 0..2 {
//!     now_ms += 1000;
//!     let bad = Counts { requests: 40, failures: Failures::of(&[(Cause::ReadTimeout, 12)]) };
//!     let good = Counts { requests: 40, failures: Failures::default() };
//!     let observed = [Observed::counts("10.0.0.1:80", bad), Observed::counts("10.0.0.2:80", good)];
//!     events.extend(health.look(&limits, now_ms, &observed));
//! }
//! assert_eq!(events.len(), 1);
//! assert_eq!(events[0].kind, Kind::Ejected);
//! assert_eq!(events[0].why, "24 of 80 requests failed within 2 s (30 %, limit 20 %): 24 read timeouts");
//! assert_eq!(health.standing("10.0.0.1:80").map(|standing| standing.weight_percent), Some(0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The way of a look: [`observed`](Observed) → `window` and `memory` (what is known of one backend) → `fault` (what speaks against it) →
//! `health` (who goes, who comes back, or panic mode) → `words`.

mod event;
mod fault;
mod health;
mod limits;
mod memory;
mod observed;
mod operator;
mod share;
mod standing;
mod window;
mod words;

pub use event::{Event, Kind};
pub use health::Health;
pub use limits::{BadLimit, Limits};
pub use observed::{Cause, Check, Counts, Failures, Observed};
pub use operator::Refused;
pub use standing::{Panic, Standing, State, Switch};

/// Most backends of one front.
pub const BACKENDS_MAX: usize = 5000;
/// Longest name of a backend, in bytes.
pub const NAME_BYTES_MAX: usize = 300;
