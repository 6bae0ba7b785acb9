//! An order is carried out: refused, or on disk, in nginx, seen there, on record, and answered.

use serde_json::Value;
use switchboard_fleet::front::{Capacity, Change, Done, Happened, Order, Refused};
use tokio::sync::oneshot;

use crate::{
    audit,
    clock::{moment, now_ms},
    controller::Controller,
    files::{Finished, Work},
    module::Reading,
    switches::{Switches, is_id},
};

/// An order that waits for nginx's reload, as there is no module.
pub(crate) struct Putting {
    job: u64,
    order: Box<Order>,
    pub(crate) before: Switches,
    reply: oneshot::Sender<Done>,
}

impl Controller {
    /// Carries out an order, at once or after the one that waits for a reload.
    pub(crate) async fn order(&mut self, order: Box<Order>, reply: oneshot::Sender<Done>) {
        if let Some(done) = self.kept.done(&order.id) {
            // Whoever asked may have gone.
            let _ = reply.send(done.clone());
        } else if self.putting.is_some() {
            self.waiting.push_back((order, reply));
        } else {
            self.carry_out(order, reply).await;
        }
    }

    async fn carry_out(&mut self, order: Box<Order>, reply: oneshot::Sender<Done>) {
        let now_ms = now_ms();
        let table = self.lines.table.borrow().clone();
        let upstream = table.upstream(&order.place.upstream);
        let next = match self.kept.switches.with(&order, upstream, now_ms) {
            Ok(next) => next,
            Err(refused) => return self.answer(*order, Err(refused), reply).await,
        };
        let before = std::mem::replace(&mut self.kept.switches, next);
        if !self.save_state().await {
            self.kept.switches = before;
            let why = "the controller's state could not be written: see the disk of its state_dir".into();
            return self.answer(*order, Err(Refused::Failed { why }), reply).await;
        }
        if order.change == Change::On {
            self.rules.pardon(&order.place, now_ms);
        }
        if self.reading == Reading::NoModule {
            let job = self.begin(Work::Put);
            self.putting = Some(Putting { job, order, before, reply });
            return;
        }
        self.look().await;
        let place = &order.place;
        let taken = match &self.reading {
            Reading::Seen(seen) => self.desired().is_met(seen, &place.upstream, &place.backend),
            // Whenever nginx is back, the next look tells it.
            Reading::Silent(_) | Reading::NoModule => true,
        };
        let outcome = if taken {
            // If nginx is silent, the next looks see to it.
            if let Reading::Seen(_) = self.reading {
                self.begin(Work::Keep);
            }
            Ok(self.sentence(&order, now_ms))
        } else {
            let why = self.failed.get("nginx").cloned();
            let why = why.unwrap_or_else(|| "nginx did not do what it was told".into());
            self.undo(before).await;
            self.look().await;
            Err(Refused::Failed { why: format!("{why}; all is as before") })
        };
        self.answer(*order, outcome, reply).await;
    }

    /// The switches as they were; but nobody who saw others may think that nothing happened.
    async fn undo(&mut self, before: Switches) {
        let version = self.kept.switches.version + 1;
        self.kept.switches = before;
        self.kept.switches.version = version;
        self.save_state().await;
    }

    /// Goes on with an order whose reload is done, and with those that waited for it.
    pub(crate) async fn put_is_done(&mut self, finished: Finished) {
        let Some(putting) = self.putting.take_if(|putting| putting.job <= finished.number) else { return };
        let Putting { order, before, reply, .. } = putting;
        let outcome = match finished.result {
            Ok(_) => {
                self.look().await;
                Ok(self.sentence(&order, now_ms()))
            }
            Err(why) => {
                self.undo(before).await;
                self.look().await;
                Err(Refused::Failed { why })
            }
        };
        self.answer(*order, outcome, reply).await;
        while self.putting.is_none() {
            let Some((order, reply)) = self.waiting.pop_front() else { return };
            Box::pin(self.order(order, reply)).await;
        }
    }

    /// What is so now.
    fn sentence(&self, order: &Order, now_ms: u64) -> String {
        let address = &order.place.backend;
        let until = order.until_ms.map(|until_ms| format!(" until {}", moment(until_ms, now_ms)));
        let until = until.unwrap_or_default();
        let is = match order.change {
            Change::On => "is on".to_owned(),
            Change::Drain => format!("drains{until}"),
            Change::Off => format!("is off{until}"),
            Change::Weight { percent } => format!("has {percent} % of its weight{until}"),
        };
        let table = self.lines.table.borrow().clone();
        let serving = table.upstream(&order.place.upstream).map(|upstream| {
            let all = upstream.backends.iter().filter(|backend| !backend.backup).count();
            let serve = Capacity::of(upstream, order).after;
            format!("; {serve} of {all} backends serve")
        });
        let serving = match &self.reading {
            Reading::Silent(_) => Some("; nginx does not answer: it is told as soon as it does".to_owned()),
            _ => serving,
        };
        format!("{address} {is}{}", serving.unwrap_or_default())
    }

    async fn answer(&mut self, order: Order, outcome: Result<String, Refused>, reply: oneshot::Sender<Done>) {
        let now_ms = now_ms();
        let done = Done { id: order.id.clone(), outcome };
        self.record(audit::line(&order, &done, now_ms)).await;
        if is_id(&order.id) {
            self.kept.remember(done.clone());
        }
        self.dirty = true;
        self.tell_everyone(order, &done, now_ms);
        self.show();
        // Whoever asked may have gone.
        let _ = reply.send(done);
    }

    fn tell_everyone(&mut self, order: Order, done: &Done, now_ms: u64) {
        let what = if done.outcome.is_ok() { order.change.word() } else { "refused" };
        let mut why = audit::outcome(done);
        let line = audit::line(&order, done, now_ms);
        let text = |name: &str| line.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        if !order.why.is_empty() && done.outcome.is_ok() {
            why = format!("{why} ({})", text("why"));
        }
        let place = switchboard_fleet::front::Place { upstream: text("upstream"), backend: text("backend") };
        let who = Some(text("who"));
        self.happened(vec![Happened { at_ms: now_ms, place: Some(place), what: what.into(), why, who }]);
    }
}
