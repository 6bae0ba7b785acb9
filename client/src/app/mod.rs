//! The app: finds the agent of a customer ID and asks it something.
//!
//! The fleet says where the agent is (`/client`), the app goes there (`/client/PORT`) and, if the agent moved
//! meanwhile, is sent on. `upload` holds the request's body ready for each of these attempts.

mod upload;

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, uri::PathAndQuery};
use hyper::body::Incoming;
use switchboard_fleet::{CustomerId, InstanceName, ServerName, header};
use tokio::time::{Instant, sleep, timeout};
use tracing::debug;

pub use upload::{Upload, UploadError};

use crate::{
    body::{self, Body},
    http::{Http, Tls, Trouble},
    meter::{Limits, Meter},
    nearest,
    route::pause,
    wire::{self, Asked},
};

/// The fleet says where an agent is within this.
const LOCATE: Duration = Duration::from_secs(10);
/// A body may stand still so long; the answer may take so long after its last byte, longer than any timer of
/// the fleet.
const ASK: Limits = Limits { stall: Duration::from_secs(300), answer: Duration::from_secs(120) };
/// An app is sent on so often in one attempt.
const HOPS_MAX: u32 = 5;
/// Pauses between looks for an agent that is not there.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// Whom and how an app asks.
#[derive(Debug, Clone)]
pub struct AppConfig {
    /// The servers it may use, at least one.
    pub servers: Vec<ServerName>,
    /// The agent's customer ID.
    pub id: CustomerId,
    /// End-to-end headers for the agent.
    pub headers: HeaderMap,
    /// The method at the agent's local service; POST if none.
    pub method: Option<Method>,
    /// The path there; `/` if none.
    pub path: Option<PathAndQuery>,
    /// How long to look for an agent that is not there.
    pub wait: Duration,
}

/// Why there is no reply.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No servers were given.
    #[error("no server to ask: give the app at least one")]
    NoServers,
    /// TLS cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
    /// No server says where the agent is.
    #[error("no server could be asked: {0}; check the names and the network")]
    Unreachable(String),
    /// The agent is not there.
    #[error("agent {id} is not connected to this fleet (looked for {waited:?}); start it, or wait longer")]
    NobodyThere {
        /// Whom was looked for.
        id: CustomerId,
        /// For how long.
        waited: Duration,
    },
    /// The agent took the request and did not answer in time; it may have acted on it.
    #[error("agent {id} took the request and did not answer in time{}{reason}; it may have acted on it", sep(.reason))]
    NoAnswer {
        /// Who was asked.
        id: CustomerId,
        /// What the instance said.
        reason: String,
    },
    /// An instance, or the front before it, answered with an error.
    #[error("{at}: {status}{}{reason}", sep(.reason))]
    Refused {
        /// Who answered.
        at: InstanceName,
        /// The status.
        status: StatusCode,
        /// `X-IWP-Reason`.
        reason: String,
    },
    /// The connection broke after the request was begun; the agent may have got it.
    #[error("{at}: the connection broke ({reason}); the agent may have got the request")]
    Broken {
        /// Who was asked.
        at: InstanceName,
        /// What went wrong.
        reason: String,
    },
    /// Nothing moved for minutes.
    #[error("{at}: nothing moved for too long; the agent may have got the request")]
    Stalled {
        /// Who was asked.
        at: InstanceName,
    },
    /// Sent from instance to instance.
    #[error("sent on {HOPS_MAX} times without finding agent {0}; try again")]
    Hops(CustomerId),
    /// The request's body cannot be read, or not again.
    #[error(transparent)]
    Upload(#[from] UploadError),
}

fn sep(text: &str) -> &'static str {
    if text.is_empty() { "" } else { ": " }
}

/// An app. Its connections are kept between calls.
pub struct App {
    config: AppConfig,
    http: Http,
}

/// What came of one attempt.
enum Attempt {
    Reply(Response<Incoming>),
    Nobody,
}

impl App {
    /// An app that has not asked anything yet.
    ///
    /// # Errors
    /// No servers, or TLS cannot be set up.
    pub fn new(config: AppConfig) -> Result<Self, CallError> {
        if config.servers.is_empty() {
            return Err(CallError::NoServers);
        }
        let tls = Tls::native().map_err(|error| CallError::Tls(error.to_string()))?;
        Ok(Self { config, http: Http::new(&tls, ASK.stall) })
    }

