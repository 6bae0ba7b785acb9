//! Whatever dies and whenever: no ID is given twice, and no ledger is lost.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod disk;
mod event;
mod histories;
mod matrix;
mod world;
