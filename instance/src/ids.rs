//! The customer IDs of this instance: where the next one comes from, and what is given to others.
//!
//! IDs leave the ledger in blocks, on disk before any of them is given, so that a registration costs no write and a crash
//! costs a gap, never a repeat. What a ledger does blocks, so it happens on the runtime's blocking threads.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::HeaderMap;
use switchboard_fleet::{CustomerId, InstanceName, header};
use switchboard_range::{IdRange, Ledger, LedgerError};
use tokio::{
    sync::Notify,
    time::{interval, timeout},
};

use crate::{
    caller::number,
    hub::Hub,
    outgoing::{Call, CallError},
    peers::Peer,
    route::{FleetRoute, Level},
};

/// Most IDs taken from the ledger at a time, and so lost when the process is killed.
const BLOCK_MAX: u64 = 100;
/// How long a registration waits for a block that is on its way.
const WAIT_MAX: Duration = Duration::from_secs(2);
/// How often it is looked whether more should be asked for.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A caller may ask for so many times the configured size at once.
const GRANT_SIZES_MAX: u64 = 100;

/// A ledger, shared with the blocking threads.
type Shared = Arc<Mutex<Ledger>>;

/// The IDs of one instance.
pub(crate) struct Ids {
    own: Shared,
    /// The fleet's, if this instance is the master.
    master: Option<Shared>,
    /// Taken from the ledger and not given yet.
    block: RefCell<VecDeque<IdRange>>,
    ledger_left: Cell<u64>,
    master_left: Cell<Option<u64>>,
    filling: Cell<bool>,
    filled: Notify,
}

impl Ids {
    pub(crate) fn new(own: Ledger, master: Option<Ledger>) -> Self {
        Self {
            ledger_left: Cell::new(own.left()),
            master_left: Cell::new(master.as_ref().map(Ledger::left)),
            own: Arc::new(Mutex::new(own)),
            master: master.map(|ledger| Arc::new(Mutex::new(ledger))),
            block: RefCell::default(),
            filling: Cell::new(false),
            filled: Notify::new(),
        }
    }

    /// IDs of this instance's own range that are not given yet.
    pub(crate) fn left(&self) -> u64 {
        self.ledger_left.get().saturating_add(self.block_left())
    }

    /// IDs of the fleet's range that are not granted yet, at the master.
    pub(crate) fn master_left(&self) -> Option<u64> {
        self.master_left.get()
    }

    /// The next new customer's ID; `None` if there is none right now: more have been asked for.
    pub(crate) async fn next(&self, hub: &Rc<Hub>) -> Option<CustomerId> {
        loop {
            let filled = self.filled.notified();
            if let Some(id) = self.pop() {
                if self.block_left() < self.block_size(hub) / 2 {
                    fill_soon(hub);
                }
                return Some(id);
            }
            fill_soon(hub);
            if self.ledger_left.get() == 0 || timeout(WAIT_MAX, filled).await.is_err() {
                return None;
            }
        }
    }

    /// Gives another instance a range: from the master's ledger at the master; else from the master by asking it, for a
    /// server-level call; else a tenth of what is left here. `None` if there is nothing to give.
    pub(crate) async fn grant(&self, hub: &Rc<Hub>, size: u64, level: Level) -> Option<IdRange> {
        let size = size.min(hub.config.range.size.saturating_mul(GRANT_SIZES_MAX));
        if let Some(master) = &self.master {
            let granted = on_disk(master, move |ledger| ledger.take(size)).await;
            self.look_at_master();
            return granted;
        }
        if level == Level::Server {
            let deadline = hub.config.timeouts.lookup.get() / 2;
            if let Ok(Ok(granted)) = timeout(deadline, ask_master(hub, size)).await {
                return granted;
            }
        }
        let tenth = (self.ledger_left.get() / 10).min(size);
        let granted = on_disk(&self.own, move |ledger| ledger.cut(tenth)).await;
        self.look_at_own();
        granted
    }

    fn pop(&self) -> Option<CustomerId> {
        let mut block = self.block.borrow_mut();
        let range = block.pop_front()?;
        if let Some(second) = CustomerId::new(range.first().get().wrapping_add(1))
            && let Some(rest) = IdRange::new(second, range.last())
        {
            block.push_front(rest);
        }
        Some(range.first())
    }

    fn block_left(&self) -> u64 {
        self.block.borrow().iter().map(|range| range.count()).sum()
    }

    fn block_size(&self, hub: &Hub) -> u64 {
        (hub.config.range.size / 10).clamp(1, BLOCK_MAX)
    }

    fn look_at_own(&self) {
        self.ledger_left.set(lock(&self.own).left());
    }

    fn look_at_master(&self) {
        self.master_left.set(self.master.as_ref().map(|master| lock(master).left()));
    }