    /// Asks the agent. The reply's body is still to come; its status may be an error of the agent's service.
    ///
    /// # Errors
    /// [`CallError`] says which part failed, and whether the agent may have got the request.
    pub async fn call(&self, upload: &mut Upload) -> Result<Response<Body>, CallError> {
        let ranked = match self.config.servers.as_slice() {
            one @ [_] => one.to_vec(),
            several => nearest::rank(&nearest::measure(&self.http, several).await),
        };
        let begun = Instant::now();
        let mut looks = 0;
        loop {
            if let Some(at) = self.locate(&ranked).await?
                && let Attempt::Reply(reply) = self.follow(at, upload).await?
            {
                return Ok(reply.map(body::incoming));
            }
            looks += 1;
            let rest = pause(PAUSES.0, PAUSES.1, looks, rand::random());
            if begun.elapsed() + rest > self.config.wait {
                return Err(CallError::NobodyThere { id: self.config.id, waited: self.config.wait });
            }
            sleep(rest).await;
        }
    }

    /// Asks the closest server, or the next if it fails, where the agent is.
    async fn locate(&self, ranked: &[ServerName]) -> Result<Option<InstanceName>, CallError> {
        let mut why = String::new();
        for server in ranked {
            let mut headers = HeaderMap::new();
            headers.insert(header::PRODUCT_UNIV_ID, HeaderValue::from(self.config.id.get()));
            let call = self.http.post(server, "/client", headers, body::empty());
            why = match timeout(LOCATE, call).await {
                Ok(Ok(answer)) => match wire::asked(server, answer.status(), answer.headers()) {
                    Asked::At(at) => return Ok(Some(at)),
                    Asked::Nobody => return Ok(None),
                    Asked::Refused { refusal, .. } => format!("{server}: {refusal}"),
                    Asked::Reply => format!("{server}: not a server of a fleet"),
                },
                Ok(Err(trouble)) => trouble.to_string(),
                Err(_) => format!("{server}: no answer within {LOCATE:?}"),
            };
            debug!(why, "server failed");
        }
        Err(CallError::Unreachable(why))
    }

    /// Asks at `at`, and wherever it is sent on to.
    async fn follow(&self, mut at: InstanceName, upload: &mut Upload) -> Result<Attempt, CallError> {
        for _ in 0..=HOPS_MAX {
            let answer = match self.ask(&at, upload).await? {
                Ok(answer) => answer,
                Err(trouble) if trouble.unsent => {
                    debug!(%trouble, "instance gone");
                    return Ok(Attempt::Nobody);
                }
                Err(trouble) => return Err(CallError::Broken { at, reason: trouble.reason }),
            };
            match wire::asked(&at.server, answer.status(), answer.headers()) {
                Asked::Reply => return Ok(Attempt::Reply(answer)),
                Asked::Nobody => return Ok(Attempt::Nobody),
                Asked::At(there) => {
                    debug!(%at, %there, "sent on");
                    at = there;
                }
                Asked::Refused { refusal, retry: true, .. } => {
                    debug!(%at, %refusal, "to be asked again");
                    return Ok(Attempt::Nobody);
                }
                Asked::Refused { refusal, recycle: true, .. } => {
                    return Err(CallError::NoAnswer { id: self.config.id, reason: refusal.reason });
                }
                Asked::Refused { refusal, .. } => {
                    return Err(CallError::Refused { at, status: refusal.status, reason: refusal.reason });
                }
            }
        }
        Err(CallError::Hops(self.config.id))
    }

    /// POST /client/PORT with the body from its start. Unless the agent replies, the body is taken back, so
    /// that no attempt goes on sending behind the next one's back.
    async fn ask(
        &self,
        at: &InstanceName,
        upload: &mut Upload,
    ) -> Result<Result<Response<Incoming>, Trouble>, CallError> {
        let (meter, lent) = Meter::lend(upload.open().await?);
        let path = format!("/client/{}", at.port);
        let call = self.http.post(&at.server, &path, self.headers(), lent);
        let Ok(answer) = meter.watch(ASK, call).await else {
            meter.revoke();
            return Err(CallError::Stalled { at: at.clone() });
        };
        let reply = |a: &Response<_>| wire::asked(&at.server, a.status(), a.headers()) == Asked::Reply;
        if !answer.as_ref().is_ok_and(reply) {
            meter.revoke();
        }
        Ok(answer)
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = self.config.headers.clone();
        headers.insert(header::PRODUCT_UNIV_ID, HeaderValue::from(self.config.id.get()));
        let method = self.config.method.as_ref().map(Method::as_str);
        let path = self.config.path.as_ref().map(PathAndQuery::as_str);
        for (name, value) in [(header::METHOD, method), (header::PATH, path)] {
            if let Some(value) = value.and_then(|v| HeaderValue::from_str(v).ok()) {
                headers.insert(name, value);
            }
        }
        headers
    }
}
