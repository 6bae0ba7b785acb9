//! A transaction, the apps' side: the request goes to a parked poll, the reply comes back.

use std::{cell::Cell, future::pending, path::Path, rc::Rc, time::Instant};

use http::{HeaderMap, HeaderValue, StatusCode};
use http_body::Body as _;
use hyper::{Request, Response, body::Incoming};
use switchboard_fleet::{CustomerId, InstanceName, header};
use tokio::{
    sync::oneshot,
    time::{Instant as Deadline, sleep_until},
};

use crate::{
    absorb::absorb,
    agents::remove_instance_voice,
    body::{AnswerBody, Content},
    counters::count,
    guarded::Peer,
    hub::{Answer, Hub},
    meeting::{HandedRequest, Handout, Meeting, PollHandle, Question, meet},
    refusal::Refusal,
    relay::{Passage, Passing, Relay},
    transactions::RequestId,
};

/// An agent's reply on its way to the app.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    /// End-to-end headers.
    pub(crate) headers: HeaderMap,
    pub(crate) body: Content,
    /// Told when the transaction began, once the app has this reply: from then on the reply's side counts how it ends.
    pub(crate) taken: oneshot::Sender<Instant>,
}

/// How one attempt with one poll ended.
enum Attempt {
    Reply(Reply),
    /// The poll was dead: the request is whole and can go to another.
    Unread(Incoming),
    Failed(Refusal),
}

/// `/client/PORT`: an app's request, carried to the agent and answered with its reply.
///
/// `front` says whether the connection is the front's.
///
/// # Errors
/// 400, 413: the request's own fault. 503: the agent broke off. 504: it did not answer in time. 502: it answered
/// nonsense.
pub(crate) async fn ask(
    hub: Rc<Hub>,
    app: Rc<dyn Peer>,
    front: bool,
    id: CustomerId,
    request: Request<Incoming>,
) -> Result<Answer, Refusal> {
    let _question = Question::begin(&hub);
    let (parts, mut body) = request.into_parts();
    check_length(&body, hub.config.limits.body_bytes)?;
    let mut headers = parts.headers;
    let by_front = front && headers.contains_key(header::REAL_IP);
    if !front {
        // Only the front is believed about where a call comes from.
        headers.remove(header::REAL_IP);
        headers.remove(header::FORWARDED_FOR);
    }
    header::keep_end_to_end(&mut headers);
    remove_instance_voice(&mut headers);
    headers.remove(header::REQUEST_ID);
    headers.remove(header::RESPONSE_CODE);
    headers.insert(header::PRODUCT_UNIV_ID, id.get().into());
    loop {
        let poll = match meet(&hub, &*app, id).await? {
            Meeting::Poll(poll) => poll,
            Meeting::Elsewhere(place) => return Ok(absorb(body, at(&place)).await),
            Meeting::Nobody => return Ok(absorb(body, nobody()).await),
        };
        let running = Running::begin(&hub, id, by_front);
        match running.attempt(poll, headers.clone(), body).await {
            Attempt::Reply(reply) => return Ok(running.answer(reply)),
            Attempt::Failed(refusal) => return Err(refusal),
            Attempt::Unread(whole) => {
                running.forget();
                body = whole;
            }
        }
    }
}

/// The refusal of a body that says itself that it is too long.
///
/// # Errors
/// 413, before any of it is read.
pub(crate) fn check_length(body: &Incoming, limit: u64) -> Result<(), Refusal> {
    if body.size_hint().lower() > limit { Err(too_long()) } else { Ok(()) }
}

/// 413.
pub(crate) fn too_long() -> Refusal {
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is longer than allowed").closing()
}

/// "The agent is at that instance."
pub(crate) fn at(place: &InstanceName) -> Answer {
    let mut answer = Response::new(AnswerBody::empty());
    if let Ok(host) = HeaderValue::try_from(place.server.as_str()) {
        answer.headers_mut().insert(header::HOST, host);
        answer.headers_mut().insert(header::PORT, place.port.into());
    }
    answer
}

/// "No agent there."
pub(crate) fn nobody() -> Answer {
    let mut answer = Response::new(AnswerBody::empty());
    answer.headers_mut().insert(header::RESPONSE_TYPE, HeaderValue::from_static("0"));
    answer
}

