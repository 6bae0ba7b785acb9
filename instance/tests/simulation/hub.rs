//! One instance: the pure types, and what binds them together as `instance/src/hub.rs` and `agents.rs` do.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::{Duration, Instant},
};

use switchboard_fleet::{CustomerId, InstanceName};
use switchboard_instance::{
    directory::{Directory, Location},
    exchange::{Exchange, Found, Rules, Ticket},
    peers::Peers,
    transactions::{RequestId, Transactions},
};
use tokio::sync::oneshot;

use crate::{
    gossip::{self, Outbox},
    transact::{ENDING, HandedRequest, ReplyTo},
    world::World,
};

/// As in `run.rs`.
const SWEEP_EVERY: Duration = Duration::from_secs(5);
const GOODBYE_MAX: Duration = Duration::from_millis(500);
const HANDOVER_MIN: Duration = Duration::from_millis(500);
const FLUSH: Duration = Duration::from_millis(100);
/// Few, so that the bounds are met.
const PARKED_PER_ID: usize = 4;
const WAITING_PER_ID: usize = 16;
const FAILURES_MAX: u32 = 5;

/// What a parked poll is answered with.
pub(crate) enum Handout {
    Request(HandedRequest),
    Replaced,
    Leave,
}

/// A parked poll.
pub(crate) struct PollHandle {
    /// Newer polls have greater numbers.
    pub(crate) number: u64,
    pub(crate) to: oneshot::Sender<Handout>,
}

/// A waiting app.
pub(crate) struct AppHandle {
    pub(crate) number: u64,
    pub(crate) to: oneshot::Sender<Turn>,
}

/// What happens to a waiting app.
pub(crate) enum Turn {
    Poll(PollHandle),
    Moved,
}

/// What a poll brings its agent.
pub(crate) enum Polled {
    Request(HandedRequest),
    Nothing,
    /// Nothing, and not to come back; there is a sibling.
    Leave(Option<InstanceName>),
}

/// What each customer's places were said to be.
type Heard = BTreeMap<CustomerId, BTreeSet<(u64, InstanceName)>>;

/// One instance.
pub(crate) struct Hub {
    pub(crate) world: Rc<World>,
    pub(crate) machine: usize,
    pub(crate) own: InstanceName,
    pub(crate) exchange: RefCell<Exchange<PollHandle, AppHandle>>,
    pub(crate) transactions: RefCell<Transactions<ReplyTo>>,
    pub(crate) directory: RefCell<Directory>,
    pub(crate) peers: RefCell<Peers>,
    pub(crate) outbox: Outbox,
    pub(crate) heard: RefCell<Heard>,
    /// Questions of apps that are being worked on.
    pub(crate) questions: Cell<usize>,
    draining: Cell<bool>,
    pub(crate) ending: Cell<bool>,
    sibling_turn: Cell<usize>,
}

impl Hub {
    pub(crate) fn new(world: &Rc<World>, machine: usize) -> Rc<Self> {
        let place = &world.machines[machine];
        let rules =
            Rules { parked_per_id: PARKED_PER_ID, waiting_per_id: WAITING_PER_ID, cache: world.timers.cache };
        let siblings =
            world.servers[place.server].machines.iter().map(|sibling| world.machines[*sibling].name.port);
        let peers =
            Peers::new(place.name.clone(), place.configured.clone(), siblings, FAILURES_MAX, world.instant());
        Rc::new(Self {
            world: world.clone(),
            machine,
            own: place.name.clone(),
            exchange: RefCell::new(Exchange::new(rules)),
            transactions: RefCell::default(),
            directory: RefCell::new(Directory::new(world.locations)),
            peers: RefCell::new(peers),
            outbox: Outbox::default(),
            heard: RefCell::default(),
            questions: Cell::new(0),
            draining: Cell::new(false),
            ending: Cell::new(false),
            sibling_turn: Cell::new(0),
        })
    }

