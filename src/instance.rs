//! `switchboard instance`: one instance in the foreground.

use std::{net::SocketAddr, path::Path};

use switchboard_daemon::{Outcome, log_to, stop};
use switchboard_fleet::{
    KeyRing,
    config::{Config, load_instance},
    report::{Level, LogLine, WorkerKind},
};
use switchboard_worker::{Subject, Worker};
use tokio::runtime::{Builder, LocalOptions};

use crate::reporting::{self, Identity};

/// Arguments of `switchboard instance`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The port that it listens on, and that names it.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// Drain when standard input ends, as it does when the process that holds its other end dies.
    #[arg(long, hide = true)]
    exit_with_parent: bool,
}

/// Runs the instance until SIGTERM or Ctrl-C, then drains it.
pub(crate) fn run(config: &Path, args: Args) -> Outcome {
    let config = load_instance(config, args.port)?;
    let keys = KeyRing::read(&config.key_file)?;
    let (worker, fault) = match reporting::start(&config, keys, identity(&config, args.port)) {
        Ok(worker) => (worker, None),
        Err(error) => (None, Some(error)),
    };
    let reporter = worker.as_ref().map(Worker::reporter);
    let _written_until_the_end = log_to(config.log_file.as_deref(), reporter.as_ref())?;
    if let Some(error) = fault {
        tracing::warn!("{error:#}");
    }
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    let ended = runtime.block_on(async {
        let stop = stop(args.exit_with_parent)?;
        switchboard_instance::run(config, args.port, reporter.clone(), stop)
            .await
            .map_err(anyhow::Error::from)
    });
    // What still blocks a thread, such as a name that is being resolved, is not waited for.
    runtime.shutdown_background();
    if let (Err(error), Some(reporter)) = (&ended, &reporter) {
        let message = format!("cannot start: {error:#}");
        reporter.log(LogLine { level: Level::Error, message, data: serde_json::Map::new() });
    }
    // Last, so that the end is told when it is one.
    drop(worker);
    Ok(ended?)
}

fn identity(config: &Config, port: u16) -> Identity {
    Identity {
        name: port.to_string(),
        kind: WorkerKind::Instance,
        subject: Subject::Own,
        address: SocketAddr::new(config.listen.address, port).to_string(),
        spool: config.instance_dir(port).join("spool"),
    }
}
