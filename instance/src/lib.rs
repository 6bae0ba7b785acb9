//! The relay service of one port.
//!
//! The modules in the order in which a request meets them:
//!
//! | module | what happens there |
//! |---|---|
//! | [`run`] | an instance starts, serves, drains |
//! | `server`, `connection`, `wire` | a connection is accepted, read, timed, and stopped where its bytes stop being HTTP |
//! | `service`, `route`, `caller`, `refusal` | a request finds its route; who calls, and may they |
//! | `agents` | an agent registers, connects, parks a poll |
//! | `meeting`, [`exchange`] | an app finds its agent's poll, or waits for it |
//! | `transact`, `running`, `reply`, [`transactions`], `spool` | request and reply cross, piece by piece |
//! | `between`, [`peers`], `greeter`, `lookup`, [`verdict`], [`directory`], `news`, `outbox`, `outgoing` | the rest of the fleet |
//! | `ids`, `refill`, `grants`, `vault`, `marks`, `handover` | customer IDs: given, asked for, granted; the ledgers, and what is known of them; the master moves |
//! | `status`, `statistics`, `minute`, `period`, `counters`, `seldom` | what the instance shows of itself |
//!
//! `wire::head`, `wire::body`, [`exchange`], [`transactions`], [`verdict`], [`directory`] and [`peers`] are pure: no socket, task or clock.

mod agents;
mod announcement;
mod between;
mod caller;
mod connection;
mod counters;
pub mod directory;
pub mod exchange;
#[doc(hidden)]
pub mod fuzzing;
mod grants;
mod greeter;
mod handover;
mod hub;
mod ids;
mod lookup;
mod marks;
mod meeting;
mod minute;
mod news;
mod outbox;
mod outgoing;
pub mod peers;
mod period;
mod presence;
mod refill;
mod refusal;
mod registrations;
mod reply;
mod route;
pub mod run;
mod running;
mod seldom;
mod server;
mod service;
mod spool;
mod statistics;
mod status;
mod tls;
mod transact;
pub mod transactions;
mod vault;
pub mod verdict;
mod wire;

pub use outgoing::{Call, CallError, Outgoing};
pub use route::FleetRoute;
pub use run::{StartError, run};
