//! Agents: they park a poll, answer what comes, and go elsewhere when their instance does not answer.

use std::{
    cell::{Cell, RefCell},
    future::pending,
    rc::Rc,
    time::Duration,
};

use switchboard_fleet::{CustomerId, InstanceName};
use tokio::sync::oneshot;

use crate::{
    hub::Polled,
    kernel::TaskId,
    network::{self, Caller, Trouble},
    transact::{self, HandedRequest},
    world::{World, count, customer},
};

/// As in the agent of `client/`.
const UNACKNOWLEDGED: Duration = Duration::from_secs(10);
const WATCH_EVERY: Duration = Duration::from_secs(1);
const WATCH_PATIENCE: Duration = Duration::from_millis(800);
const REPLY: Duration = Duration::from_secs(30);
const HINTS_MAX: u32 = 4;
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// A desktop.
pub(crate) struct Agent {
    pub(crate) id: CustomerId,
    world: Rc<World>,
    /// Where it is, and since when its polls there have not failed.
    at: RefCell<Option<(InstanceName, Duration)>>,
    life: Cell<Option<TaskId>>,
    poll: Cell<Option<TaskId>>,
    /// It is to look for another server.
    restless: Cell<bool>,
}

/// How a poll ended, for the loop that keeps one open.
enum PollEnd {
    /// A request came, and is being answered.
    Request,
    Nothing,
    Leave(Option<InstanceName>),
    Failed,
}

impl Agent {
    /// One that is not running yet.
    pub(crate) fn new(world: &Rc<World>, number: u64) -> Rc<Self> {
        Rc::new(Self {
            id: customer(number),
            world: world.clone(),
            at: RefCell::new(None),
            life: Cell::new(None),
            poll: Cell::new(None),
            restless: Cell::new(false),
        })
    }

    /// Where it has been parked without trouble at least so long.
    pub(crate) fn parked(&self, for_at_least: Duration) -> Option<InstanceName> {
        let at = self.at.borrow();
        let (place, since) = at.as_ref()?;
        (self.world.kernel.now() - *since >= for_at_least).then(|| place.clone())
    }

    pub(crate) fn start(self: &Rc<Self>) {
        if self.life.get().is_none() {
            self.life.set(Some(self.world.kernel.spawn(self.clone().live())));
        }
    }

    /// Ends; `silently`: without a word, as a desktop does that loses its power.
    pub(crate) fn stop(&self, silently: bool) {
        self.world.vanishing.set(silently);
        for task in [self.life.take(), self.poll.take()].into_iter().flatten() {
            self.world.kernel.abort(task);
        }
        self.world.vanishing.set(false);
        *self.at.borrow_mut() = None;
    }

    /// Its address changes: the old connection vanishes, it polls again where it was.
    pub(crate) fn change_address(&self) {
        self.world.trace(|| format!("the address of {} changes", self.id));
        self.world.vanishing.set(true);
        if let Some(task) = self.poll.take() {
            self.world.kernel.abort(task);
        }
        self.world.vanishing.set(false);
    }

    /// Another server may be closer now.
    pub(crate) fn wander(&self) {
        self.restless.set(true);
    }

    async fn live(self: Rc<Self>) {
        let (world, random) = (self.world.clone(), &self.world.random);
        let mut failures = 0;
        loop {
            let first = random.index(world.servers.len());
            let mut held = false;
            for n in 0..world.servers.len() {
                let server = (first + n) % world.servers.len();
                let within = Duration::from_secs([1, 2, 5][failures.min(2)]);
                let id = self.id;
                let hello = network::call_server(&world, Caller::Client, server, move |hub| async move {
                    hub.connect(id)
                });
                if let Some(Ok(Some(place))) = world.kernel.timeout(within, hello).await {
                    held = self.stay(place).await;
                    break;
                }
            }
            if held {
                failures = 0;
                continue;
            }
            failures += 1;
            let pause = PAUSE_MIN.saturating_mul(1 << failures.min(10)).min(PAUSE_MAX);
            world.kernel.sleep(random.millis(pause.as_millis() as u64 / 2, pause.as_millis() as u64)).await;
        }
    }

