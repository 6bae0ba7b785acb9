//! `front control`: the front's controller in the foreground.

use std::io::{self, Write};

use switchboard_controller::run as control;
use switchboard_daemon::{Outcome, log_to, stop};
use switchboard_fleet::{KeyRing, config::Config, report::WorkerKind};
use switchboard_worker::{Subject, Worker};
use tokio::runtime::{Builder, LocalOptions};

use crate::reporting::{self, Identity};

/// Arguments of `front control`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// End when standard input does, as it does when the process that holds its other end dies.
    #[arg(long, hide = true)]
    exit_with_parent: bool,
}

/// Runs until SIGTERM or Ctrl-C. nginx goes on without it.
pub(super) fn run(config: Config, args: &Args) -> Outcome {
    let keys = KeyRing::read(&config.key_file)?;
    let identity = Identity {
        name: "controller".into(),
        kind: WorkerKind::Controller,
        subject: Subject::Own,
        address: String::new(),
        spool: config.front_dir().join("controller-spool"),
    };
    let (worker, fault) = match reporting::start(&config, keys.clone(), identity) {
        Ok(worker) => (worker, None),
        Err(error) => (None, Some(error)),
    };
    let reporter = worker.as_ref().map(Worker::reporter);
    let _written_until_the_end = log_to(None, reporter.as_ref())?;
    if let Some(error) = fault {
        tracing::warn!("{error:#}");
    }
    let socket = config.controller_socket();
    // The parent reads this line; without a reader the controller serves all the same.
    let ready = move || drop(writeln!(io::stdout(), "listening on {}", socket.display()));
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    let ended = runtime.block_on(async {
        let stop = stop(args.exit_with_parent)?;
        control(config, keys, reporter, ready, stop).await.map_err(anyhow::Error::from)
    });
    runtime.shutdown_background();
    // Last, so that the end is told when it is one.
    drop(worker);
    Ok(ended?)
}
