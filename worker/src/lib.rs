//! What a program of the fleet needs to report to the monitor, and all that it needs:
//!
//! ```no_run
//! # fn main() -> std::io::Result<()> {
//! use switchboard_fleet::report::WorkerKind;
//! use switchboard_worker::{Bounds, Config, Subject, Worker};
//!
//! let worker = Worker::start(Config {
//!     worker: "eu.example.net/8081".into(),
//!     kind: WorkerKind::Instance,
//!     subject: Subject::Own,
//!     address: "127.0.0.1:8081".into(),
//!     version: env!("CARGO_PKG_VERSION").into(),
//!     monitor: "http://127.0.0.1:8090".into(),
//!     keys: None,
//!     spool: "run/spool/8081".into(),
//!     bounds: Bounds::default(),
//! })?;
//! // ... the program's work ...
//! worker.stop();
//! # Ok(())
//! # }
//! ```
//!
//! From `start` on the monitor hears that the program has started, every 3 s how it is, what it logs (through
//! [`Reporter::layer`]), what it says is wrong with it ([`Reporter::wrong`]), its panics, and at the end that it stops.
//!
//! # The way of a report
//! A caller puts it into a bounded queue, where it gets its number ([`Reporter`], `queue.rs`), and goes on: a caller never
//! waits for the monitor, nor for a disk. One thread of the library's own (`sender.rs`) takes the queue every second into
//! memory (`recent.rs`) and sends it from there. What the monitor has not taken within a second goes to files
//! (`spool.rs`) and is sent from there, oldest first, also by the next life of the program, with the times and numbers it
//! had. The exception is a panic: the thread that panics writes it to a file itself, so that it outlives an abort.
//!
//! # What is promised
//! - Every report has a number. Those thrown away, as queue or disk were full, have one too: so the monitor sees the gap,
//!   and [`WorkerState::lost`](switchboard_fleet::report::WorkerState::lost) counts them.
//! - What is on disk is sent until the monitor says that it has it; the monitor may get it twice, with the same number.
//! - The end of the process, however sudden, costs at most what about a second brought. The files are not flushed to the
//!   disk itself: the end of the machine may cost more.
//! - Queue, memory and disk are bounded by [`Bounds`].

mod answer;
mod backlog;
mod client;
mod config;
mod file_name;
mod folder;
mod group;
mod layer;
mod line;
mod pace;
mod panics;
mod queue;
mod recent;
mod reporter;
mod sender;
mod spool;
mod vitals;
mod worker;
mod wrong;

pub use config::{Bounds, Config, Subject};
pub use layer::ReportLayer;
pub use reporter::Reporter;
pub use worker::Worker;
