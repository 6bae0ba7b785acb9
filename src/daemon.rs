//! What programs that stay have in common: their log, and when they end.

use std::{
    fs,
    io::{self, IsTerminal, Read},
    path::Path,
    thread,
};

use anyhow::{Context, anyhow};
use switchboard_worker::Reporter;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};
use tracing_appender::{
    non_blocking::{NonBlocking, WorkerGuard},
    rolling::{RollingFileAppender, Rotation},
};
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};

use crate::error::Failure;

/// The environment variable that says what is logged, in the syntax of `tracing`'s filters.
const LOG_VARIABLE: &str = "SWITCHBOARD_LOG";
/// Days of which the log is kept.
const LOG_FILES_MAX: usize = 30;

/// Resolves when the program shall end: SIGTERM, Ctrl-C, or, if its life hangs on its parent's, the end of standard input.
///
/// # Errors
/// The system's, if signals cannot be waited for.
pub(crate) fn stop(exit_with_parent: bool) -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let parent = exit_with_parent.then(end_of_input);
    Ok(async move {
        let parent_gone = async {
            match parent {
                Some(gone) => drop(gone.await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = parent_gone => {}
        }
    })
}

/// Resolves when standard input ends. A thread reads it, as the runtime would not end before its own read did.
fn end_of_input() -> oneshot::Receiver<()> {
    let (held, gone) = oneshot::channel();
    thread::spawn(move || {
        let _ = io::copy(&mut io::stdin().lock().by_ref(), &mut io::sink());
        drop(held);
    });
    gone
}

/// Sets up the log: what the filter lets through goes to a file a day beside `file`, which is a link to the newest; standard error if there is none.
/// What the guard still holds is written when it is dropped. The monitor hears of it through `reporter`, whatever the filter says.
pub(crate) fn log_to(
    file: Option<&Path>,
    reporter: Option<&Reporter>,
) -> Result<Option<WorkerGuard>, Failure> {
    let filter = EnvFilter::builder()
        .with_env_var(LOG_VARIABLE)
        .with_default_directive(tracing_subscriber::filter::LevelFilter::INFO.into())
        .from_env()
        .map_err(|_| anyhow!("{LOG_VARIABLE}: not a filter; try `info` or `switchboard_instance=debug`"))
        .map_err(Failure::Configuration)?;
    let log = tracing_subscriber::fmt::layer();
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
        .max_log_files(LOG_FILES_MAX)
        .build(folder)
        .with_context(cannot)?;
    let (writer, guard) = NonBlocking::new(appender);
    registry.with(log.with_ansi(false).with_writer(writer).with_filter(filter)).init();
    Ok(Some(guard))
}