    fn needs_block(&self, hub: &Hub) -> bool {
        self.block_left() < self.block_size(hub) / 2 + 1 && self.ledger_left.get() > 0
    }

    fn needs_range(&self, hub: &Hub) -> bool {
        lock(&self.own).needs_more(hub.config.range.refill_below, hub.config.range.size)
    }
}

/// Keeps the IDs coming until the instance ends.
pub(crate) async fn keep_filled(hub: Rc<Hub>) {
    let mut looks = interval(LOOK_EVERY);
    loop {
        looks.tick().await;
        if hub.ids.needs_block(&hub) || hub.ids.needs_range(&hub) {
            fill_soon(&hub);
        }
    }
}

/// Fills up in the background, once at a time.
fn fill_soon(hub: &Rc<Hub>) {
    if hub.ids.filling.replace(true) {
        return;
    }
    let hub = hub.clone();
    // One at a time; it ends when every peer has been asked once.
    tokio::task::spawn_local(async move {
        fill(&hub).await;
        hub.ids.filling.set(false);
        hub.ids.filled.notify_waiters();
    });
}

async fn fill(hub: &Rc<Hub>) {
    let ids = &hub.ids;
    take_block(hub).await;
    ids.filled.notify_waiters();
    if !ids.needs_range(hub) {
        return;
    }
    if let Some(range) = acquire(hub).await {
        on_disk(&ids.own, move |ledger| ledger.add(range).map(|()| Some(range))).await;
        ids.look_at_own();
        take_block(hub).await;
    }
}

async fn take_block(hub: &Rc<Hub>) {
    let ids = &hub.ids;
    if ids.needs_block(hub) {
        let size = ids.block_size(hub);
        let block = on_disk(&ids.own, move |ledger| ledger.take(size)).await;
        ids.look_at_own();
        ids.block.borrow_mut().extend(block);
    }
}

/// Asks for a range, in the protocol's order: the master, each other server, each sibling.
async fn acquire(hub: &Rc<Hub>) -> Option<IdRange> {
    let size = hub.config.range.size;
    if let Some(master) = &hub.ids.master {
        let granted = on_disk(master, move |ledger| ledger.take(size)).await;
        hub.ids.look_at_master();
        if granted.is_none() {
            tracing::error!(
                "the fleet's range of customer IDs is used up: no new customer can be registered"
            );
        }
        return granted;
    }
    match ask_master(hub, size).await {
        Ok(Some(range)) => return Some(range),
        Ok(None) => tracing::warn!("the master has no customer IDs to give"),
        Err(error) => tracing::debug!(%error, "the master does not answer"),
    }
    let (mut servers, siblings): (Vec<Peer>, Vec<Peer>) =
        hub.peers.borrow().alive().cloned().partition(|peer| matches!(peer, Peer::Server(_)));
    servers.extend(siblings);
    for peer in servers {
        let answer = hub.outgoing.call(&peer, FleetRoute::Range, asking(size)).await;
        hub.judge(&peer, &answer);
        if let Some(range) = answer.ok().and_then(|answer| granted(&answer)) {
            return Some(range);
        }
    }
    None
}

async fn ask_master(hub: &Rc<Hub>, size: u64) -> Result<Option<IdRange>, CallError> {
    let master: &InstanceName = &hub.config.master;
    if *master == hub.own {
        return Ok(None);
    }
    let answer = hub.outgoing.call_instance(master, FleetRoute::Range, asking(size)).await?;
    Ok(granted(&answer))
}

fn asking(size: u64) -> Call {
    let mut headers = HeaderMap::new();
    headers.insert(header::RANGE_SIZE, size.into());
    Call { headers, ..Call::default() }
}

fn granted(answer: &HeaderMap) -> Option<IdRange> {
    let from = number(answer, &header::RANGE_FROM).ok()??;
    let to = number(answer, &header::RANGE_TO).ok()??;
    IdRange::from_numbers(from, to)
}

/// Changes a ledger on a blocking thread. A change that fails is logged, and nothing is given.
async fn on_disk(
    ledger: &Shared,
    change: impl FnOnce(&mut Ledger) -> Result<Option<IdRange>, LedgerError> + Send + 'static,
) -> Option<IdRange> {
    let ledger = ledger.clone();
    let done = tokio::task::spawn_blocking(move || change(&mut lock(&ledger))).await;
    match done {
        Ok(Ok(range)) => range,
        Ok(Err(error)) => {
            tracing::error!(%error, "customer IDs cannot be taken");
            None
        }
        Err(error) => {
            tracing::error!(%error, "customer IDs cannot be taken");
            None
        }
    }
}

/// A ledger writes before it changes, so that one left by a panic is still right.
fn lock(ledger: &Shared) -> std::sync::MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}
