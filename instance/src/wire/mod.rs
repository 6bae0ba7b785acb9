//! HTTP/1.1 as an instance speaks it to agents, apps, the front and other instances: heads, bodies, answers, and the
//! lines that they cross.
//!
//! | module | what happens there |
//! |---|---|
//! | `socket` | plain TCP or TLS, one set of verbs |
//! | `standing`, `watch` | since when each line waits for what; the sweep |
//! | `line`, `traffic` | one connection: what was read and not used, what was said and not sent, who may speak |
//! | `head`, `body` | where messages begin and end; pure |
//! | `name`, `field` | headers as they came, and which of them travel on |
//! | `answer` | what the instance itself says |
//! | `speaker` | the right to answer on a line, wherever the answer comes from |
//! | `carry`, `pipe`, `turns` | a body from one line to another, piece by piece, and whose turn it is |
//!
//! Between requests a line is a socket, a few numbers and a small task: no buffer, no parser, no timer.

pub(crate) mod answer;
pub(crate) mod body;
pub(crate) mod carry;
pub(crate) mod field;
pub(crate) mod head;
pub(crate) mod line;
pub(crate) mod name;
pub(crate) mod pipe;
pub(crate) mod socket;
pub(crate) mod speaker;
pub(crate) mod standing;
mod traffic;
pub(crate) mod turns;
pub(crate) mod watch;
