//! The agents' side: registering, saying hello, and parking a poll until an app comes.

use std::{net::IpAddr, rc::Rc, time::Instant};

use http::{HeaderMap, HeaderValue, StatusCode};
use hyper::Response;
use switchboard_fleet::{CustomerId, header};
use tokio::{
    sync::oneshot,
    time::{Instant as Deadline, timeout_at},
};

use crate::{
    body::{AnswerBody, Content},
    exchange::Ticket,
    hub::{Answer, Hub},
    meeting::{AppHandle, Handout, PollHandle},
    refusal::Refusal,
};

/// `/getuniversalid`: a new customer.
///
/// # Errors
/// 429 if the caller's address has registered too many.
pub(crate) async fn register(hub: &Rc<Hub>, address: IpAddr) -> Result<Answer, Refusal> {
    if !hub.registrations.admit(address) {
        return Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, "too many registrations from this address"));
    }
    let mut answer = Response::new(AnswerBody::empty());
    if let Some(id) = hub.ids.next(hub).await {
        answer.headers_mut().insert(header::PRODUCT_UNIV_ID, id.get().into());
        insert_token(hub, id, &mut answer);
    }
    Ok(answer)
}

/// Whether the caller's token is from an older key of the fleet.
pub(crate) fn has_old_token(hub: &Hub, id: CustomerId, headers: &HeaderMap) -> bool {
    headers.get(header::TOKEN).is_some_and(|token| hub.keys.is_old_token(id, token.as_bytes()))
}

fn insert_token(hub: &Hub, id: CustomerId, answer: &mut Answer) {
    if let Ok(token) = HeaderValue::try_from(hub.keys.token(id)) {
        answer.headers_mut().insert(header::TOKEN, token);
    }
}

/// `/connect`: an agent chose this server, and the front this instance. If its token is from an older key of the fleet it
/// gets a new one, so that the older key can be removed one day.
///
/// # Errors
/// 503 while draining: another instance will take it.
pub(crate) fn connect(hub: &Rc<Hub>, id: CustomerId, headers: &HeaderMap) -> Result<Answer, Refusal> {
    if hub.is_draining() {
        return Err(draining());
    }
    hub.settle(id);
    let mut answer = Response::new(AnswerBody::empty());
    answer.headers_mut().insert(header::PORT, hub.own.port.into());
    if has_old_token(hub, id, headers) {
        insert_token(hub, id, &mut answer);
    }
    Ok(answer)
}

/// `/agent/PORT`: an agent is ready. Ends with an app's request, or without one after `timeouts.agent`; then an agent whose
/// token is from an older key gets a new one, as on `/connect`.
pub(crate) async fn poll(hub: Rc<Hub>, id: CustomerId, has_old_token: bool) -> Answer {
    let mut answer = parked(&hub, id).await;
    if has_old_token && answer.headers().contains_key(header::RESPONSE_TYPE) {
        insert_token(&hub, id, &mut answer);
    }
    answer
}

async fn parked(hub: &Rc<Hub>, id: CustomerId) -> Answer {
    if hub.is_draining() {
        return leave(hub);
    }
    if !hub.is_settled(id) {
        // It was sent here by a sibling that ends, or this instance has just been started again.
        hub.settle(id);
    }
    hub.periods.polled(id);
    let deadline = Deadline::now() + hub.config.timeouts.agent.get();
    loop {
        let (poll, handed) = oneshot::channel();
        let _parked = park(hub, id, poll);
        match timeout_at(deadline, handed).await {
            Ok(Ok(Handout::Request(request))) => {
                let mut answer = Response::new(AnswerBody::new(Content::Relay(request.body)));
                *answer.headers_mut() = request.headers;
                return answer;
            }
            // The app that took this poll has gone before it said anything: wait for the next.
            Ok(Err(_)) => {}
            Ok(Ok(Handout::Leave)) => return leave(hub),
            Ok(Ok(Handout::Replaced)) | Err(_) => return no_app(),
        }
    }
}

/// Gives the poll to the app that waits longest, or parks it.
fn park(hub: &Rc<Hub>, id: CustomerId, poll: PollHandle) -> Option<Parked> {
    let parked = hub.exchange.borrow_mut().arrive(id, poll, Instant::now(), AppHandle::serve)?;
    if let Some(replaced) = parked.replaced {
        // A poll that has just ended needs no answer.
        let _ = replaced.send(Handout::Replaced);
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
        self.hub.exchange.borrow_mut().unpark(self.id, self.ticket, Instant::now());
    }
}

fn no_app() -> Answer {
    let mut answer = Response::new(AnswerBody::empty());
    answer.headers_mut().insert(header::RESPONSE_TYPE, HeaderValue::from_static("0"));
    answer
}

/// No app, and a sibling to go to.
fn leave(hub: &Hub) -> Answer {
    let mut answer = no_app();
    if let Some(port) = hub.hint() {
        answer.headers_mut().insert(header::PORT, port.into());
    }
    answer
}

/// The refusal of new work while draining.
pub(crate) fn draining() -> Refusal {
    Refusal::busy("this instance is about to end").retriable()
}

/// Removes from a relayed message what only an instance may say: a client that believed the other side's word
/// for it could be sent to any host, token in hand.
pub(crate) fn remove_instance_voice(headers: &mut HeaderMap) {
    for name in [header::RESPONSE_TYPE, header::IS_RECYCLE, header::RETRY, header::HOST, header::PORT] {
        headers.remove(name);
    }
}
