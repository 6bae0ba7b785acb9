//! What keeps an agent parked: one loop that owns every task of the agent.
//!
//! A *stay* is the time at one instance. Polls of earlier stays are not cut: an app's request that was on its
//! way to them is still answered. Decisions about where to go are `route`'s; this loop carries them out.

use std::{
    collections::VecDeque,
    future::{Future, pending},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use http::HeaderValue;
use switchboard_fleet::{InstanceName, ServerName};
use tokio::{
    sync::watch as latest,
    task::{AbortHandle, JoinError, JoinSet},
    time::{Instant, sleep, timeout},
};
use tracing::{debug, info, warn};

use super::{
    AgentConfig, AgentError, Links, Parked,
    calls::{ConnectError, Place, PollEnd, PollOutcome, connect, poll},
    identity::{Draft, Identity},
    reply::Replier,
    watch::watch,
};
use crate::{
    nearest::{self, Measured},
    route::{Loss, Route, Step},
};

/// Requests answered at one time; beyond it no new poll is opened until one ends.
const ANSWERS_MAX: usize = 64;
/// Polls of earlier stays that are kept; beyond it the oldest are cut.
const LINGERING_MAX: usize = 16;
/// At the end, running answers get so long.
const FINISH: Duration = Duration::from_secs(10);

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// One step of a move.
enum Attempt {
    Connected(Place),
    Failed(ConnectError),
    Rested,
}

/// A parked agent.
pub(crate) struct Engine {
    config: AgentConfig,
    links: Links,
    identity: Arc<Identity>,
    replier: Arc<Replier>,
    route: Route,
    parked: latest::Sender<Option<Parked>>,
    /// The present stay; counts up, so that polls of earlier ones are told apart.
    stay: u64,
    at: Option<InstanceName>,
    polls: JoinSet<PollEnd>,
    /// The polls of this stay, and of earlier ones, oldest first.
    own: Vec<AbortHandle>,
    lingering: VecDeque<AbortHandle>,
    answers: JoinSet<()>,
    /// The pause before the next poll.
    pause: Duration,
    attempt: Option<Boxed<Attempt>>,
    watch: Option<Boxed<Loss>>,
    look: Option<Boxed<Vec<Measured>>>,
}

/// Waits for what may not be there.
async fn ready<T>(work: &mut Option<Boxed<T>>) -> T {
    match work {
        Some(work) => work.await,
        None => pending().await,
    }
}

impl Engine {
    /// An agent that is nowhere yet.
    pub(crate) fn new(
        config: AgentConfig,
        links: Links,
        identity: Arc<Identity>,
        ranked: Vec<ServerName>,
        parked: latest::Sender<Option<Parked>>,
    ) -> Self {
        let replier = Replier::new(links.data.clone(), identity.clone(), config.service.clone());
        Self {
            config,
            links,
            identity,
            replier: Arc::new(replier),
            route: Route::new(ranked),
            parked,
            stay: 0,
            at: None,
            polls: JoinSet::new(),
            own: Vec::new(),
            lingering: VecDeque::new(),
            answers: JoinSet::new(),
            pause: Duration::ZERO,
            attempt: None,
            watch: None,
            look: None,
        }
    }

    /// Stays parked until `shutdown`.
    pub(crate) async fn run(
        mut self,
        mut shutdown: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<(), AgentError> {
        self.step();
        loop {
            self.refill();
            tokio::select! {
                () = &mut shutdown => break,
                Some(ended) = self.polls.join_next() => self.poll_ended(ended),
                Some(_) = self.answers.join_next() => {}
                attempt = ready(&mut self.attempt) => self.attempted(attempt)?,
                loss = ready(&mut self.watch) => {
                    debug!(?loss, "the watch has no answer");
                    self.leave(loss);
                }
                measured = ready(&mut self.look) => self.looked(&measured),
            }
        }
        self.polls.abort_all();
        let finish = async { while self.answers.join_next().await.is_some() {} };
        if timeout(FINISH, finish).await.is_err() {
            warn!("answers still ran after {FINISH:?}; cut off");
        }
        Ok(())
    }

    /// Opens the polls that are missing.
    fn refill(&mut self) {
        let Some(at) = &self.at else { return };
        self.own.retain(|poll| !poll.is_finished());
        while self.own.len() < self.config.polls && self.answers.len() < ANSWERS_MAX {
            let pause = std::mem::take(&mut self.pause);
            let next = poll(self.links.control.clone(), self.identity.clone(), self.stay, at.clone(), pause);
            self.own.push(self.polls.spawn(next));
        }
    }

    fn poll_ended(&mut self, ended: Result<PollEnd, JoinError>) {
        let Ok(PollEnd { stay, at, lasted, outcome, token }) = ended else { return };
        if let Some(token) = token {
            self.renew(token);
        }
        let here = stay == self.stay && self.at.is_some();
        match outcome {
            PollOutcome::Request(request) => {
                self.answers.spawn(self.replier.clone().answer(at, request));
            }
            PollOutcome::Nothing if here => self.pause = self.route.empty(lasted, rand::random()),
            PollOutcome::MoveTo(there) if here => {
                debug!(%at, %there, "sent on");
                if self.route.hinted(&at, &there, Instant::now().into_std()) {
                    self.park(there);
                } else {
                    self.leave(Loss::Broken);
                }
            }
            PollOutcome::Failed(reason) if here => {
                debug!(reason, "poll failed");
                self.leave(Loss::Broken);
            }
            PollOutcome::Nothing | PollOutcome::MoveTo(_) | PollOutcome::Failed(_) => {}
        }
    }

    /// Gives up the present place and begins to look for another.
    fn leave(&mut self, loss: Loss) {
        self.end_stay();
        self.route.lost(loss, Instant::now().into_std());
        self.step();
    }

    /// The polls of this stay linger; whatever watches it ends.
    fn end_stay(&mut self) {
        self.at = None;
        self.stay += 1;
        (self.watch, self.look, self.attempt) = (None, None, None);
        self.lingering.extend(self.own.drain(..));
        self.lingering.retain(|poll| !poll.is_finished());
        while self.lingering.len() > LINGERING_MAX {
            if let Some(oldest) = self.lingering.pop_front() {
                oldest.abort();
            }
        }
    }

    /// Carries out the route's next step.
    fn step(&mut self) {
        match self.route.step(rand::random()) {
            Step::Connect { server, within } => self.connect(server, within),
            Step::Pause(pause) => {
                if self.route.failed_rounds() == 3 {
                    warn!("no server takes this agent; trying on");
                }
                self.attempt = Some(Box::pin(async move {
                    sleep(pause).await;
                    Attempt::Rested
                }));
            }
        }
    }

    fn connect(&mut self, server: ServerName, within: Duration) {
        let (http, identity) = (self.links.control.clone(), self.identity.clone());
        self.attempt = Some(Box::pin(async move {
            match connect(&http, &identity, server, within).await {
                Ok(place) => Attempt::Connected(place),
                Err(error) => Attempt::Failed(error),
            }
        }));
    }

    fn attempted(&mut self, attempt: Attempt) -> Result<(), AgentError> {
        self.attempt = None;
        match attempt {
            Attempt::Rested => self.step(),
            Attempt::Connected(Place { at, token }) => {
                if let Some(token) = token {
                    self.renew(token);
                }
                self.route.arrived(&at.server, Instant::now().into_std());
                self.park(at);
            }
            Attempt::Failed(ConnectError::TokenRefused { server, reason }) => {
                let (id, state_file) = (self.identity.id, self.config.state_file.clone());
                return Err(AgentError::TokenRefused { server, id, reason, state_file });
            }
            Attempt::Failed(ConnectError::Failed(reason)) => {
                debug!(reason, "connect failed");
                // An agent that only looked for a closer server is still where it was.
                if self.at.is_none() {
                    self.step();
                }
            }
        }
        Ok(())
    }

    /// Takes a new token: the old one will not be believed for ever.
    fn renew(&mut self, token: HeaderValue) {
        self.identity = Arc::new(Identity { id: self.identity.id, token: Some(token) });
        let (links, config) = (&self.links, &self.config);
        self.replier =
            Arc::new(Replier::new(links.data.clone(), self.identity.clone(), config.service.clone()));
        let saved = Draft::new(&config.state_file).and_then(|draft| draft.save(&self.identity));
        if let Err(error) = saved {
            warn!(%error, "the new token is used, but not kept");
        }
    }

    /// Begins a stay at `at`.
    fn park(&mut self, at: InstanceName) {
        self.end_stay();
        if self.parked.borrow().is_none() {
            info!("connected to {at} as {}", self.identity.id);
        } else {
            debug!("moved to {at}");
        }
        if !self.config.watch.is_zero() {
            self.watch = Some(Box::pin(watch(self.links.watch.clone(), at.clone(), self.config.watch)));
        }
        self.look_around(&at.server);
        self.at = Some(at.clone());
        self.refill();
        self.parked.send_replace(Some(Parked { id: self.identity.id, at }));
    }

    /// Measures the servers, after a while, against the one it is at.
    fn look_around(&mut self, here: &ServerName) {
        let mut servers = self.config.servers.clone();
        if !servers.contains(here) {
            servers.push(here.clone());
        }
        let after = self.config.look_around;
        if servers.len() < 2 || after.is_zero() {
            return;
        }
        let http = self.links.watch.clone();
        self.look = Some(Box::pin(async move {
            sleep(after).await;
            nearest::measure(&http, &servers).await
        }));
    }

    /// Moves to a clearly closer server; the old polls go on until the new place is there.
    fn looked(&mut self, measured: &[Measured]) {
        self.look = None;
        let Some(at) = self.at.clone() else { return };
        let known = |server: &ServerName| self.config.servers.contains(server);
        self.route.rank(nearest::rank(measured).into_iter().filter(known).collect());
        if let Some(closer) = nearest::closer(measured, &at.server) {
            debug!(here = %at, %closer, "a closer server is there");
            self.connect(closer.clone(), Duration::from_secs(2));
        }
        self.look_around(&at.server);
    }
}