    pub(crate) fn now(&self) -> Instant {
        self.world.instant()
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.world.clock_ms(self.machine)
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    pub(crate) fn fresh_request_id(&self) -> RequestId {
        RequestId(u128::from(self.world.random.next()) << 64 | u128::from(self.world.random.next()))
    }

    fn told(&self, id: CustomerId, place: &InstanceName, since: u64) {
        self.heard.borrow_mut().entry(id).or_default().insert((since, place.clone()));
    }

    /// The agent of `id` is here from now on: noted, and told to the fleet.
    pub(crate) fn settle(self: &Rc<Self>, id: CustomerId) {
        self.exchange.borrow_mut().seen(id, self.now());
        let since = self.directory.borrow_mut().settle(id, &self.own, self.now_ms());
        self.told(id, &self.own, since);
        self.world.trace(|| format!("{} has {id} since {since}", self.own));
        self.outbox.announce_to_all(self, &self.own, id, since);
    }

    pub(crate) fn is_settled(&self, id: CustomerId) -> bool {
        self.directory.borrow().get(id).is_some_and(|location| location.place == self.own)
    }

    /// Another instance says that the agent of `id` is at `place`.
    pub(crate) fn heard_of(&self, id: CustomerId, place: &InstanceName, since: u64) {
        // No clock here is ahead by so much that the moment would not be believed.
        self.told(id, place, since);
        let news = self.directory.borrow_mut().hear(id, place, since, self.now_ms());
        if news && *place != self.own {
            for app in self.exchange.borrow_mut().moved(id) {
                // An app that has just gone needs no telling.
                let _ = app.to.send(Turn::Moved);
            }
        }
    }

    /// Where the agent of `id` is, if that is another instance which may be expected to answer.
    pub(crate) fn elsewhere(&self, id: CustomerId) -> Option<Location> {
        let location = self.directory.borrow().get(id)?;
        (location.place != self.own && self.peers.borrow().is_alive(&location.place)).then_some(location)
    }

    /// Whether the agent of `id` is at this instance: a poll is parked, or expected back.
    pub(crate) fn is_here(&self, id: CustomerId) -> bool {
        !self.is_draining()
            && self.is_settled(id)
            && self.exchange.borrow().look(id, self.now()) != Found::Nobody
    }

    fn hint(&self) -> Option<InstanceName> {
        let ports: Vec<u16> = self.peers.borrow().ports().collect();
        let turn = self.sibling_turn.get();
        self.sibling_turn.set(turn.wrapping_add(1));
        let port = *ports.get(turn.checked_rem(ports.len())?)?;
        Some(InstanceName { server: self.own.server.clone(), port })
    }

    /// `/connect`. `None` while draining.
    pub(crate) fn connect(self: &Rc<Self>, id: CustomerId) -> Option<InstanceName> {
        if self.is_draining() {
            return None;
        }
        self.settle(id);
        Some(self.own.clone())
    }

    /// `/agent/PORT`.
    pub(crate) async fn poll(self: Rc<Self>, id: CustomerId) -> Polled {
        if self.is_draining() {
            return Polled::Leave(self.hint());
        }
        if !self.is_settled(id) {
            self.settle(id);
        }
        let kernel = self.world.kernel.clone();
        let deadline = kernel.now() + self.world.timers.agent;
        loop {
            let (to, handed) = oneshot::channel();
            let _parked = park(&self, id, PollHandle { number: kernel.number(), to });
            match kernel.timeout(deadline.saturating_sub(kernel.now()), handed).await {
                Some(Ok(Handout::Request(request))) => {
                    request.head_sent.set(true);
                    return Polled::Request(request);
                }
                Some(Err(_)) => {}
                Some(Ok(Handout::Leave)) => return Polled::Leave(self.hint()),
                Some(Ok(Handout::Replaced)) | None => return Polled::Nothing,
            }
        }
    }

    /// Ends as an instance does that was told to: polls go to a sibling, what runs is finished, or cut in the end.
    pub(crate) async fn drain(self: Rc<Self>) {
        let (kernel, began) = (self.world.kernel.clone(), self.world.kernel.now());
        self.draining.set(true);
        self.world.trace(|| format!("{} drains", self.own));
        kernel.timeout(GOODBYE_MAX, gossip::say_goodbye(&self)).await;
        let mut polls = self.exchange.borrow_mut().release_all();
        // They come in no order; the same seed must take the same steps.
        polls.sort_by_key(|poll| poll.number);
        for poll in polls {
            let _ = poll.to.send(Handout::Leave);
        }
        loop {
            let running = self.questions.get() + self.transactions.borrow().len();
            let age = kernel.now() - began;
            if age >= self.world.timers.drain || (running == 0 && age >= HANDOVER_MIN) {
                break;
            }
            kernel.sleep(Duration::from_millis(20)).await;
        }
        self.cut_waiting();
        kernel.sleep(FLUSH).await;
    }

    /// Tells everyone who still waits that the time is up.
    fn cut_waiting(&self) {
        self.ending.set(true);
        let mut apps = self.exchange.borrow_mut().take_waiting();
        apps.sort_by_key(|app| app.number);
        for app in apps {
            let _ = app.to.send(Turn::Moved);
        }
        let mut apps = self.transactions.borrow_mut().take_waiting();
        apps.sort_by_key(|app| app.number);
        for app in apps {
            let _ = app.to.send(Err(ENDING));
        }
    }
}

/// Gives the poll to the app that waits longest, or parks it.
fn park(hub: &Rc<Hub>, id: CustomerId, poll: PollHandle) -> Option<Parked> {
    let serve = |app: AppHandle, poll| match app.to.send(Turn::Poll(poll)) {
        Err(Turn::Poll(back)) => Err(back),
        _ => Ok(()),
    };
    let parked = hub.exchange.borrow_mut().arrive(id, poll, hub.now(), serve)?;
    if let Some(replaced) = parked.replaced {
        let _ = replaced.to.send(Handout::Replaced);
    }
    Some(Parked { hub: hub.clone(), id, ticket: parked.ticket })
}

/// A poll in the exchange, taken out on drop.
struct Parked {
    hub: Rc<Hub>,
    id: CustomerId,
    ticket: Ticket,
}

impl Drop for Parked {
    fn drop(&mut self) {
        self.hub.exchange.borrow_mut().unpark(self.id, self.ticket, self.hub.now());
    }
}

/// Forgets customers of whom nothing is left, now and then.
pub(crate) async fn sweep_forever(hub: Rc<Hub>) {
    loop {
        hub.world.kernel.sleep(SWEEP_EVERY).await;
        hub.exchange.borrow_mut().sweep(hub.now());
    }
}
