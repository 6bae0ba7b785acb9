//! An agent's calls to its instance: hello, and polls.

use std::time::Duration;

use http::{HeaderValue, Response, StatusCode};
use hyper::body::Incoming;
use switchboard_fleet::{InstanceName, ServerName, header};
use tokio::time::{Instant, sleep, timeout};

use super::identity::Identity;
use crate::{
    body,
    http::Http,
    wire::{self, Polled},
};

/// A poll that has no answer by then is broken: instances answer after `timeouts.agent`, far earlier.
const POLL: Duration = Duration::from_secs(90);

/// Why `/connect` did not lead to a place.
#[derive(Debug)]
pub(crate) enum ConnectError {
    /// The token is wrong.
    TokenRefused { server: ServerName, reason: String },
    /// Anything else.
    Failed(String),
}

/// How a poll ended.
pub(crate) struct PollEnd {
    /// The stay that it belongs to.
    pub(crate) stay: u64,
    /// Where it was parked.
    pub(crate) at: InstanceName,
    /// For how long.
    pub(crate) lasted: Duration,
    /// What came.
    pub(crate) outcome: PollOutcome,
    /// A new token, as with [`Place`].
    pub(crate) token: Option<HeaderValue>,
}

/// What came of a poll.
pub(crate) enum PollOutcome {
    Request(Response<Incoming>),
    Nothing,
    MoveTo(InstanceName),
    Failed(String),
}

/// What `/connect` led to.
pub(crate) struct Place {
    /// The instance that took the agent.
    pub(crate) at: InstanceName,
    /// A new token, if the fleet is about to give up the key that made the old one.
    pub(crate) token: Option<HeaderValue>,
}

/// `/connect`: says hello to a server and learns which of its instances took the agent.
pub(crate) async fn connect(
    http: &Http,
    identity: &Identity,
    server: ServerName,
    within: Duration,
) -> Result<Place, ConnectError> {
    let call = http.post(&server, "/connect", identity.headers(), body::empty());
    let answer = match timeout(within, call).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(trouble)) => return Err(ConnectError::Failed(trouble.to_string())),
        Err(_) => return Err(ConnectError::Failed(format!("{server}: no answer within {within:?}"))),
    };
    match wire::connected(answer.status(), answer.headers()) {
        Ok(port) => {
            let token = answer.headers().get(header::TOKEN).cloned();
            Ok(Place { at: InstanceName { server, port }, token })
        }
        Err(refusal) if refusal.status == StatusCode::UNAUTHORIZED => {
            Err(ConnectError::TokenRefused { server, reason: refusal.to_string() })
        }
        Err(refusal) => Err(ConnectError::Failed(format!("{server}: {refusal}"))),
    }
}

/// `/agent/PORT`, begun after `pause`: parks until a request, a hint or nothing comes.
pub(crate) async fn poll(
    http: Http,
    identity: std::sync::Arc<Identity>,
    stay: u64,
    at: InstanceName,
    pause: Duration,
) -> PollEnd {
    sleep(pause).await;
    let begun = Instant::now();
    let path = format!("/agent/{}", at.port);
    let call = http.post(&at.server, &path, identity.headers(), body::empty());
    let mut token = None;
    let outcome = match timeout(POLL, call).await {
        Err(_) => PollOutcome::Failed(format!("{at}: no answer within {POLL:?}")),
        Ok(Err(trouble)) => PollOutcome::Failed(trouble.to_string()),
        Ok(Ok(answer)) => match wire::polled(&at.server, answer.status(), answer.headers()) {
            Polled::Request => PollOutcome::Request(answer),
            Polled::Nothing => {
                token = answer.headers().get(header::TOKEN).cloned();
                PollOutcome::Nothing
            }
            Polled::MoveTo(there) => {
                token = answer.headers().get(header::TOKEN).cloned();
                PollOutcome::MoveTo(there)
            }
            Polled::Refused(refusal) => PollOutcome::Failed(format!("{at}: {refusal}")),
        },
    };
    PollEnd { stay, at, lasted: begun.elapsed(), outcome, token }
}
