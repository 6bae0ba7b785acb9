//! A real nginx with the module, small backends behind it, and callers in front.
//!
//! Run by `scripts/module.sh test`, which says in SWITCHBOARD_MODULE where the module is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "load/backend.rs"]
mod backend;
#[path = "load/caller.rs"]
mod caller;
#[path = "load/counts.rs"]
mod counts;
#[path = "load/front.rs"]
mod front;
#[path = "load/lease.rs"]
mod lease;
#[path = "load/members.rs"]
mod members;
#[path = "load/reloads.rs"]
mod reloads;
#[path = "load/routes.rs"]
mod routes;
#[path = "load/soak.rs"]
mod soak;
#[path = "load/switches.rs"]
mod switches;
