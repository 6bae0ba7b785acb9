//! A whole controller against a stand-in for nginx's module, a stand-in for the monitor, and instances that answer as told.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod health;
mod hostile;
mod members;
mod module;
mod monitor;
mod orders;
mod stage;
