//! The agents' side: registering, saying hello, and parking a poll until an app comes.

use std::{future::poll_fn, net::IpAddr, rc::Rc, time::Instant};

use http::{HeaderValue, StatusCode};
use switchboard_fleet::{CustomerId, header};

use crate::{
    exchange::Ticket,
    hub::{Answer, Hub},
    meeting::AppHandle,
    refusal::Refusal,
    service::Ended,
    wire::{
        field::Fields,
        line::{Back, Line, Waited},
        speaker::Speaker,
        watch::{Doing, Expired},
    },
};

/// `/getuniversalid`: a new customer.
///
/// # Errors
/// 429 if the caller's address has registered too many.
pub(crate) async fn register(hub: &Rc<Hub>, address: IpAddr) -> Result<Answer, Refusal> {
    if !hub.registrations.admit(address) {
        return Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, "too many registrations from this address"));
    }
    let mut answer = Answer::default();
    if let Some(id) = hub.ids.next(hub).await {
        answer.headers_mut().insert(header::PRODUCT_UNIV_ID, id.get().into());
        insert_token(hub, id, &mut answer);
    }
    Ok(answer)
}

/// Whether the caller's token is from an older key of the fleet.
pub(crate) fn has_old_token(hub: &Hub, id: CustomerId, headers: &impl Fields) -> bool {
    headers.field(&header::TOKEN).is_some_and(|token| hub.keys.is_old_token(id, token))
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
pub(crate) fn connect(hub: &Rc<Hub>, id: CustomerId, headers: &impl Fields) -> Result<Answer, Refusal> {
    if hub.is_draining() {
        return Err(draining());
    }
    hub.settle(id);
    let mut answer = Answer::default();
    answer.headers_mut().insert(header::PORT, hub.own.port.into());
    if has_old_token(hub, id, headers) {
        insert_token(hub, id, &mut answer);
    }
    Ok(answer)
}

/// A poll that has been let in.
pub(crate) struct Poll {
    pub(crate) id: CustomerId,
    /// Whether the agent is to get a new token.
    pub(crate) has_old_token: bool,
}

/// `/agent/PORT`: an agent is ready. Ends with an app's request, or without one after `timeouts.agent`; then an agent whose
/// token is from an older key gets a new one, as on `/connect`.
pub(crate) async fn poll(hub: &Rc<Hub>, line: &Rc<Line>, poll: Poll) -> Ended {
    let mut ended = parked(hub, line, poll.id).await;
    if let Ended::Say(answer) = &mut ended
        && poll.has_old_token
    {
        insert_token(hub, poll.id, answer);
    }
    ended
}

async fn parked(hub: &Rc<Hub>, line: &Rc<Line>, id: CustomerId) -> Ended {
    if hub.is_draining() {
        return Ended::Say(leave(hub));
    }
    if !hub.is_settled(id) {
        // It was sent here by a sibling that ends, or this instance has just been started again.
        hub.settle(id);
    }
    hub.periods.polled(id);
    line.rest();
    line.watched.begin(Doing::Parked);
    let mut parked = park(hub, id, line);
    loop {
        match poll_fn(|cx| line.poll_back(cx)).await {
            Waited::Back(Back::Whole) => return Ended::Said,
            Waited::Back(Back::Word) => return line.take_word().map_or(Ended::Cut, Ended::Say),
            Waited::Back(Back::Cut) | Waited::PeerLeft => return Ended::Cut,
            // The app that took this poll has gone before it said anything: wait for the next.
            Waited::Back(Back::Unused) => {
                line.watched.begin(Doing::Parked);
                parked = park(hub, id, line);
            }
            Waited::Expired(Expired::Parked) if parked.take().is_none_or(Parked::end) => {
                return Ended::Say(no_app());
            }
            // An app has just taken it.
            Waited::Expired(Expired::Parked) => line.watched.begin(Doing::Busy),
            Waited::Expired(_) => return Ended::Cut,
        }
    }
}

/// Gives the poll to the app that waits longest, or parks it.
fn park(hub: &Rc<Hub>, id: CustomerId, line: &Rc<Line>) -> Option<Parked> {
    let arrived = hub.exchange.borrow_mut().arrive(id, line.lend(), Instant::now(), AppHandle::serve)?;
    if let Some(replaced) = arrived.replaced {
        replaced.decline(no_app());
    }
    Some(Parked { hub: hub.clone(), id, ticket: arrived.ticket })
}

/// A poll in the exchange, taken out on drop.
struct Parked {
    hub: Rc<Hub>,
    id: CustomerId,
    ticket: Ticket,
}

impl Parked {
    /// Takes it out; gives whether it was still there.
    fn end(self) -> bool {
        self.take_out().is_some()
    }

    fn take_out(&self) -> Option<Speaker> {
        self.hub.exchange.borrow_mut().unpark(self.id, self.ticket, Instant::now())
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        // It goes back to its line, which does not wait for it any more.
        drop(self.take_out());
    }
}

/// No app came.
pub(crate) fn no_app() -> Answer {
    let mut answer = Answer::default();
    answer.headers_mut().insert(header::RESPONSE_TYPE, HeaderValue::from_static("0"));
    answer
}

/// No app, and a sibling to go to.
pub(crate) fn leave(hub: &Hub) -> Answer {
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
