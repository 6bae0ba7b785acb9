//! A transaction, the apps' side: the request goes to a parked poll, and the app waits for the reply.

use std::{future::poll_fn, path::Path, pin::Pin, rc::Rc, task::Poll};

use http::{HeaderValue, StatusCode};
use switchboard_fleet::{CustomerId, InstanceName, header};
use tokio::sync::oneshot;

use crate::{
    caller::is_front,
    hub::{Answer, Hub},
    meeting::{Meeting, Question, find, meet},
    refusal::Refusal,
    running::{Asked, ReplyEnd, Running},
    service::Said,
    spool,
    transactions::RequestId,
    wire::{
        answer,
        body::Body,
        carry::{Intake, Outlet, Passage, poll_carry, too_long},
        field::{self, pass_on},
        head::Head,
        line::{Back, Line, Waited},
        name::{FROM_WHERE, Name, Names},
        speaker::Speaker,
        standing::{Doing, Expired},
    },
};

/// What an instance says itself of a request, whatever the app says.
const OWN_OF_REQUEST: Names = Names::of(&[Name::RequestId, Name::ResponseCode, Name::ProductUnivId]);

/// `/client/PORT`: an app's request, carried to the agent, whose reply is carried back.
///
/// # Errors
/// 400, 413: the request's own fault. 503: the agent broke off, or there is no room. 504: it did not answer in time. 502: it
/// answered nonsense.
pub(crate) async fn ask(
    hub: Rc<Hub>,
    line: Rc<Line>,
    id: CustomerId,
    head: Box<Head>,
) -> Result<Said, Refusal> {
    let _question = Question::begin(&hub);
    check_length(&head.body, hub.config.limits.body_bytes)?;
    if hub.lines.are_full() {
        return Err(Refusal::busy("the memory for bodies is used up").retriable());
    }
    let app =
        App { by_front: is_front(line.peer, &hub.config) && head.has(Name::RealIp), hub, line, id, head };
    let mut body = Intake::new(app.line.clone(), app.hub.config.limits.body_bytes);
    loop {
        let found = match find(&app.hub, id) {
            Some(poll) => Meeting::Poll(poll),
            // Boxed, as most agents are there.
            None => Box::pin(meet(&app.hub, &app.line, id)).await?,
        };
        let poll = match found {
            Meeting::Poll(poll) => poll,
            Meeting::Elsewhere(place) => return Ok(Said::Now(at(&place))),
            Meeting::Nobody => return Ok(Said::Now(nobody())),
        };
        if !poll.line().is_dead()
            && let Some(ended) = app.attempt(poll, &mut body).await?
        {
            return Ok(ended);
        }
    }
}

/// The refusal of a body that says itself that it is too long.
///
/// # Errors
/// 413, before any of it is read.
pub(crate) fn check_length(body: &Body, limit: u64) -> Result<(), Refusal> {
    if body.left().is_some_and(|bytes| bytes > limit) { Err(too_long()) } else { Ok(()) }
}

/// "The agent is at that instance."
pub(crate) fn at(place: &InstanceName) -> Answer {
    let mut answer = Answer::default();
    if let Ok(host) = HeaderValue::try_from(place.server.as_str()) {
        answer.headers_mut().insert(header::HOST, host);
        answer.headers_mut().insert(header::PORT, place.port.into());
    }
    answer
}

/// "No agent there."
pub(crate) fn nobody() -> Answer {
    let mut answer = Answer::default();
    answer.headers_mut().insert(header::RESPONSE_TYPE, HeaderValue::from_static("0"));
    answer
}

/// An app that asks.
struct App {
    hub: Rc<Hub>,
    line: Rc<Line>,
    id: CustomerId,
    head: Box<Head>,
    /// Whether the request comes through the front.
    by_front: bool,
}

/// What happens while the request is on its way to the agent.
enum Step {
    Passed(Passage),
    /// The agent replies, or its reply was refused.
    Reply(Result<(), Refusal>),
    /// The reply was refused, or has broken off.
    Answered,
}

impl App {
    /// Hands the request to `poll` and waits for the reply; `None` if that poll was dead, and the request is whole.
    async fn attempt(&self, poll: Speaker, body: &mut Intake) -> Result<Option<Said>, Refusal> {
        let running = Running::begin(&self.hub, self.id);
        let request = running.request();
        let ((asked, early), reply_end) = ReplyEnd::new();
        self.hub.transactions.borrow_mut().begin(request, self.id, reply_end);
        let entry = Entry { hub: &self.hub, request };
        let asked_for = Asked { app: self.line.lend(), running };
        let mut held = Some((asked, asked_for));
        if !self.by_front {
            deposit(&mut held);
        }
        self.hub.begin(&poll, |to| self.write_request(request, to));
        let outlet = Outlet::new(poll, self.head.body.left().is_none(), self.hub.counters.bytes.clone());
        let Some(passage) = self.pass(body, &outlet, &mut held, early).await? else {
            return self.reply(&entry).await.map(Some);
        };
        deposit(&mut held);
        match passage {
            Passage::Whole => {
                outlet.speaker.finish();
                self.reply(&entry).await.map(Some)
            }
            why => self.fail(&entry, why).await,
        }
    }

