//! The life of an instance: start, serve, drain.

use std::{
    io::{self, Write},
    net::SocketAddr,
    path::PathBuf,
    rc::Rc,
    time::{Duration, Instant},
};

use switchboard_fleet::{KeyFileError, KeyRing, config::Config, snapshot::State};
use switchboard_range::{Kind, Ledger, LedgerError, PgStore, StoreError};
use switchboard_worker::Reporter;
use tokio::{
    net::TcpListener,
    task::{AbortHandle, spawn_local},
    time::{interval, sleep, sleep_until, timeout},
};

use crate::{
    grants::Source,
    greeter,
    hub::Hub,
    ids::Ids,
    marks, minute, outbox,
    outgoing::Outgoing,
    presence, refill, server, statistics, tls,
    vault::Vault,
    wire::standing::{Patience, TICK},
};

/// Connections waiting to be accepted; the kernel has a bound of its own (`net.core.somaxconn`).
const BACKLOG: i32 = 4096;
/// How often customers are forgotten of whom nothing is left.
const SWEEP_EVERY: Duration = Duration::from_secs(5);
/// Peers get so long to hear that this instance is about to end.
const GOODBYE_MAX: Duration = Duration::from_millis(500);
/// Apps whose agent has just been sent to a sibling get so long to be told where it is.
const HANDOVER_MIN: Duration = Duration::from_millis(500);
/// After the drain, the last answers get so long to leave.
const FLUSH: Duration = Duration::from_millis(100);

/// Why an instance cannot start. Each is one line that says what, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The port is taken, or the address is not this machine's.
    #[error(
        "cannot listen on {address}: {cause}; stop what uses it, or choose another port (`instances`, `listen`)"
    )]
    Listen {
        /// Where it should have listened.
        address: SocketAddr,
        /// What the system said.
        cause: io::Error,
    },
    /// The fleet's key.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// A ledger of customer IDs.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The database of `range.store`.
    #[error("range.store: {0}")]
    Store(#[from] StoreError),
    /// The fleet's range is in a ledger and in a database.
    #[error("{}: range.store is set, and here is a ledger of the fleet's range as well: IDs might be given twice; move it away once its IDs are the database's (docs/operations.md)", .path.display())]
    TwoRanges {
        /// The ledger.
        path: PathBuf,
    },
    /// The folder for what must not be lost.
    #[error("{}: the folder cannot be made ({cause}); create it, or change `state_dir`", .path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// Certificate or key of direct HTTPS.
    #[error("listen.https: {0}")]
    Https(String),
    /// The system's own certificates, or its signals.
    #[error("the system refuses: {0}")]
    System(#[from] io::Error),
}

/// Runs the instance of `port` until `stop` ends, then drains it.
///
/// Prints `listening on ADDR` to standard output when it serves. With a `reporter` the monitor gets a sample every minute; starting
/// and stopping it is the caller's. Must be awaited on a `LocalRuntime` of tokio or within
/// a `LocalSet`: an instance has one thread.
///
/// # Errors
/// [`StartError`]; nothing has been served then.
pub async fn run(
    config: Config,
    port: u16,
    reporter: Option<Reporter>,
    stop: impl Future<Output = ()>,
) -> Result<(), StartError> {
    let keys = KeyRing::read(&config.key_file)?;
    let https = config.listen.https.as_ref();
    let tls = https.map(|https| tls::server_config(https).map(|config| (https.port, config))).transpose();
    let tls = tls.map_err(StartError::Https)?;
    let listener = listen(SocketAddr::new(config.listen.address, port))?;
    let tls = tls
        .map(|(port, tls)| listen(SocketAddr::new(config.listen.address, port)).map(|l| (l, tls)))
        .transpose()?;
    let ids = open_ids(&config, port)?;
    let outgoing = Outgoing::new(
        config.instance_name(port),
        config.listen.address,
        keys.clone(),
        config.timeouts.lookup.get(),
        !config.admit.legacy_peers.is_empty(),
    )?;
    let hub = Hub::new(config, port, keys, ids, outgoing);
    let address = listener.local_addr()?;
    let mut tasks = Tasks(vec![spawn_local(sweep_forever(hub.clone())).abort_handle()]);
    let lines = hub.lines.clone();
    tasks.0.push(spawn_local(async move { lines.turns.give_forever().await }).abort_handle());
    if let Some(path) = hub.config.stats_file.clone() {
        hub.periods.line.begin();
        tasks.0.push(spawn_local(statistics::write_forever(hub.clone(), path)).abort_handle());
    }
    if let Some(reporter) = reporter {
        hub.periods.minute.begin();
        tasks.0.push(spawn_local(minute::tell_forever(hub.clone(), reporter)).abort_handle());
    }
    if let Some((listener, tls)) = tls {
        let https_address = listener.local_addr()?;
        tracing::info!(%https_address, "listening by HTTPS");
        tasks.0.push(spawn_local(server::accept_forever(hub.clone(), listener, Some(tls))).abort_handle());
    }
    tasks.0.push(spawn_local(server::accept_forever(hub.clone(), listener, None)).abort_handle());
    marks::confirm(&hub).await?;
    tasks.0.push(spawn_local(outbox::tell_forever(hub.clone())).abort_handle());
    tasks.0.push(spawn_local(greeter::greet_forever(hub.clone())).abort_handle());
    tasks.0.push(spawn_local(refill::forever(hub.clone())).abort_handle());
    presence::join(&hub).await;
    hub.state.set(State::Ready);
    let joined = spawn_local(presence::join_forever(hub.clone())).abort_handle();
    tasks.0.push(joined.clone());
    tracing::info!(port, %address, master = hub.config.is_master(port), "ready");
    // The parent reads this line; without a reader the instance serves all the same.
    let _ = writeln!(io::stdout(), "listening on {address}");
    stop.await;
    joined.abort();
    // Before anyone is refused.
    presence::leave(&hub).await;
    drain(&hub).await;
    drop(tasks);
    Ok(())
}

fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    let bind = || {
        let domain = socket2::Domain::for_address(address);
        let socket = socket2::Socket::new(domain, socket2::Type::STREAM, Some(socket2::Protocol::TCP))?;
        // An instance that was just stopped must not block its own port.
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        TcpListener::from_std(socket.into())
    };
    bind().map_err(|cause| StartError::Listen { address, cause })
}

