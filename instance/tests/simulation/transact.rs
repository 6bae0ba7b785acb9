//! A transaction, as `instance/src/meeting.rs`, `transact.rs` and `reply.rs` carry it. Bodies are not carried: only
//! how their passage ends.

use std::{cell::Cell, rc::Rc, time::Duration};

use switchboard_fleet::{CustomerId, InstanceName};
use switchboard_instance::{
    exchange::{Found, Ticket},
    transactions::{NotTaken, RequestId},
};
use tokio::sync::oneshot;

use crate::{
    hub::{AppHandle, Handout, Hub, PollHandle, Turn},
    lookup,
    world::{World, count},
};

/// How a body's passage ended, told to the side that sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passage {
    Whole,
    Unread,
    ReaderLeft,
}

/// What an app asks, or is told: whom it is about, and a number that no other question has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) id: CustomerId,
    pub(crate) nonce: u64,
}

/// An app's request on its way to an agent.
pub(crate) struct HandedRequest {
    pub(crate) request: RequestId,
    pub(crate) content: Content,
    /// Whether the agent's connection has begun to send it.
    pub(crate) head_sent: Cell<bool>,
    /// What the sender is told if it is lost after that.
    if_lost: Passage,
    report: Option<oneshot::Sender<Passage>>,
}

impl HandedRequest {
    /// Whether its sender has broken off.
    pub(crate) fn is_broken(&self) -> bool {
        self.report.as_ref().is_some_and(oneshot::Sender::is_closed)
    }

    /// The agent has all of it.
    pub(crate) fn read(mut self) {
        self.finish(Passage::Whole);
    }

    fn finish(&mut self, how: Passage) {
        if let Some(report) = self.report.take() {
            // The sender may be gone already.
            let _ = report.send(how);
        }
    }
}

impl Drop for HandedRequest {
    fn drop(&mut self) {
        self.finish(if self.head_sent.get() { self.if_lost } else { Passage::Unread });
    }
}

/// An agent's reply on its way to the app.
pub(crate) struct Reply {
    pub(crate) content: Content,
    report: Option<oneshot::Sender<Passage>>,
}

impl Reply {
    /// The app has all of it.
    pub(crate) fn read(mut self) -> Content {
        if let Some(report) = self.report.take() {
            // The agent may be gone already.
            let _ = report.send(Passage::Whole);
        }
        self.content
    }
}

/// An app that waits for the reply to its request; `Err` says why there will be none.
pub(crate) struct ReplyTo {
    pub(crate) number: u64,
    pub(crate) to: oneshot::Sender<Result<Reply, &'static str>>,
}

/// The refusal of work at an instance that is about to end.
pub(crate) const ENDING: &str = "this instance is about to end";

/// What an app is answered.
pub(crate) enum Asked {
    /// The transaction lasts until the reply has been read.
    Reply(Reply, Running),
    Elsewhere(InstanceName),
    Nobody,
    Refused(&'static str),
}

enum Meeting {
    Poll(PollHandle),
    Elsewhere(InstanceName),
    Nobody,
}

enum Attempt {
    Reply(Reply),
    Unread,
    Failed(&'static str),
}

/// An app's question that an instance works on; too long a time is a fault.
struct Question {
    hub: Rc<Hub>,
    id: CustomerId,
    began: Duration,
}

impl Question {
    fn begin(hub: &Rc<Hub>, id: CustomerId) -> Self {
        hub.questions.set(hub.questions.get() + 1);
        Self { hub: hub.clone(), id, began: hub.world.kernel.now() }
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        self.hub.questions.set(self.hub.questions.get() - 1);
        let world = &self.hub.world;
        let (took, most) = (world.kernel.now() - self.began, longest_question(world));
        if took > most {
            world
                .fault(format!("an app that asked for {} waited {took:?}, at most {most:?} is due", self.id));
        }
    }
}

/// The longest an instance may work on one question until its answer begins.
pub(crate) fn longest_question(world: &World) -> Duration {
    let timers = &world.timers;
    // Waiting: the agent may just have taken another request that it never answers, and is expected for a while after
    // that; a look begins at most one wait late; the fleet is asked once.
    let waiting = timers.no_reply + timers.cache + timers.client + timers.lookup;
    // Being answered: the request is read, the reply begins.
    let answered = Duration::from_secs(5) + timers.no_reply;
    // Meanwhile the agent may have been here again, and gone again.
    waiting + answered + timers.cache + timers.client
}

/// `/client`.
pub(crate) async fn locate(hub: Rc<Hub>, id: CustomerId) -> Option<InstanceName> {
    let _question = Question::begin(&hub, id);
    if hub.is_here(id) {
        return Some(hub.own.clone());
    }
    if let Some(location) = hub.elsewhere(id) {
        return Some(location.place);
    }
    let location = lookup::ask_fleet(&hub, id).await?;
    hub.heard_of(id, &location.place, location.since);
    Some(location.place)
}

/// `/client/PORT`.
pub(crate) async fn ask(hub: Rc<Hub>, content: Content) -> Asked {
    let _question = Question::begin(&hub, content.id);
    loop {
        let poll = match meet(&hub, content.id).await {
            Ok(Meeting::Poll(poll)) => poll,
            Ok(Meeting::Elsewhere(place)) => return Asked::Elsewhere(place),
            Ok(Meeting::Nobody) => return Asked::Nobody,
            Err(refusal) => return Asked::Refused(refusal),
        };
        let running = Running::begin(&hub, content.id);
        match running.attempt(poll, content).await {
            Attempt::Reply(reply) => return Asked::Reply(reply, running),
            Attempt::Failed(refusal) => return Asked::Refused(refusal),
            Attempt::Unread => count(&hub.world.tally.unread),
        }
    }
}

async fn meet(hub: &Rc<Hub>, id: CustomerId) -> Result<Meeting, &'static str> {
    let mut asked = false;
    loop {
        let found = hub.exchange.borrow_mut().find(id, hub.now());
        if let Found::Poll(poll) = found {
            return Ok(Meeting::Poll(poll));
        }
        if let Some(location) = hub.elsewhere(id) {
            return Ok(Meeting::Elsewhere(location.place));
        }
        if hub.ending.get() {
            return Err(ENDING);
        }
        if matches!(found, Found::Expected) {
            if let Some(poll) = wait_in_line(hub, id).await? {
                return Ok(Meeting::Poll(poll));
            }
            continue;
        }
        if asked {
            return Ok(Meeting::Nobody);
        }
        asked = true;
        if let Some(location) = lookup::ask_fleet(hub, id).await {
            hub.heard_of(id, &location.place, location.since);
            return Ok(Meeting::Elsewhere(location.place));
        }
    }
}

async fn wait_in_line(hub: &Rc<Hub>, id: CustomerId) -> Result<Option<PollHandle>, &'static str> {
    count(&hub.world.tally.waits);
    let (turn, served) = oneshot::channel();
    let app = AppHandle { number: hub.world.kernel.number(), to: turn };
    let ticket = hub.exchange.borrow_mut().wait(id, app).map_err(|_| "too many apps wait")?;
    let _place = InLine { hub: hub.clone(), id, ticket };
    match hub.world.kernel.timeout(hub.world.timers.client, served).await {
        Some(Ok(Turn::Poll(poll))) => Ok(Some(poll)),
        _ => Ok(None),
    }
}

