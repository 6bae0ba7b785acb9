//! The sending thread's work: from the queue into the backlog, from the backlog to the monitor.

use std::{future::pending, mem, pin::Pin, sync::Arc, sync::PoisonError, time::Duration};

use bytes::Bytes;
use http::StatusCode;
use switchboard_fleet::report::{Batch, Told, WorkerKind};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout_at};

use crate::{
    answer::{Verdict, judge},
    backlog::{Backlog, Outgoing},
    client::Client,
    config::Bounds,
    line,
    pace::Pace,
    queue::Place,
    reporter::{Shared, now_ms},
    vitals::Vitals,
};

/// Failures in a row after which a program that ends leaves the rest to its next life.
const LAST_TRIES: u32 = 2;

/// What the sending thread has.
pub(crate) struct Sender {
    pub(crate) shared: Arc<Shared>,
    pub(crate) worker: String,
    pub(crate) kind: WorkerKind,
    pub(crate) bounds: Bounds,
    pub(crate) backlog: Backlog,
    pub(crate) client: Client,
    pub(crate) vitals: Vitals,
    pace: Pace,
    started: Instant,
    /// When a state was told for what is wrong, as that had changed.
    news_told: Option<Duration>,
}

/// A batch on its way.
struct Flight {
    outgoing: Outgoing,
    answer: Pin<Box<dyn Future<Output = Answer> + Send>>,
}

/// Status and body; `None` without an answer in time.
type Answer = Option<(StatusCode, Bytes)>;

impl Sender {
    pub(crate) fn new(
        shared: Arc<Shared>,
        (worker, kind): (String, WorkerKind),
        bounds: Bounds,
        backlog: Backlog,
        client: Client,
        vitals: Vitals,
    ) -> Self {
        let pace = Pace::new(&bounds, bounds.batch_reports.clamp(1, Batch::REPORTS_MAX));
        let started = Instant::now();
        Self { shared, worker, kind, bounds, backlog, client, vitals, pace, started, news_told: None }
    }

    /// Works until the queue is closed, and then for half of `stop_within` at most.
    pub(crate) async fn run(mut self) {
        let mut states = interval(self.bounds.state_every);
        states.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut flight: Option<Flight> = None;
        while !self.shared.queue().is_closed() {
            self.tell_news();
            self.collect();
            if flight.is_none() && self.now() >= self.pace.not_before() {
                flight = self.take_off();
                if flight.is_none() && !self.backlog.is_empty() {
                    // Nothing of it can be read now.
                    self.pace.failed(self.now());
                }
            }
            let wake = self.wake(flight.is_some());
            tokio::select! {
                answer = landing(flight.as_mut()) => if let Some(flight) = flight.take() {
                    self.settle(&flight.outgoing, answer);
                },
                _ = states.tick() => self.tell_state(),
                () = sleep_until(wake) => {}
                () = self.shared.wake.notified() => {}
            }
        }
        self.finish(flight).await;
    }

    /// Saves everything first, then sends while there is time and the monitor takes it. A monitor that is away keeps
    /// nobody from ending.
    async fn finish(&mut self, mut flight: Option<Flight>) {
        let until = Instant::now() + self.bounds.stop_within / 2;
        self.collect();
        self.backlog.save();
        let mut failures = 0;
        while let Some(mut flight) = flight.take().or_else(|| self.take_off()) {
            let Ok(answer) = timeout_at(until, landing(Some(&mut flight))).await else { return };
            failures = if self.settle(&flight.outgoing, answer) { 0 } else { failures + 1 };
            if failures == LAST_TRIES {
                return;
            }
        }
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// When to look again if nothing happens.
    fn wake(&self, is_flying: bool) -> Instant {
        let look = Instant::now() + self.bounds.send_every;
        if is_flying || self.backlog.is_empty() {
            return look;
        }
        look.min(self.started + self.pace.not_before()).max(Instant::now() + Duration::from_millis(1))
    }

    /// Tells at once that something else is wrong than before; not more often than the queue is looked at, however often a program
    /// changes its mind.
    fn tell_news(&mut self) {
        let now = self.now();
        let early = self.news_told.is_some_and(|told| now.saturating_sub(told) < self.bounds.send_every);
        if !early && self.shared.wrong().is_news() {
            self.news_told = Some(now);
            self.tell_state();
        }
    }

    fn tell_state(&self) {
        let lost = self.shared.queue().lost();
        let wrong = self.shared.wrong().tell();
        let state = self.vitals.state(self.now(), lost, wrong);
        self.shared.tell(now_ms(), Told::State(state), Place::Any);
    }

    fn collect(&mut self) {
        let now = self.now();
        self.backlog.add(now, self.shared.take());
        let panics = mem::take(&mut *self.shared.panics.lock().unwrap_or_else(PoisonError::into_inner));
        for (name, bytes) in panics {
            self.backlog.adopt(name, bytes);
        }
        self.backlog.save_older(now, self.bounds.send_every);
        self.count_lost();
    }

    fn count_lost(&mut self) {
        let lost = self.backlog.take_lost();
        if lost > 0 {
            self.shared.queue().lose(lost);
        }
    }

    fn take_off(&mut self) -> Option<Flight> {
        let outgoing = self.backlog.next(self.pace.reports_max(), self.bounds.batch_bytes)?;
        let batch = line::batch(&self.worker, self.kind, outgoing.boot, &outgoing.lines)?;
        Some(Flight { outgoing, answer: Box::pin(self.client.clone().post(batch)) })
    }

    /// Does what an answer, or none, asks for. Whether it is of use to send on at once.
    fn settle(&mut self, outgoing: &Outgoing, answer: Answer) -> bool {
        self.backlog.landed();
        let sent: Vec<u64> = outgoing.lines.iter().map(|line| line.seq).collect();
        let verdict = answer.map_or(Verdict::Later, |(status, body)| judge(&sent, status, &body));
        let now = self.now();
        match verdict {
            Verdict::Taken(count) => {
                self.backlog.done(outgoing, count);
                self.pace.taken(now);
                return true;
            }
            Verdict::Refused => {
                if self.pace.refused(now, sent.len()) {
                    self.backlog.done(outgoing, 1);
                    self.shared.queue().lose(1);
                }
            }
            Verdict::Later => self.pace.failed(now),
        }
        self.backlog.save();
        self.count_lost();
        verdict == Verdict::Refused && sent.len() > 1
    }
}

/// The answer, when there is one.
async fn landing(flight: Option<&mut Flight>) -> Answer {
    match flight {
        Some(flight) => flight.answer.as_mut().await,
        None => pending().await,
    }
}