fn open_ids(config: &Config, port: u16) -> Result<Ids, StartError> {
    let (own, master) = (config.range_file(port), config.master_range_file(port));
    for path in [&own, &master] {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .map_err(|cause| StartError::Folder { path: folder.into(), cause })?;
        }
    }
    let own = Ledger::open(&own, Kind::Instance)?;
    let name = config.instance_name(port);
    let source = if let Some(url) = &config.range.store {
        if Ledger::read_only(&master).is_ok_and(|record| record.moved.is_none()) {
            return Err(StartError::TwoRanges { path: master });
        }
        Source::Store(Rc::new(PgStore::new(url.expose(), config.timeouts.lookup.get())?))
    } else if config.is_master(port) || master.exists() {
        let ledger = Ledger::open(&master, Kind::Master)?;
        Source::Ledger(Rc::new(Vault::new(ledger, name.clone())))
    } else {
        Source::Elsewhere
    };
    Ok(Ids::new(own, &name, source, &config.range))
}

/// Finishes what runs: polls go to a sibling, transactions get `timeouts.drain`, then connections end. The listening
/// socket closes last, with the tasks.
async fn drain(hub: &Rc<Hub>) {
    let began = Instant::now();
    hub.state.set(State::Draining);
    tracing::info!(port = hub.own.port, running = hub.transactions.borrow().len(), "draining");
    // Whoever is told first does not send the agents back here.
    let _ = timeout(GOODBYE_MAX, greeter::say_goodbye(hub)).await;
    hub.release_polls();
    let limit = hub.config.timeouts.drain.get();
    let mut looks = interval(Duration::from_millis(20));
    loop {
        looks.tick().await;
        let running = hub.transactions.borrow().len() + hub.questions.get();
        let age = began.elapsed();
        if age >= limit || (running == 0 && age >= HANDOVER_MIN.min(limit)) {
            tracing::info!(port = hub.own.port, cut = running, "drained");
            break;
        }
    }
    hub.cut_waiting();
    hub.lines.drain();
    sleep(FLUSH).await;
}

async fn sweep_forever(hub: Rc<Hub>) {
    let timeouts = &hub.config.timeouts;
    let patience = Patience {
        idle: timeouts.idle.get(),
        head: timeouts.head.get(),
        stall: timeouts.stall.get(),
        parked: timeouts.agent.get(),
        reply: timeouts.no_reply.get(),
    };
    let mut swept = Instant::now();
    let mut due = tokio::time::Instant::now();
    loop {
        sleep_until(due).await;
        let now = tokio::time::Instant::now();
        if now > due + TICK {
            // After a pause of the whole process nobody is late who had no chance to be heard.
            due = now;
        }
        // What a busy thread has put off is made up for, so that a round takes no longer for it.
        while due <= now {
            due += hub.lines.sweep(&patience);
        }
        if swept.elapsed() >= SWEEP_EVERY {
            swept = Instant::now();
            hub.exchange.borrow_mut().sweep(swept);
        }
    }
}

/// Tasks that end with the instance.
struct Tasks(Vec<AbortHandle>);

impl Drop for Tasks {
    fn drop(&mut self) {
        for task in &self.0 {
            task.abort();
        }
    }
}
