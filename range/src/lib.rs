//! Ranges of customer IDs: who may give which ID to a new customer.
//!
//! No ID is ever given twice. [`Holdings`] says by pure rules which IDs are given next; [`Ledger`] keeps them in a
//! file and has written down what is given before it is given. An instance's ledger holds the ranges granted to
//! it, the master's what is left of the whole fleet's range.

mod disk;
mod ledger;
mod rules;
mod text;

pub use ledger::{Ledger, LedgerError};
pub use rules::{AddError, Holdings, IdRange};
pub use text::{Kind, Record};
