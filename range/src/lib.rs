//! Ranges of customer IDs: who may give which ID to a new customer.
//!
//! No ID is ever given twice. [`Holdings`] says by pure rules which IDs are given next; [`Ledger`] keeps them in a
//! file and has written down what is given before it is given. An instance's ledger holds the ranges granted to
//! it, the master's what is left of the whole fleet's range.

#[cfg(test)]
mod crash;
mod disk;
mod error;
mod fence;
mod handover;
mod ledger;
mod mark;
mod master;
mod order;
mod pace;
mod postgres;
mod repair;
mod rules;
#[cfg(test)]
mod simulation;
mod sizing;
mod text;

pub use error::LedgerError;
pub use fence::{Fence, Fenced};
pub use handover::Handover;
pub use ledger::Ledger;
pub use mark::{InvalidMark, Mark};
pub use order::Scattered;
pub use pace::{Pace, Stalls};
pub use postgres::{PgStore, StoreError, StoreState};
pub use repair::{Repaired, Salvage, repair_instance, repair_master, salvage};
pub use rules::{AddError, Holdings, IdRange};
pub use sizing::Sizing;
pub use text::{Kind, Moved, Record};
