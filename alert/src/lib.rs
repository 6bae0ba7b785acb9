//! What an admin is told of a fleet, and how.
//!
//! Three parts, each usable without the others:
//! - [`rules`]: what is known of each worker and the time in, [`Event`](rules::Event)s out. Pure.
//! - [`letter`]: an event in, an e-mail out. Pure.
//! - [`post`]: an outbox on disk and the way to the mail server.
//!
//! One look a minute, by a program that keeps the state:
//! ```no_run
//! # use switchboard_alert::{letter::Writer, post::Outbox, rules::{Alerts, Reach, Rules, View}};
//! # fn views() -> Vec<View> { Vec::new() }
//! # fn store(_: &Alerts) {}
//! # fn look(alerts: &mut Alerts, rules: &Rules, writer: &Writer, outbox: &Outbox, now_ms: u64) -> Result<(), Box<dyn std::error::Error>> {
//! let reach = Reach { own: true, others: None };
//! for event in alerts.look(rules, now_ms, &views(), reach) {
//!     if let Some(letter) = writer.write(&event, None)? {
//!         outbox.put(&letter, now_ms)?;
//!     }
//! }
//! store(alerts);
//! # Ok(()) }
//! ```
//! In this order: a crash before `store` leaves the old state, from which the same letters follow with the same names, and the outbox
//! has each name once.

pub mod letter;
pub mod post;
pub mod rules;