/// A place in the line, left on drop.
struct InLine {
    hub: Rc<Hub>,
    id: CustomerId,
    ticket: Ticket,
}

impl Drop for InLine {
    fn drop(&mut self) {
        self.hub.exchange.borrow_mut().leave(self.id, self.ticket);
    }
}

/// A transaction in the table; ended on drop.
pub(crate) struct Running {
    hub: Rc<Hub>,
    id: CustomerId,
    request: RequestId,
}

impl Running {
    fn begin(hub: &Rc<Hub>, id: CustomerId) -> Self {
        hub.exchange.borrow_mut().started(id);
        Self { hub: hub.clone(), id, request: hub.fresh_request_id() }
    }

    /// Hands the request to `poll` and waits for the reply.
    async fn attempt(&self, poll: PollHandle, content: Content) -> Attempt {
        let (hub, world) = (&self.hub, &self.hub.world);
        let (reply, mut replied) = oneshot::channel();
        let number = world.kernel.number();
        hub.transactions.borrow_mut().begin(self.request, self.id, ReplyTo { number, to: reply });
        let (report, mut passage) = oneshot::channel();
        // Bytes that the system has taken look read.
        let if_lost = match world.random.range(0, 2) {
            0 => Passage::Unread,
            1 => Passage::ReaderLeft,
            _ => Passage::Whole,
        };
        let (request, head_sent) = (self.request, Cell::new(false));
        let handed = HandedRequest { request, content, head_sent, if_lost, report: Some(report) };
        // If the poll is dead this drops the request, which says so through `passage`.
        let _ = poll.to.send(Handout::Request(handed));
        let mut handed_over = None;
        loop {
            let no_reply = async {
                match handed_over {
                    Some(at) => {
                        world
                            .kernel
                            .sleep(world.timers.no_reply.saturating_sub(world.kernel.now() - at))
                            .await
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                reply = &mut replied => return match reply {
                    Ok(Ok(reply)) => Attempt::Reply(reply),
                    Ok(Err(refusal)) => Attempt::Failed(refusal),
                    Err(_) => Attempt::Failed("the agent broke off"),
                },
                how = &mut passage, if handed_over.is_none() => match how {
                    Ok(Passage::Whole) => handed_over = Some(world.kernel.now()),
                    Ok(Passage::Unread) => return Attempt::Unread,
                    Ok(Passage::ReaderLeft) | Err(_) => return Attempt::Failed("the agent broke off"),
                },
                () = no_reply => {
                    count(&world.tally.no_replies);
                    return Attempt::Failed("no reply in time");
                }
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.hub.transactions.borrow_mut().end(self.request);
        self.hub.exchange.borrow_mut().ended(self.id, self.hub.now());
    }
}

/// `/agentreply/PORT`. `malformed`: the reply's status is no number from 200 to 599.
pub(crate) async fn reply(
    hub: Rc<Hub>,
    id: CustomerId,
    request: RequestId,
    content: Content,
    malformed: bool,
) -> Result<(), NotTaken> {
    let app = hub.transactions.borrow_mut().reply(request, id)?;
    if malformed {
        // The app may be gone; the agent is told all the same.
        let _ = app.to.send(Err("the agent's reply was refused"));
        return Ok(());
    }
    let (report, passage) = oneshot::channel();
    app.to.send(Ok(Reply { content, report: Some(report) })).map_err(|_| NotTaken::NoApp)?;
    // Whether the app took it all is told to the agent; nothing here depends on it.
    let _ = passage.await;
    Ok(())
}
