//! The agents' side: registering, saying hello, and parking a poll until an app comes.

use std::{
    net::IpAddr,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Instant,
};

use http::{HeaderValue, StatusCode};
use switchboard_fleet::{CustomerId, header};

use crate::{
    caller::Token,
    exchange::Ticket,
    hub::{Answer, Hub},
    meeting::AppHandle,
    refusal::Refusal,
    service::{Ended, say},
    wire::{
        line::{Back, Line, Waited},
        standing::{Doing, Expired},
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
pub(crate) fn connect(hub: &Rc<Hub>, id: CustomerId, token: Token) -> Result<Answer, Refusal> {
    if hub.is_draining() {
        return Err(draining());
    }
    hub.settle(id);
    let mut answer = Answer::default();
    answer.headers_mut().insert(header::PORT, hub.own.port.into());
    if token == Token::Old {
        insert_token(hub, id, &mut answer);
    }
    Ok(answer)
}

/// A poll that has been let in.
pub(crate) struct Parking {
    pub(crate) id: CustomerId,
    pub(crate) token: Token,
}

/// `/agent/PORT`: an agent that is ready, until an app's request comes or `timeouts.agent` has passed.
pub(crate) struct Parked {
    hub: Rc<Hub>,
    poll: Parking,
    /// Its place in the exchange, if no app has taken it.
    ticket: Option<Ticket>,
}

impl Parked {
    /// Gives the poll to the app that waits longest, or parks it. `None` if it has been answered at once: this instance ends.
    pub(crate) fn park(hub: &Rc<Hub>, line: &Rc<Line>, poll: Parking) -> Option<Self> {
        let id = poll.id;
        let mut parked = Self { hub: hub.clone(), poll, ticket: None };
        if hub.is_draining() {
            parked.say(line, leave(hub));
            return None;
        }
        if !hub.is_settled(id) {
            // It was sent here by a sibling that ends, or this instance has just been started again.
            hub.settle(id);
        }
        hub.periods.polled(id);
        line.rest();
        parked.wait(line);
        Some(parked)
    }

    fn wait(&mut self, line: &Rc<Line>) {
        line.watched.begin(Doing::Parked);
        let hub = &self.hub;
        let arrived =
            hub.exchange.borrow_mut().arrive(self.poll.id, line.lend(), Instant::now(), AppHandle::serve);
        self.ticket = arrived.map(|parked| {
            if let Some(replaced) = parked.replaced {
                replaced.decline(no_app());
            }
            parked.ticket
        });
    }

    /// Waits for its end.
    pub(crate) fn poll(&mut self, line: &Rc<Line>, cx: &mut Context<'_>) -> Poll<Ended> {
        loop {
            let waited = match line.poll_back(cx) {
                // Nobody has so much to say before it has heard anything; and behind it the end would not be seen.
                Poll::Pending if line.is_ahead_full() => return Poll::Ready(Ended::Cut),
                waited => ready!(waited),
            };
            match waited {
                Waited::Back(Back::Whole) => return Poll::Ready(Ended::Said),
                Waited::Back(Back::Cut) | Waited::PeerLeft => return Poll::Ready(Ended::Cut),
                Waited::Back(Back::Word) => {
                    self.say(line, line.take_word().unwrap_or_default());
                    return Poll::Ready(Ended::Said);
                }
                // It was given back because the agent is gone.
                Waited::Back(Back::Unused) if line.is_dead() => return Poll::Ready(Ended::Cut),
                Waited::Back(Back::Unused) if self.hub.is_draining() => {
                    self.say(line, leave(&self.hub));
                    return Poll::Ready(Ended::Said);
                }
                // The app that took this poll has gone before it said anything: wait for the next.
                Waited::Back(Back::Unused) => self.wait(line),
                Waited::Expired(Expired::Parked) if self.take_out() => {
                    self.say(line, no_app());
                    return Poll::Ready(Ended::Said);
                }
                // An app has just taken it.
                Waited::Expired(Expired::Parked) => line.watched.begin(Doing::Busy),
                Waited::Expired(_) => return Poll::Ready(Ended::Cut),
            }
        }
    }

    /// Takes the poll out of the exchange; gives whether it was still there.
    fn take_out(&mut self) -> bool {
        let Some(ticket) = self.ticket.take() else { return false };
        let poll = self.hub.exchange.borrow_mut().unpark(self.poll.id, ticket, Instant::now());
        poll.is_some()
    }

    /// Tells the agent that no app has come. If its token is from an older key it gets a new one, as on `/connect`.
    fn say(&self, line: &Line, mut answer: Answer) {
        if self.poll.token == Token::Old {
            insert_token(&self.hub, self.poll.id, &mut answer);
        }
        say(&self.hub, line, Ok(answer));
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        self.take_out();
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
