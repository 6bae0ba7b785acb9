//! The log, on standard error and to the monitor itself.

use std::io::{self, IsTerminal};

use anyhow::anyhow;
use switchboard_worker::Reporter;
use tracing_subscriber::{
    EnvFilter, Layer as _, filter::LevelFilter, layer::SubscriberExt, util::SubscriberInitExt,
};

use crate::error::Failure;

/// The environment variable that says what is logged, in the syntax of `tracing`'s filters.
const VARIABLE: &str = "SWITCHBOARD_LOG";

/// Sets it up.
///
/// # Errors
/// The variable holds no filter.
pub(crate) fn start(reporter: Option<&Reporter>) -> Result<(), Failure> {
    let filter = EnvFilter::builder()
        .with_env_var(VARIABLE)
        .with_default_directive(LevelFilter::INFO.into())
        .from_env()
        .map_err(|_| {
            Failure::Configuration(anyhow!(
                "{VARIABLE}: not a filter; try `info` or `switchboard_monitor=debug`"
            ))
        })?;
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        // What cannot be written, as when the disk behind it is full, must not end whoever says it.
        .log_internal_errors(false)
        .with_filter(filter);
    tracing_subscriber::registry().with(lines).with(reporter.map(Reporter::layer)).init();
    Ok(())
}
