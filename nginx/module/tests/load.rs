//! A real nginx with the module, small backends behind it, and callers in front.
//!
//! Run by `scripts/module.sh test`, which says in SWITCHBOARD_MODULE where the module is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "load/backend.rs"]
mod backend;
#[path = "load/counts.rs"]
mod counts;
#[path = "load/front.rs"]
mod front;
#[path = "load/reloads.rs"]
mod reloads;
#[path = "load/switches.rs"]
mod switches;
