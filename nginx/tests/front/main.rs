//! The front, rendered and real: what nginx is told, what it does with traffic, how it is changed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests fail as tests do")]

mod apply;
mod render;
mod scene;
mod tls;
mod traffic;