/// A transaction in the table; ended on drop.
struct Running {
    hub: Rc<Hub>,
    id: CustomerId,
    request: RequestId,
    /// Whether the app's request comes through the front.
    by_front: bool,
    began: Instant,
    /// Whether the reply's side has taken over saying how it ended.
    replied: Cell<bool>,
    forgotten: Cell<bool>,
}

impl Running {
    fn begin(hub: &Rc<Hub>, id: CustomerId, by_front: bool) -> Self {
        hub.exchange.borrow_mut().started(id);
        count(&hub.counters.started);
        hub.periods.began(id);
        let request = hub.fresh_request_id();
        Self {
            hub: hub.clone(),
            id,
            request,
            by_front,
            began: Instant::now(),
            replied: Cell::new(false),
            forgotten: Cell::new(false),
        }
    }

    /// It never reached the agent: as if it had not begun.
    fn forget(self) {
        self.forgotten.set(true);
    }

    fn request_header(&self) -> HeaderValue {
        // Hexadecimal digits always are a header's value.
        HeaderValue::try_from(self.request.to_string()).unwrap_or(HeaderValue::from_static(""))
    }

    /// Hands the request to `poll` and waits for the reply.
    async fn attempt(&self, poll: PollHandle, mut headers: HeaderMap, body: Incoming) -> Attempt {
        let hub = &self.hub;
        let (reply, mut replied) = oneshot::channel();
        hub.transactions.borrow_mut().begin(self.request, self.id, reply);
        headers.insert(header::REQUEST_ID, self.request_header());
        let (body, mut passage) = Relay::new(body, hub.config.limits.body_bytes, hub.counters.bytes.clone());
        let passing = body.passing();
        // If the poll is dead this drops the relay, which gives the body back through `passage`.
        let _ = poll.send(Handout::Request(Box::new(HandedRequest { headers, body })));
        let mut handed_over = None;
        loop {
            tokio::select! {
                biased;
                reply = &mut replied => return match reply {
                    Ok(Ok(reply)) => {
                        if self.by_front && handed_over.is_none() {
                            self.take_in_rest(&passing, passage).await;
                        }
                        Attempt::Reply(reply)
                    }
                    Ok(Err(refusal)) => Attempt::Failed(refusal),
                    Err(_) => Attempt::Failed(agent_left()),
                },
                how = &mut passage, if handed_over.is_none() => match how {
                    Ok(Passage::Whole) => handed_over = Some(Deadline::now() + hub.config.timeouts.no_reply.get()),
                    Ok(Passage::Unread(body)) => return Attempt::Unread(body),
                    Ok(Passage::SenderLeft) => return Attempt::Failed(Refusal::bad("the body broke off, or is malformed").closing()),
                    Ok(Passage::TooLong) => return Attempt::Failed(too_long()),
                    Ok(Passage::ReaderLeft) | Err(_) => return Attempt::Failed(agent_left()),
                },
                () = at_deadline(handed_over) => return Attempt::Failed(no_reply()),
            }
        }
    }

    /// The agent replies before it has the whole request. nginx must have handed over all of that before it gets the reply's head:
    /// see `spool`.
    async fn take_in_rest(&self, passing: &Passing, passage: oneshot::Receiver<Passage>) {
        let ledger = self.hub.config.range_file(self.hub.own.port);
        let folder = ledger.parent().unwrap_or(Path::new("."));
        tokio::select! {
            () = passing.take_in(folder) => {}
            _ = passage => {}
        }
    }

    /// The app's answer. The transaction lasts until it has been sent.
    fn answer(self, reply: Reply) -> Answer {
        self.replied.set(true);
        // The agent may have gone: then its side has counted the end already.
        let _ = reply.taken.send(self.began);
        let request = self.request_header();
        let mut answer = Response::new(AnswerBody::new(reply.body).keeping(self));
        *answer.status_mut() = reply.status;
        *answer.headers_mut() = reply.headers;
        // By this the app knows that the agent speaks, and not an instance.
        answer.headers_mut().insert(header::REQUEST_ID, request);
        answer
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.hub.transactions.borrow_mut().end(self.request);
        self.hub.exchange.borrow_mut().ended(self.id, Instant::now());
        self.hub.periods.ended();
        let counters = &self.hub.counters;
        if self.forgotten.get() {
            counters.started.set(counters.started.get() - 1);
        } else if !self.replied.get() {
            count(&counters.failed);
            self.hub.periods.finished(false, self.began.elapsed());
        }
    }
}

async fn at_deadline(deadline: Option<Deadline>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
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