    /// Carries the request to the agent; `None` if the app has its answer before it has crossed.
    async fn pass(
        &self,
        body: &mut Intake,
        outlet: &Outlet,
        held: &mut Option<(oneshot::Sender<Asked>, Asked)>,
        mut early: oneshot::Receiver<Result<(), Refusal>>,
    ) -> Result<Option<Passage>, Refusal> {
        let step = poll_fn(|cx| {
            if self.is_answered_early() {
                return Poll::Ready(Step::Answered);
            }
            if held.is_some()
                && let Poll::Ready(Ok(told)) = Pin::new(&mut early).poll(cx)
            {
                return Poll::Ready(Step::Reply(told));
            }
            poll_carry(cx, body, outlet).map(Step::Passed)
        });
        match step.await {
            Step::Passed(passage) => return Ok(Some(passage)),
            Step::Answered => return Ok(None),
            Step::Reply(told) => told?,
        }
        let ledger = self.hub.config.range_file(self.hub.own.port);
        let folder = ledger.parent().unwrap_or(Path::new("."));
        // Boxed, as it is seldom: every request would carry it.
        let mut spooled = Box::pin(spool::carry(folder, body, outlet, || deposit(held)));
        let passed = poll_fn(|cx| match spooled.as_mut().poll(cx) {
            Poll::Pending if self.is_answered_early() => Poll::Ready(None),
            passage => passage.map(Some),
        });
        Ok(passed.await)
    }

    /// Whether the reply was refused, or has broken off, while the request is still on its way.
    fn is_answered_early(&self) -> bool {
        self.line.is_back(Back::Cut) || self.line.is_back(Back::Word)
    }

    fn write_request(&self, request: RequestId, to: &mut bytes::BytesMut) {
        // Only the front is believed about where a call comes from.
        let untold = if is_front(self.line.peer, &self.hub.config) { Names::default() } else { FROM_WHERE };
        answer::status_line(StatusCode::OK, to);
        pass_on(&self.head, OWN_OF_REQUEST.and(untold), to);
        field::write_number(to, Name::ProductUnivId, self.id.get());
        field::write(to, Name::RequestId, &request.digits());
        answer::length(&self.head.body, to);
        if !self.head.has(Name::Date) {
            answer::date(&self.line, to);
        }
    }

    /// The agent has the whole request: waits for the reply.
    async fn reply(&self, entry: &Entry<'_>) -> Result<Said, Refusal> {
        self.line.watched.begin(Doing::Reply);
        loop {
            match poll_fn(|cx| self.line.poll_back(cx)).await {
                Waited::Back(Back::Whole) => return Ok(Said::Already),
                Waited::Back(Back::Word) => {
                    return Ok(self.line.take_word().map_or(Said::Cut, Said::Now));
                }
                Waited::Back(Back::Unused) => return Err(agent_left()),
                Waited::Back(Back::Cut) | Waited::PeerLeft => return Ok(Said::Cut),
                Waited::Expired(Expired::Reply) => {
                    if entry.take_out().is_some() {
                        return Err(no_reply());
                    }
                    // A reply has just come.
                    self.line.watched.begin(Doing::Busy);
                }
                Waited::Expired(_) => return Ok(Said::Cut),
            }
        }
    }

    /// The request has not passed. If the agent replies all the same, the app still gets that.
    async fn fail(&self, entry: &Entry<'_>, why: Passage) -> Result<Option<Said>, Refusal> {
        match (entry.take_out(), why) {
            (Some(asked), Passage::Unread) => {
                asked.running.forget();
                Ok(None)
            }
            (Some(_), Passage::ReaderLeft | Passage::Whole) => Err(agent_left()),
            (Some(_), why) => Err(why.refusal()),
            (None, Passage::ReaderLeft | Passage::Unread) => self.reply(entry).await.map(Some),
            (None, _) => Ok(Some(Said::Cut)),
        }
    }
}

/// Lets the reply's side answer the app.
fn deposit(held: &mut Option<(oneshot::Sender<Asked>, Asked)>) {
    if let Some((asked, asked_for)) = held.take() {
        // If the reply's side has gone, the app's line gets the say back.
        drop(asked.send(asked_for));
    }
}

/// A transaction in the table; taken out on drop, unless a reply has been taken.
struct Entry<'a> {
    hub: &'a Rc<Hub>,
    request: RequestId,
}

impl Entry<'_> {
    /// Takes the right to answer back from the reply's side, if that has not used it.
    fn take_out(&self) -> Option<Asked> {
        let end = self.hub.transactions.borrow_mut().withdraw(self.request)?;
        end.into_asked()
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        drop(self.take_out());
    }
}

fn agent_left() -> Refusal {
    Refusal::busy("the agent broke off").closing()
}

/// The reason beside `X-IWP-IsRecycle`.
pub(crate) const NO_REPLY: &str = "the agent took the request and did not answer in time";

fn no_reply() -> Refusal {
    Refusal::new(StatusCode::GATEWAY_TIMEOUT, NO_REPLY)
}
