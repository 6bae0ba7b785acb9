//! The two clients of a Switchboard fleet.
//!
//! An [`Agent`] sits at a desktop behind NAT: it keeps a poll parked at the closest server, answers what apps
//! ask, and moves on by itself when its instance or server goes. An [`App`] finds the agent of a customer ID
//! and asks it something. Neither ever holds a whole body.
//!
//! The files in the order in which data meets them: `http` and `patient` (connections), `wire` (what answers
//! mean), `nearest` and `route` (which server), `agent/` (identity, polls, replies), `app/` (finding and asking).

mod agent;
mod app;
mod body;
mod http;
mod meter;
mod nearest;
mod patient;
mod route;
mod wire;

pub use agent::{Agent, AgentConfig, AgentError, Parked, Service, StateError};
pub use app::{App, AppConfig, CallError, Upload, UploadError};
pub use body::{Body, BoxError};
