//! `switchboard agent`: a desktop agent in the foreground.

use std::{
    future::Future,
    io::{self, IsTerminal},
    path::PathBuf,
    time::Duration,
};

use anyhow::Context;
use clap::ArgGroup;
use http::Uri;
use switchboard_client::{Agent, AgentConfig, Parked, Service};
use switchboard_daemon::Outcome;
use switchboard_fleet::{InvalidServerName, ServerName};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};
use tracing_subscriber::EnvFilter;

/// What `switchboard agent` is told.
#[derive(Debug, clap::Args)]
#[command(group(ArgGroup::new("service").required(true).args(["echo", "forward"])))]
pub(crate) struct Args {
    /// The servers of the fleet; the closest is used.
    #[arg(long = "server", value_name = "URL", required = true, num_args = 1.., value_parser = server_name)]
    servers: Vec<ServerName>,
    /// Answer each request with its own body.
    #[arg(long)]
    echo: bool,
    /// Pass requests to the HTTP service at this address.
    #[arg(long, value_name = "URL")]
    forward: Option<Uri>,
    /// Where the agent keeps its ID and token; made at the first start.
    #[arg(long, value_name = "FILE", default_value = "agent.json")]
    state: PathBuf,
    /// How often to look whether the instance still answers; 0: never.
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    watch: Duration,
    /// Also log moves between instances and servers.
    #[arg(long)]
    verbose: bool,
}

/// A server's name as people type it: `http://`, which goes without saying, and a slash at the end are dropped,
/// so that the name is the one that servers use among themselves.
pub(crate) fn server_name(text: &str) -> Result<ServerName, InvalidServerName> {
    let text = text.strip_prefix("http://").unwrap_or(text);
    text.strip_suffix('/').unwrap_or(text).parse()
}

/// Seconds from 0 to a day, with fractions.
pub(crate) fn seconds(text: &str) -> Result<Duration, &'static str> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=86400.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("not a number of seconds from 0 to 86400"),
    }
}

/// Runs until Ctrl-C or SIGTERM, then finishes the answers that run.
pub(crate) fn run(args: Args) -> Outcome {
    log_to_stderr(args.verbose);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(args))?;
    Ok(())
}

async fn serve(args: Args) -> anyhow::Result<()> {
    let stopped = stopped().context("signals cannot be handled")?;
    let service = args.forward.map_or(Service::Echo, Service::Forward);
    let agent =
        Agent::new(AgentConfig { watch: args.watch, ..AgentConfig::new(args.servers, args.state, service) })?;
    let parked = agent.parked();
    let mut running = std::pin::pin!(agent.run(stopped));
    tokio::select! {
        ended = &mut running => return Ok(ended?),
        () = announce(parked) => {}
    }
    Ok(running.await?)
}

/// Ctrl-C or SIGTERM. Handled from the call on, not only when awaited.
fn stopped() -> io::Result<impl Future<Output = ()>> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Says where the agent is parked the first time. Later moves are silent.
#[allow(clippy::print_stdout, reason = "this is where the command speaks to a person")]
async fn announce(mut parked: watch::Receiver<Option<Parked>>) {
    if let Ok(parked) = parked.wait_for(Option::is_some).await
        && let Some(Parked { id, at }) = &*parked
    {
        println!("agent ID {id} at {at}");
    }
}

fn log_to_stderr(verbose: bool) {
    let level = if verbose { "info,switchboard_client=debug" } else { "info" };
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(level))
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .init();
}
