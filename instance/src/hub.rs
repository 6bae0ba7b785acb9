//! What all tasks of one instance share. There is one thread, so there are no locks; no borrow is held across a wait.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bytes::{Bytes, BytesMut};
use http::Response;
use rand::{RngExt, rngs::StdRng};
use switchboard_fleet::{CustomerId, InstanceName, KeyRing, ServerName, config::Config, snapshot::State};
use tokio::sync::Semaphore;

use crate::{
    agents,
    counters::Counters,
    directory::{Directory, Location},
    exchange::{Exchange, Rules},
    ids::Ids,
    marks::Ledgers,
    meeting::AppHandle,
    outbox::Outbox,
    outgoing::Outgoing,
    peers::{Peer, Peers},
    period::Periods,
    refusal::Refusal,
    registrations::Registrations,
    running::ReplyEnd,
    transactions::{RequestId, Transactions},
    wire::{speaker::Speaker, watch::Lines},
};

/// Questions to the fleet under way at a time. Each goes to every server, so that strangers asking for IDs that do not
/// exist could otherwise make this instance flood the others.
const LOOKUPS_MAX: usize = 256;

/// An answer to a call.
pub(crate) type Answer = Response<Bytes>;

/// One instance.
pub(crate) struct Hub {
    pub(crate) config: Config,
    pub(crate) own: InstanceName,
    pub(crate) keys: KeyRing,
    pub(crate) exchange: RefCell<Exchange<Speaker, AppHandle>>,
    pub(crate) transactions: RefCell<Transactions<ReplyEnd>>,
    pub(crate) directory: RefCell<Directory>,
    pub(crate) peers: RefCell<Peers>,
    pub(crate) ids: Ids,
    pub(crate) ledgers: RefCell<Ledgers>,
    pub(crate) outgoing: Outgoing,
    pub(crate) outbox: Outbox,
    pub(crate) registrations: Registrations,
    pub(crate) lookups: Semaphore,
    /// Questions of apps that are being worked on, until the answer begins.
    pub(crate) questions: Cell<usize>,
    pub(crate) counters: Counters,
    pub(crate) periods: Periods,
    pub(crate) lines: Rc<Lines>,
    pub(crate) state: Cell<State>,
    /// Set when the time of a draining instance is up: nobody waits any more.
    pub(crate) ending: Cell<bool>,
    started: Instant,
    random: RefCell<StdRng>,
    sibling_turn: Cell<usize>,
}

impl Hub {
    /// An instance that has not heard of anyone yet.
    pub(crate) fn new(config: Config, port: u16, keys: KeyRing, ids: Ids, outgoing: Outgoing) -> Rc<Self> {
        let own = config.instance_name(port);
        let now = Instant::now();
        let rules = Rules {
            parked_per_id: config.limits.parked_per_id,
            waiting_per_id: config.limits.waiting_per_id,
            cache: config.timeouts.cache.get(),
        };
        let mut servers: Vec<ServerName> = config.servers.clone();
        servers.push(config.master.server.clone());
        let siblings = config.instances.iter().copied();
        let peers = Peers::new(own.clone(), servers, siblings, config.limits.max_instance_failed, now);
        Rc::new(Self {
            exchange: RefCell::new(Exchange::new(rules)),
            transactions: RefCell::default(),
            directory: RefCell::new(Directory::new(config.limits.locations)),
            peers: RefCell::new(peers),
            ids,
            ledgers: RefCell::default(),
            outgoing,
            outbox: Outbox::default(),
            registrations: Registrations::new(config.limits.registrations_per_minute),
            lookups: Semaphore::new(LOOKUPS_MAX),
            questions: Cell::new(0),
            counters: Counters::default(),
            periods: Periods::default(),
            lines: Lines::new(
                config.limits.buffer_bytes.max(config.limits.header_bytes),
                config.limits.buffered_bytes,
            ),
            state: Cell::new(State::Starting),
            ending: Cell::new(false),
            started: now,
            random: RefCell::new(rand::make_rng()),
            sibling_turn: Cell::new(0),
            config,
            own,
            keys,
        })
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.state.get() == State::Draining
    }

    pub(crate) fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    pub(crate) fn fresh_request_id(&self) -> RequestId {
        RequestId(self.random.borrow_mut().random())
    }

    /// Begins an answer on another's line, which ends with it if this instance does. `write` writes its head.
    pub(crate) fn begin(&self, speaker: &Speaker, write: impl FnOnce(&mut BytesMut)) {
        if self.is_draining() {
            speaker.line().end_after_this();
        }
        speaker.begin(write);
    }

    /// The agent of `id` is here from now on: noted, and told to the fleet.
    pub(crate) fn settle(self: &Rc<Self>, id: CustomerId) {
        self.exchange.borrow_mut().seen(id, Instant::now());
        let since = self.directory.borrow_mut().settle(id, &self.own, now_ms());
        self.outbox.announce_to_all(id, since);
    }

    /// Whether, as far as is known here, the agent of `id` connected to this instance last.
    pub(crate) fn is_settled(&self, id: CustomerId) -> bool {
        self.directory.borrow().get(id).is_some_and(|location| location.place == self.own)
    }

    /// Another instance says that the agent of `id` is at `place`.
    pub(crate) fn heard_of(&self, id: CustomerId, place: &InstanceName, since: u64) {
        let news = self.directory.borrow_mut().hear(id, place, since, now_ms());
        if news && *place != self.own {
            let waiting = self.exchange.borrow_mut().moved(id);
            waiting.into_iter().for_each(AppHandle::moved);
        }
    }

    /// A peer that was not there before has called, answered, or been named: it is told of every agent that is here.
    pub(crate) fn peer_came(self: &Rc<Self>, peer: &Peer) {
        self.peers.borrow_mut().greet_soon(peer);
        self.outbox.meet(peer);
        let here: Vec<CustomerId> = self.exchange.borrow().present(Instant::now()).collect();
        for id in here.into_iter().filter(|id| self.is_settled(*id)) {
            if let Some(location) = self.directory.borrow().get(id) {
                self.outbox.announce(peer, &self.own, id, location.since);
            }
        }
    }

    /// Where the agent of `id` is, if that is another instance which may be expected to answer.
    pub(crate) fn elsewhere(&self, id: CustomerId) -> Option<Location> {
        let location = self.directory.borrow().get(id)?;
        (location.place != self.own && self.peers.borrow().is_alive(&location.place)).then_some(location)
    }

    /// A sibling that may take an agent over; another one each time.
    pub(crate) fn hint(&self) -> Option<u16> {
        let ports: Vec<u16> = self.peers.borrow().ports().collect();
        let turn = self.sibling_turn.get();
        self.sibling_turn.set(turn.wrapping_add(1));
        ports.get(turn.checked_rem(ports.len())?).copied()
    }

    /// Tells everyone who still waits that the time is up.
    pub(crate) fn cut_waiting(&self) {
        self.ending.set(true);
        let waiting = self.exchange.borrow_mut().take_waiting();
        waiting.into_iter().for_each(AppHandle::moved);
        // Each is dropped when nothing is borrowed: a transaction that ends looks for itself in the table.
        let asking = self.transactions.borrow_mut().take_waiting();
        for app in asking {
            app.refuse(self, Refusal::busy("this instance ended before the agent answered"));
        }
    }

    /// Releases every parked poll, so that the agents go to a sibling.
    pub(crate) fn release_polls(&self) {
        let polls = self.exchange.borrow_mut().release_all();
        for poll in polls {
            poll.decline(agents::leave(self));
        }
    }
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
