//! What programs reported to the monitor: taken once, kept durably, found again.
//!
//! A [`Journal`] is a folder with a database (SQLite). [`Journal::take`] returns when the reports of a batch are on the disk, and says
//! which of them are new. Samples are for the archives: they stay until they are [`Journal::filed`], and are found again with
//! [`Journal::unfiled`] after a crash. Log lines, starts, stops and panics stay, to be searched ([`Journal::lines`]). Of what a worker
//! says of itself the newest word is kept, and of its numbers which ones are missing ([`Journal::lives`]).
//!
//! ```no_run
//! # async fn example(batch: switchboard_fleet::report::Batch, now_ms: u64) -> Result<(), Box<dyn std::error::Error>> {
//! use switchboard_journal::{Arrival, Journal, Standing};
//!
//! let (journal, memory) = Journal::open("var/monitor/journal".as_ref(), now_ms)?;
//! journal.regive().await?;
//! let receipt = journal.take(Arrival { batch, heard_ms: now_ms, standing: Standing::Known }).await?;
//! println!("{} workers known, {} new reports", memory.workers.len(), receipt.fresh.len());
//! # Ok(()) }
//! ```
//!
//! The rules of numbers (`seen`) and of gaps (`gap`) are pure. Why it is as it is: `docs/decisions/0023-the-journal.md`.

mod arrival;
mod database;
mod error;
mod gap;
mod incidents;
mod intake;
mod journal;
mod keep;
mod kind;
mod lines;
mod lives;
mod memory;
mod readers;
mod rows;
mod schema;
mod seen;
mod spans;
mod writer;

#[cfg(test)]
mod fault_tests;

pub use arrival::{Arrival, LINE_BYTES, Receipt, Standing, UNKNOWN_LINE_BYTES, UNKNOWN_LINES};
pub use error::{JournalError, TakeError};
pub use gap::Why;
pub use incidents::{INCIDENTS_MAX, IncidentPlace, IncidentRow, Letter, Step};
pub use journal::Journal;
pub use lines::{InvalidLineId, LINES_MAX, Line, LineId, LineQuery, What};
pub use lives::{Gap, LIVES_SHOWN, Life, MISSING_SHOWN, Mark, Pending, PendingId};
pub use memory::{Memory, Remembered};
pub use seen::Missing;

/// Most workers that are remembered.
pub const WORKERS_MAX: u32 = 10_000;
/// Most workers that are remembered and were never in the configuration.
pub const UNKNOWN_MAX: u32 = 100;
/// Such workers are forgotten when they were not heard for so many ms: 7 days.
pub const UNKNOWN_KEPT_MS: u64 = 7 * 86_400_000;
