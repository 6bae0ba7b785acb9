//! How an app finds its agent's poll: parked here, expected here, or gone elsewhere.

use std::{rc::Rc, time::Instant};

use switchboard_fleet::{CustomerId, InstanceName};
use tokio::{sync::oneshot, time::timeout};

use crate::{
    agents::draining,
    exchange::{Found, Ticket},
    hub::Hub,
    lookup,
    refusal::Refusal,
    wire::{line::Line, speaker::Speaker},
};

/// A waiting app.
pub(crate) struct AppHandle(oneshot::Sender<Turn>);

/// What happens to a waiting app.
enum Turn {
    Poll(Speaker),
    Moved,
}

impl AppHandle {
    /// Gives the app a poll, by the say on its line; gives the poll back if the app has just gone.
    pub(crate) fn serve(self, poll: Speaker) -> Result<(), Speaker> {
        match self.0.send(Turn::Poll(poll)) {
            Err(Turn::Poll(poll)) => Err(poll),
            _ => Ok(()),
        }
    }

    /// Tells the app to look elsewhere.
    pub(crate) fn moved(self) {
        // An app that has just gone needs no telling.
        let _ = self.0.send(Turn::Moved);
    }
}

/// An app's question that is being worked on: a drain waits for it. Counted down on drop.
pub(crate) struct Question(Rc<Hub>);

impl Question {
    pub(crate) fn begin(hub: &Rc<Hub>) -> Self {
        hub.questions.set(hub.questions.get() + 1);
        Self(hub.clone())
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        self.0.questions.set(self.0.questions.get() - 1);
    }
}

/// What an app finds in the end.
pub(crate) enum Meeting {
    Poll(Speaker),
    Elsewhere(InstanceName),
    Nobody,
}

/// Where the agent of `id` is: here, elsewhere as far as was heard, or as the fleet says when asked.
pub(crate) async fn locate(hub: &Rc<Hub>, id: CustomerId) -> Option<InstanceName> {
    let _question = Question::begin(hub);
    if hub.is_here(id) {
        return Some(hub.own.clone());
    }
    if let Some(location) = hub.elsewhere(id) {
        return Some(location.place);
    }
    let location = lookup::ask_fleet(hub, id).await?;
    hub.heard_of(id, &location.place, location.since);
    Some(location.place)
}

/// The newest poll of the agent of `id`, if one is parked here.
pub(crate) fn find(hub: &Hub, id: CustomerId) -> Option<Speaker> {
    match hub.exchange.borrow_mut().find(id, Instant::now()) {
        Found::Poll(poll) => Some(poll),
        _ => None,
    }
}

/// Looks for the agent of `id` until it is found or no longer expected.
///
/// # Errors
/// 503 if too many apps wait for this agent, or if this instance ends.
pub(crate) async fn meet(hub: &Rc<Hub>, line: &Line, id: CustomerId) -> Result<Meeting, Refusal> {
    let mut asked = false;
    loop {
        let found = hub.exchange.borrow_mut().find(id, Instant::now());
        if let Found::Poll(poll) = found {
            return Ok(Meeting::Poll(poll));
        }
        if let Some(location) = hub.elsewhere(id) {
            return Ok(Meeting::Elsewhere(location.place));
        }
        if hub.ending.get() {
            return Err(draining());
        }
        if matches!(found, Found::Expected) {
            let served = wait_in_line(hub, id).await?;
            if line.socket().has_hung_up() {
                // Its poll, if it has been given one, parks again.
                return Err(Refusal::bad("the app hung up while it waited").closing());
            }
            if let Some(poll) = served {
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

/// Waits `timeouts.client` for a poll; `None` means: look again.
async fn wait_in_line(hub: &Rc<Hub>, id: CustomerId) -> Result<Option<Speaker>, Refusal> {
    let (turn, served) = oneshot::channel();
    let ticket = hub.exchange.borrow_mut().wait(id, AppHandle(turn));
    let ticket = ticket.map_err(|_| Refusal::busy("too many apps wait for this agent").retriable())?;
    let _place = InLine { hub: hub.clone(), id, ticket };
    match timeout(hub.config.timeouts.client.get(), served).await {
        Ok(Ok(Turn::Poll(poll))) => Ok(Some(poll)),
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