    /// Keeps a poll open at `place`, and wherever it is sent from there. Gives whether that went well for a while.
    async fn stay(self: &Rc<Self>, mut place: InstanceName) -> bool {
        let (kernel, began) = (self.world.kernel.clone(), self.world.kernel.now());
        self.restless.set(false);
        self.settle_at(&place);
        let mut hints = 0;
        loop {
            let opened = kernel.now();
            let ended = tokio::select! {
                biased;
                ended = self.open_poll(&place) => ended,
                () = self.watch(&place) => break,
            };
            match ended {
                Some(PollEnd::Leave(Some(there))) if hints < HINTS_MAX => {
                    hints += 1;
                    place = there;
                    self.settle_at(&place);
                }
                Some(PollEnd::Leave(_) | PollEnd::Failed) => break,
                Some(PollEnd::Nothing) if kernel.now() - opened < WATCH_EVERY / 5 => {
                    kernel.sleep(PAUSE_MIN).await
                }
                Some(PollEnd::Request | PollEnd::Nothing) | None => {}
            }
        }
        self.world.trace(|| format!("agent {} leaves {place}", self.id));
        *self.at.borrow_mut() = None;
        kernel.now() - began >= Duration::from_secs(1)
    }

    fn settle_at(&self, place: &InstanceName) {
        self.world.trace(|| format!("agent {} goes to {place}", self.id));
        *self.at.borrow_mut() = Some((place.clone(), self.world.kernel.now()));
    }

    /// A poll of its own task: if the agent goes elsewhere the old one lingers, and what it brings is answered.
    /// `None`: it vanished.
    async fn open_poll(self: &Rc<Self>, place: &InstanceName) -> Option<PollEnd> {
        let (tell, told) = oneshot::channel();
        let (agent, place) = (self.clone(), place.clone());
        let poll = self.world.kernel.spawn(async move {
            let id = agent.id;
            // What vanishes on the way is noticed because nobody acknowledges it.
            let patience = agent.world.timers.agent + UNACKNOWLEDGED;
            let to = agent.world.machine(&place);
            let call = network::call(&agent.world, Caller::Client, to, move |hub| hub.poll(id));
            let end = match agent.world.kernel.timeout(patience, call).await {
                Some(Ok(Polled::Request(request))) => {
                    let answering = agent.clone().answer(place, request);
                    agent.world.kernel.spawn(answering);
                    PollEnd::Request
                }
                Some(Ok(Polled::Nothing)) => PollEnd::Nothing,
                Some(Ok(Polled::Leave(there))) => PollEnd::Leave(there),
                Some(Err(Trouble::Gone | Trouble::Broken)) | None => PollEnd::Failed,
            };
            // The agent may have left.
            let _ = tell.send(end);
        });
        self.poll.set(Some(poll));
        told.await.ok()
    }

    /// Ends when the instance no longer answers, or another may be closer.
    async fn watch(&self, place: &InstanceName) {
        let machine = self.world.machine(place);
        loop {
            self.world.kernel.sleep(WATCH_EVERY).await;
            if self.restless.get() {
                return;
            }
            if !network::answers(&self.world, machine) {
                self.world.kernel.sleep(WATCH_PATIENCE).await;
                if !network::answers(&self.world, machine) {
                    return;
                }
            }
        }
    }

    async fn answer(self: Rc<Self>, place: InstanceName, request: HandedRequest) {
        let (world, random) = (&self.world, &self.world.random);
        let (number, content) = (request.request, request.content);
        if content.id != self.id {
            return world.fault(format!("a request to {} reached the agent of {}", content.id, self.id));
        }
        let calm = world.weather.get().lost == 0;
        let slow = !calm && random.in_1000(30);
        world.kernel.sleep(if slow { random.millis(0, 3000) } else { random.millis(0, 20) }).await;
        if request.is_broken() {
            return;
        }
        request.read();
        let thinking = match random.range(0, 99) {
            _ if calm => random.millis(0, 50),
            0..=4 => random.millis(1000, 8000),
            5..=6 => return,
            7..=8 => world.timers.no_reply + random.millis(0, 3000),
            _ => random.millis(0, 200),
        };
        world.kernel.sleep(thinking).await;
        let to = world.machine(&place);
        let send = |id: CustomerId, malformed: bool| {
            let call = network::call(world, Caller::Client, to, move |hub| {
                transact::reply(hub, id, number, content, malformed)
            });
            world.kernel.timeout(REPLY, call)
        };
        if random.in_1000(20) {
            let other = customer(self.id.get() + 1);
            if let Some(Ok(Ok(()))) = send(other, false).await {
                world.fault(format!("{other} may answer what {} was asked", self.id));
            }
        }
        let first = send(self.id, !calm && random.in_1000(10)).await;
        if let Some(Ok(Err(_))) = first {
            count(&world.tally.refused_replies);
        }
        if random.in_1000(20) {
            let second = send(self.id, false).await;
            if let (Some(Ok(Ok(()))), Some(Ok(Ok(())))) = (first, second) {
                world.fault(format!("two replies to {content:?} were taken"));
            }
        }
        if random.in_1000(10) {
            pending::<()>().await;
        }
    }
}
