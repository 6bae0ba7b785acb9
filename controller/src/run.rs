//! A controller is put together, and ends with all its tasks.

use std::sync::Arc;

use switchboard_fleet::{
    KeyRing,
    config::Config,
    front::{Nginx, Table},
};
use switchboard_nginx::{Front, Site};
use switchboard_worker::Reporter;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

use crate::{
    ControllerError, Files,
    checks::{self, Addresses},
    clock::now_ms,
    controller::{Controller, Lines, Parts},
    files::{Jobs, Placed},
    kept::{Kept, Store},
    local::{Desk, Local},
    module::Module,
    park::{Ends, Park},
    rules::Rules,
    saving::adopted,
    second::{self, Second},
    voice::Voice,
};

/// Most questions that wait for the next step of the loop.
const ASKS: usize = 256;
/// Most checks that wait for it.
const OUTCOMES: usize = 1024;

/// Controls the front of this server until `stop`. Needs a tokio runtime of either flavour; one thread is enough. `ready` is called after
/// the first look, when the socket listens. Relative paths of `config` start at the current folder.
///
/// # Errors
/// It cannot start: another one runs, its state is damaged, or something is not there. [`ControllerError::Outdated`]: whoever runs it is to
/// start it again with the configuration of now.
pub async fn run(
    config: Config,
    keys: KeyRing,
    reporter: Option<Reporter>,
    ready: impl FnOnce(),
    stop: impl Future<Output = ()>,
) -> Result<(), ControllerError> {
    let files = Arc::new(Front::new(&config)?);
    run_with(config, keys, reporter, files, ready, stop).await
}

/// The same with another way to nginx's files.
///
/// # Errors
/// As [`run`].
pub async fn run_with(
    config: Config,
    keys: KeyRing,
    reporter: Option<Reporter>,
    files: Arc<dyn Files>,
    ready: impl FnOnce(),
    stop: impl Future<Output = ()>,
) -> Result<(), ControllerError> {
    let site = Site::of(&config)?;
    let (store, kept) = Store::open(&config.front_dir())?;
    let begun = second::begin(&config, &keys).await?;
    let mut kept = match kept {
        Some(kept) => kept,
        // A second front's switches are those of the first.
        None if begun.is_some() => Kept::default(),
        None => adopted(&config, &files.switches()?, now_ms()),
    };
    let placed = Placed { ports: config.instances.iter().copied().collect(), switches: files.switches()? };
    kept.members.wake(now_ms());
    let rules = Rules::new(&config, std::mem::take(&mut kept.healths))?;
    let local = Local::bind(&config.controller_socket())?;
    let share = match config.front.share {
        Some(address) => Some(second::Share::bind(address, &keys).await?),
        None => None,
    };
    let line = config.front.follow.map(|address| second::Line::new(address, &keys));

    let voice = Voice(reporter);
    let (asks, asked) = mpsc::channel(ASKS);
    let (second_asks, second_asked) = mpsc::channel(ASKS);
    let (outcome, outcomes) = mpsc::channel(OUTCOMES);
    let (table, shown) = watch::channel(Arc::new(empty(&config)));
    let (addresses, asked_addresses) = watch::channel(Addresses::from([]));
    let (heat, wanted_heat) = watch::channel(Vec::new());
    let (parked, is_parked) = watch::channel(None);
    let park = config.monitor_url().map(|url| {
        let ends = Ends { table: shown.clone(), asks: asks.clone(), heat, parked, voice: voice.clone() };
        Park::new(&url, keys, ends)
    });
    let park = park.transpose()?;

    let health = &config.health;
    let (every, within) = (health.check_every.get(), health.check_within.get());
    // They end when this is dropped.
    let mut tasks = JoinSet::new();
    tasks.spawn(checks::run(asked_addresses, every, within, outcome));
    let mut controller = Controller::new(Parts {
        jobs: Jobs::new(files),
        placed: Some(placed),
        module: Module::new(site.control(&config)),
        pid_file: site.pid_file(),
        lines: Lines { asks: asked, outcomes, table, addresses, heat: wanted_heat, parked: is_parked },
        voice,
        kept,
        store,
        rules,
        second: Second::new(&config, begun, second_asked),
        config,
    });
    controller.second_begins().await;
    controller.look().await;
    controller.second_is_written().await;
    tasks.spawn(local.serve(Desk { asks, table: shown }));
    if let Some(park) = park {
        tasks.spawn(park.run());
    }
    if let Some(share) = share {
        tasks.spawn(share.serve(second_asks.clone()));
    }
    if let Some(line) = line {
        tasks.spawn(second::follow(line, second_asks));
    }
    ready();
    controller.live(stop).await;
    tasks.shutdown().await;
    if controller.is_to_begin_anew() { Err(ControllerError::Outdated) } else { Ok(()) }
}

/// What is known before the first look.
fn empty(config: &Config) -> Table {
    Table {
        front: config.front_name(),
        at_ms: 0,
        version: 0,
        nginx: Nginx::default(),
        slots: None,
        panic: None,
        wrong: Vec::new(),
        upstreams: Vec::new(),
        heat: Vec::new(),
        happened: Vec::new(),
    }
}
