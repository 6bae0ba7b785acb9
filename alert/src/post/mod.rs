//! The outbox and the way to the mail server.
//!
//! [`Outbox::put`] has a letter on disk when it returns. [`Postman`] takes it from there to the server, as often as it needs, and takes it off
//! the disk when the server has said that it has it. A letter whose sending broke off in the one moment in which nobody can know whether it was
//! accepted goes again, with the same Message-ID and `X-Switchboard-Repeat`.

mod disk;
mod entry;
mod outbox;
mod postman;
mod server;
mod session;

pub use outbox::{Outbox, PostError};
pub use postman::{Outcome, Postman, Round};
pub use server::{MailServer, MailServerError};

/// The pause after the first try that failed, in ms; each further one is twice as long.
pub const PAUSE_MIN_MS: u64 = 60_000;
/// The longest pause, in ms.
pub const PAUSE_MAX_MS: u64 = 3_600_000;
/// A letter that nobody took for so long is given up, in ms.
pub const PATIENCE_MS: u64 = 5 * 86_400_000;

/// The pause after `tries` tries that failed, in ms.
fn pause_ms(tries: u32) -> u64 {
    PAUSE_MIN_MS.saturating_mul(1 << tries.saturating_sub(1).min(10)).min(PAUSE_MAX_MS)
}
