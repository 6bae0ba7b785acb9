//! What every program of a Switchboard fleet agrees on: customer IDs, names of servers, wire headers,
//! keys with the tokens and signatures made from them, configuration, and the status snapshot.
//!
//! No sockets and no tasks live here: everything takes values and gives values, so that the relay, the
//! front and the command line can share it without sharing a runtime.

pub mod config;
pub mod front;
pub mod header;
mod id;
mod key;
mod name;
pub mod report;
mod seal;
pub mod snapshot;

pub use id::{CustomerId, InvalidCustomerId, number};
pub use key::{Age, KeyFileError, KeyRing, SIGNATURE_MAX_AGE, SignatureError};
pub use name::{InstanceName, InvalidInstanceName, InvalidServerName, ServerName};
pub use seal::{NotOpened, Seal};
