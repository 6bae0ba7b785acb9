//! A transaction that runs: counted once when it ends, however that is, and by whom its app is answered.

use std::{cell::Cell, rc::Rc, time::Instant};

use switchboard_fleet::CustomerId;
use tokio::sync::oneshot;

use crate::{
    counters::count, hub::Hub, refusal::Refusal, service::refused, transactions::RequestId,
    wire::speaker::Speaker,
};

/// A transaction, ended on drop.
pub(crate) struct Running {
    hub: Rc<Hub>,
    id: CustomerId,
    request: RequestId,
    began: Instant,
    end: Cell<End>,
}

/// How a transaction counts.
#[derive(Debug, Clone, Copy)]
enum End {
    Failed,
    Completed,
    /// It never reached the agent: as if it had not begun.
    Forgotten,
}

impl Running {
    /// An agent of `id` is about to get a request.
    pub(crate) fn begin(hub: &Rc<Hub>, id: CustomerId) -> Self {
        hub.exchange.borrow_mut().started(id);
        count(&hub.counters.started);
        hub.periods.began(id);
        let request = hub.fresh_request_id();
        Self { hub: hub.clone(), id, request, began: Instant::now(), end: Cell::new(End::Failed) }
    }

    /// Its name.
    pub(crate) fn request(&self) -> RequestId {
        self.request
    }

    /// It never reached the agent.
    pub(crate) fn forget(self) {
        self.end.set(End::Forgotten);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.hub.transactions.borrow_mut().end(self.request);
        self.hub.exchange.borrow_mut().ended(self.id, Instant::now());
        self.hub.periods.ended();
        let counters = &self.hub.counters;
        let completed = match self.end.get() {
            End::Forgotten => return counters.started.set(counters.started.get() - 1),
            End::Completed => true,
            End::Failed => false,
        };
        count(if completed { &counters.completed } else { &counters.failed });
        self.hub.periods.finished(completed, self.began.elapsed());
    }
}

/// An app that has asked: who holds this answers it.
pub(crate) struct Asked {
    pub(crate) app: Speaker,
    pub(crate) running: Running,
}

impl Asked {
    /// The app has been sent the whole reply.
    pub(crate) fn complete(self) {
        self.running.end.set(End::Completed);
        self.app.finish();
    }
}

/// What the reply's side has of a transaction.
pub(crate) struct ReplyEnd {
    asked: oneshot::Receiver<Asked>,
    /// Told when a reply has come, or why it was refused.
    arrived: oneshot::Sender<Result<(), Refusal>>,
}

/// Where the apps' side puts the app once it can be answered, and hears of the reply before that.
pub(crate) type AskedEnd = (oneshot::Sender<Asked>, oneshot::Receiver<Result<(), Refusal>>);

impl ReplyEnd {
    /// Both ends.
    pub(crate) fn new() -> (AskedEnd, Self) {
        let (asked, taken) = oneshot::channel();
        let (arrived, told) = oneshot::channel();
        ((asked, told), Self { asked: taken, arrived })
    }

    /// A reply has come: gives the app as soon as it can be answered, `None` if it has gone.
    pub(crate) async fn asked(self) -> Option<Asked> {
        // If nobody hears it, the app can be answered already, or has gone.
        let _ = self.arrived.send(Ok(()));
        self.asked.await.ok()
    }

    /// Tells the app that it gets no reply.
    pub(crate) fn refuse(mut self, hub: &Hub, refusal: Refusal) {
        match self.asked.try_recv() {
            Ok(asked) => asked.app.decline(refused(hub, &refusal)),
            // The app's side still carries the request; if it has gone it needs no telling.
            Err(_) => drop(self.arrived.send(Err(refusal))),
        }
    }

    /// The app, if it has been put here.
    pub(crate) fn into_asked(mut self) -> Option<Asked> {
        self.asked.try_recv().ok()
    }
}
