//! The monitor's life: open what it keeps, listen, work, end.

use std::{
    io::{self, Write},
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, anyhow};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use switchboard_alert::{
    letter::Writer,
    post::{MailServer, Outbox, Postman},
    rules::Alerts,
};
use switchboard_archive::{Archives, Charts, Program};
use switchboard_daemon::{Failure, Outcome, log_to, stop};
use switchboard_fleet::{
    KeyRing,
    config::{self, Config},
    report::WorkerKind,
};
use switchboard_journal::{Journal, Memory};
use switchboard_worker::{Bounds, Config as WorkerConfig, Subject, Worker};
use tokio::{net::TcpListener, sync::oneshot, task::JoinSet, time::timeout};

use crate::{
    caller::Caller,
    clock::now_ms,
    control::Control,
    desk::{Desk, Parts},
    draw, filing,
    logins::Logins,
    looking, mail,
    roster::Roster,
    upkeep,
    watched::Watched,
    web,
};

/// Answers that are under way when the end comes get so long.
const ENDING: Duration = Duration::from_secs(2);

/// Arguments without a command.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// End when standard input ends, as it does when the process that holds its other end dies.
    #[arg(long, hide = true)]
    exit_with_parent: bool,
}

/// Runs until SIGTERM or Ctrl-C.
pub(crate) fn run(config: &Path, args: Args) -> Outcome {
    let config = config::load(config)?;
    // A connection is a file, and so is each archive: what a login shell allows is not enough for both.
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(live(config, args));
    // What still blocks a thread, such as a name that is being looked up, is not waited for.
    runtime.shutdown_background();
    ended
}

async fn live(config: Config, args: Args) -> Outcome {
    let stop = stop(args.exit_with_parent)?;
    let keys = KeyRing::read(&config.key_file)?;
    let writer = Writer::new(&config.alert, &config.server, Some(&config.monitor_page()))
        .map_err(|error| Failure::Configuration(error.into()))?;
    let mail_server = MailServer::parse(config.alert.smtp.expose(), config.server.host())
        .map_err(|error| Failure::Configuration(error.into()))?;
    let logins = Logins::new(&config.monitor.admins).map_err(|error| Failure::Configuration(error.into()))?;
    let listener = listen(config.monitor.listen).await?;
    let address = listener.local_addr()?;
    let (journal, memory) = Journal::open(&config.monitor_dir(), now_ms())?;
    let worker = report_itself(&config, &keys, address);
    let _written_until_the_end = log_to(None, worker.as_ref().map(Worker::reporter).as_ref())?;
    let archives = Archives::open(&config.monitor.archives)?;
    let charts = Charts::new(&archives, Program::this([draw::DRAW])?);
    let outbox = Outbox::open(&config.monitor_dir().join("outbox"))?;
    let control = Control::bind(&config.monitor_dir())?;
    let alerts = alerts(&memory)?;
    journal.regive().await?;
    let roster = Roster::new(memory.workers);
    let desk = Arc::new(Desk::new(Parts {
        config,
        keys,
        journal,
        archives,
        charts,
        alerts,
        writer,
        outbox,
        roster,
        logins,
    }));

    let mut tasks = JoinSet::new();
    let own = own_url(address);
    let postman = Postman::new(desk.outbox.clone(), mail_server);
    tasks.spawn(filing::forever(desk.clone()));
    tasks.spawn(upkeep::live(desk.clone()));
    tasks.spawn(upkeep::tidy(desk.clone()));
    tasks.spawn(looking::forever(desk.clone(), Caller::new()?, own));
    tasks.spawn(mail::forever(desk.clone(), postman));
    tasks.spawn(control.serve(desk.clone()));
    let (end, ended) = oneshot::channel();
    let mut server = tokio::spawn(web::serve(listener, desk.clone(), ended));
    tracing::info!(%address, "ready");
    // The parent reads this line; without a reader the monitor serves all the same.
    let _ = writeln!(io::stdout(), "listening on {address}");
    let ended_well = tokio::select! {
        () = stop => Ok(()),
        _ = &mut server => Err(failed()),
        // None of them ends by itself. Whoever started this program starts it again.
        _ = tasks.join_next() => Err(failed()),
    };
    tracing::info!("stopping");
    // While the listener is still there, so that this monitor hears that it stops.
    drop(tokio::task::spawn_blocking(move || drop(worker)).await);
    drop(end);
    desk.fronts.close();
    if !server.is_finished() {
        let _ = timeout(ENDING, server).await;
    }
    tasks.shutdown().await;
    desk.journal.alive(now_ms()).await;
    Ok(ended_well?)
}

fn failed() -> anyhow::Error {
    anyhow!("a part of the monitor failed: the lines above say which; it ends, to be started again")
}

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}; stop what uses it, or choose another (`monitor.listen`)")
    })
}

/// What was told before; nothing, if this monitor is new.
fn alerts(memory: &Memory) -> anyhow::Result<Alerts> {
    let now_ms = now_ms();
    let Some(text) = &memory.alerts else { return Ok(Alerts::new(now_ms)) };
    let mut alerts: Alerts = serde_json::from_str(text)
        .context("the journal's memory of incidents cannot be read: was it written by a newer version?")?;
    alerts.restarted(now_ms);
    Ok(alerts)
}

/// The monitor is a worker too, and reports to itself. Without that it does the rest of its work.
fn report_itself(config: &Config, keys: &KeyRing, address: SocketAddr) -> Option<Worker> {
    let started = Worker::start(WorkerConfig {
        worker: Watched::new(config).monitor(),
        kind: WorkerKind::Monitor,
        address: address.to_string(),
        version: env!("CARGO_PKG_VERSION").into(),
        monitor: own_url(address),
        keys: Some(keys.clone()),
        spool: config.monitor_dir().join("spool"),
        subject: Subject::Own,
        bounds: Bounds::default(),
    });
    match started {
        Ok(worker) => Some(worker),
        Err(error) => {
            warn(&format!("the monitor does not report about itself: {error}"));
            None
        }
    }
}

/// How the monitor reaches itself.
fn own_url(address: SocketAddr) -> String {
    let port = address.port();
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => format!("http://127.0.0.1:{port}"),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => format!("http://[::1]:{port}"),
        address => format!("http://{address}"),
    }
}

#[allow(clippy::print_stderr, reason = "the log is not there yet")]
fn warn(text: &str) {
    eprintln!("switchboard-monitor: {text}");
}
