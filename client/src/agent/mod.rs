//! The agent: what it is told, and its life from start to end.
//!
//! `identity` and `register` give it its ID, `calls` are its calls to the fleet, `engine` keeps it parked,
//! `watch` notices a silent instance, `reply` and `forward` answer requests.

mod calls;
mod engine;
mod forward;
mod identity;
mod register;
mod reply;
mod watch;

use std::{future::Future, path::PathBuf, pin::pin, sync::Arc, time::Duration};

use http::Uri;
use switchboard_fleet::{CustomerId, InstanceName, ServerName};
use tokio::sync::watch as latest;

pub use identity::StateError;

use crate::{
    http::{Http, Tls},
    nearest,
};

/// Polls broken by an unanswered packet for so long are given up; bodies never travel this way.
const CONTROL_UNACKNOWLEDGED: Duration = Duration::from_secs(10);
/// A body may stand still for so long, in either direction, before its transaction is given up.
pub(crate) const STALL: Duration = Duration::from_secs(300);

/// What answers the requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Service {
    /// The request's body comes back as it arrives.
    Echo,
    /// Requests go to the HTTP service at this `http://` or `https://` address. A path in it is put before the
    /// request's own.
    Forward(Uri),
}

/// What an agent is told.
#[derive(Debug, Clone)]
pub struct AgentConfig {
    /// The servers it may use, at least one.
    pub servers: Vec<ServerName>,
    /// Where ID and token are kept; made at the first start.
    pub state_file: PathBuf,
    /// What answers the requests.
    pub service: Service,
    /// How often it looks whether its instance still answers; zero: never.
    pub watch: Duration,
    /// Polls kept parked, 1 to 16. With more than one, requests that come at the same moment need not wait for
    /// the next poll.
    pub polls: usize,
    /// How often it looks for a clearly closer server; zero: never.
    pub look_around: Duration,
}

impl AgentConfig {
    /// The usual times: a watch every second, one poll, a look around every minute.
    pub fn new(servers: Vec<ServerName>, state_file: impl Into<PathBuf>, service: Service) -> Self {
        Self {
            servers,
            state_file: state_file.into(),
            service,
            watch: Duration::from_secs(1),
            polls: 1,
            look_around: Duration::from_secs(60),
        }
    }
}

/// Where an agent is parked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    /// Its customer ID.
    pub id: CustomerId,
    /// The instance that took it.
    pub at: InstanceName,
}

/// Why an agent cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// No servers were given.
    #[error("no server to connect to: give the agent at least one")]
    NoServers,
    /// Polls out of bounds.
    #[error("{0} polls: give the agent 1 to 16")]
    Polls(usize),
    /// Requests cannot be forwarded to this address.
    #[error("{0}: requests can only be forwarded to an address such as http://127.0.0.1:3000")]
    ForwardUrl(Uri),
    /// The state file cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// TLS cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
    /// The fleet does not believe the token.
    #[error(
        "{server} refuses the token of agent {id} ({reason}): {} belongs to another fleet, or the fleet lost its \
         key; move the file away to register anew",
        .state_file.display()
    )]
    TokenRefused {
        /// The server.
        server: ServerName,
        /// The agent.
        id: CustomerId,
        /// What the server said.
        reason: String,
        /// Where the token is kept.
        state_file: PathBuf,
    },
}

/// A desktop agent. [`Agent::run`] does everything.
#[derive(Debug)]
pub struct Agent {
    config: AgentConfig,
    parked: latest::Sender<Option<Parked>>,
}

/// The connections of an agent.
#[derive(Clone)]
struct Links {
    /// Registration, `/connect` and polls.
    control: Http,
    /// Replies and the local service: what carries bodies.
    data: Http,
    /// The watch, so that nothing else delays it.
    watch: Http,
}

impl Agent {
    /// An agent that is not running yet.
    ///
    /// # Errors
    /// No servers, polls out of bounds, or an address that cannot be forwarded to.
    pub fn new(config: AgentConfig) -> Result<Self, AgentError> {
        if config.servers.is_empty() {
            return Err(AgentError::NoServers);
        }
        if !(1..=16).contains(&config.polls) {
            return Err(AgentError::Polls(config.polls));
        }
        if let Service::Forward(base) = &config.service
            && !forward::is_base(base)
        {
            return Err(AgentError::ForwardUrl(base.clone()));
        }
        Ok(Self { config, parked: latest::Sender::new(None) })
    }

    /// Where the agent is parked, as it changes; `None` before the first time.
    pub fn parked(&self) -> latest::Receiver<Option<Parked>> {
        self.parked.subscribe()
    }

    /// Registers if need be, connects, and answers requests until `shutdown`; then finishes the answers that
    /// run, for at most ten seconds. Servers that go away are no error: it tries on.
    ///
    /// # Errors
    /// The state file cannot be used, or the fleet refuses the token.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), AgentError> {
        let mut shutdown = pin!(shutdown);
        let tls = Tls::native().map_err(|error| AgentError::Tls(error.to_string()))?;
        let links = Links {
            control: Http::new(&tls, CONTROL_UNACKNOWLEDGED),
            data: Http::new(&tls, STALL),
            watch: Http::new(&tls, CONTROL_UNACKNOWLEDGED),
        };
        let begin = async {
            let ranked = nearest::rank(&nearest::measure(&links.control, &self.config.servers).await);
            let identity = register::identity(&links.control, &ranked, &self.config.state_file).await?;
            Ok::<_, AgentError>((ranked, identity))
        };
        let (ranked, identity) = tokio::select! {
            () = &mut shutdown => return Ok(()),
            begun = begin => begun?,
        };
        engine::Engine::new(self.config, links, Arc::new(identity), ranked, self.parked).run(shutdown).await
    }
}
