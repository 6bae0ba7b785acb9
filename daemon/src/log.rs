//! Where a program logs.

use std::{
    fs,
    io::{self, IsTerminal},
    path::Path,
};

use anyhow::{Context, anyhow};
use switchboard_worker::Reporter;
use tracing_appender::{
    non_blocking::{NonBlocking, WorkerGuard},
    rolling::{RollingFileAppender, Rotation},
};
use tracing_subscriber::{
    EnvFilter, Layer, filter::LevelFilter, layer::SubscriberExt, util::SubscriberInitExt,
};

use crate::Failure;

/// The environment variable that says what is logged, in the syntax of `tracing`'s filters.
const VARIABLE: &str = "SWITCHBOARD_LOG";
/// Days of which the log is kept.
const FILES_MAX: usize = 30;

/// Sets up the log: what the filter lets through goes to a file a day beside `file`, which is a link to the newest; standard error if there is none.
///
/// What the guard still holds is written when it is dropped. The monitor hears of it through `reporter`, whatever the filter says.
///
/// # Errors
/// The variable `SWITCHBOARD_LOG` holds no filter, or the file cannot be written.
pub fn log_to(file: Option<&Path>, reporter: Option<&Reporter>) -> Result<Option<WorkerGuard>, Failure> {
    let filter = EnvFilter::builder()
        .with_env_var(VARIABLE)
        .with_default_directive(LevelFilter::INFO.into())
        .from_env()
        .map_err(|_| anyhow!("{VARIABLE}: not a filter; try `info` or `switchboard_instance=debug`"))
        .map_err(Failure::Configuration)?;
    // What cannot be written, as when the disk behind it is full, must not end whoever says it.
    let log = tracing_subscriber::fmt::layer().log_internal_errors(false);
    let registry = tracing_subscriber::registry().with(reporter.map(Reporter::layer));
    let Some(file) = file else {
        let log = log.with_ansi(io::stderr().is_terminal()).with_writer(io::stderr);
        registry.with(log.with_filter(filter)).init();
        return Ok(None);
    };
    let (folder, name) = file
        .parent()
        .zip(file.file_name().and_then(|name| name.to_str()))
        .ok_or_else(|| anyhow!("{}: log_file names no file", file.display()))?;
    let cannot = || format!("{}: the log cannot be written; change log_file or its folder", file.display());
    fs::create_dir_all(folder).with_context(cannot)?;
    let appender = RollingFileAppender::builder()
        .rotation(Rotation::DAILY)
        .filename_prefix(name)
        .latest_symlink(name)
        .max_log_files(FILES_MAX)
        .build(folder)
        .with_context(cannot)?;
    let (writer, guard) = NonBlocking::new(appender);
    registry.with(log.with_ansi(false).with_writer(writer).with_filter(filter)).init();
    Ok(Some(guard))
}
