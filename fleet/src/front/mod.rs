//! What the controller of a front shows of its backends, and what it is told to do with them.
//!
//! A [`Table`] goes from the controller to whoever looks: the command line, by the controller's socket; the pages, by the monitor, at
//! which each controller parks a call ([`Parked`]). The answers carry [`Order`]s the other way.

mod backend;
mod capacity;
mod order;
mod table;

pub use backend::{Answers, Backend, BackendState, Checked, Failed, Spread, Switched, Times};
pub use capacity::Capacity;
pub use order::{Change, Done, Order, Parked, Place, Refused, Waiting};
pub use table::{Happened, Heat, Member, Nginx, Panic, Slots, Table, Upstream};
