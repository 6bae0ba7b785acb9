//! Round-robin archives of what the instances of a fleet did, minute by minute, and charts of them.
//!
//! - [`Archives`]: one file of librrd for each instance, with the sources and archives of the original service, so that its tools read
//!   them. All files belong to one writer thread. A late sample fills its minute; one from the future waits for its time.
//! - [`Charts`]: pictures and tables of numbers, made when asked for by a process of their own, as librrd's drawing is not safe
//!   across threads, and a damaged file must not take the monitor down.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use switchboard_archive::{Archives, ChartRequest, Charts, Program};
//!
//! let archives = Archives::open("var/archives".as_ref())?;
//! archives.write("eu.example.net/8081", 1_700_000_040, &Default::default()).await?;
//! let charts = Charts::new(&archives, Program::this(["draw"])?);
//! let request = ChartRequest::new("cpu.1h.png".parse()?, vec!["eu.example.net/8081".into()], 1_700_000_040);
//! let picture = charts.draw(&request).await?;
//! # Ok(()) }
//! ```
//!
//! Which files there are, and what is promised about order: `docs/decisions/0020-archives.md`; about drawing: `0021-drawing.md`.

mod archives;
mod chart;
mod error;
mod file_name;
mod layout;
mod order;
mod rrd_file;
mod store;
mod tail;
mod writer;

pub use archives::{Archives, Problem, Written, workers_in};
pub use chart::{
    Band, ChartKind, ChartName, ChartRequest, Charts, DrawError, Format, InvalidChartName, Mark, MarkKind,
    Period, Picture, Program, Reason, Row, Size, Source, Table, Theme, Unit, serve_drawing,
};
pub use error::ArchiveError;
