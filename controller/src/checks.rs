//! Each instance is asked how it is, spread over the time between two questions.

use std::{error::Error, io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, Request, StatusCode, header::HOST};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use switchboard_fleet::front::Checked;
use switchboard_health::{Cause, Check};
use tokio::{
    net::TcpStream,
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, sleep_until, timeout_at},
};

use crate::clock::now_ms;

/// Not more often than this is anybody asked: 200 times a second.
const PAUSE_MIN: Duration = Duration::from_millis(5);
/// Most questions under way.
const RUNNING_MAX: usize = 1000;
/// Most bytes of an answer.
const ANSWER_MAX: usize = 1 << 20;
/// The place where an instance says how it is.
const STATUS: &str = "/status";

/// What came of a check.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) address: String,
    pub(crate) check: Check,
    pub(crate) checked: Checked,
}

/// Whom to ask.
pub(crate) type Addresses = Arc<[SocketAddr]>;

/// Asks all of them, one after the other, for ever.
pub(crate) async fn run(
    mut addresses: watch::Receiver<Addresses>,
    every: Duration,
    within: Duration,
    outcomes: mpsc::Sender<Outcome>,
) {
    let (mut running, mut next, mut at) = (JoinSet::new(), Instant::now(), 0);
    loop {
        let all = Arc::clone(&addresses.borrow_and_update());
        let Some(address) = all.get(at % all.len().max(1)).copied() else {
            if addresses.changed().await.is_err() {
                return;
            }
            continue;
        };
        at = (at + 1) % all.len();
        let pause = (every / u32::try_from(all.len()).unwrap_or(u32::MAX)).max(PAUSE_MIN);
        // What was missed is not made up for.
        let soonest = Instant::now() + PAUSE_MIN;
        next = (next + pause).max(soonest);
        tokio::select! {
            () = sleep_until(next) => {}
            // Who is new does not wait for the end of a long pause.
            Ok(()) = addresses.changed() => sleep_until(soonest).await,
        }
        while running.len() >= RUNNING_MAX && running.join_next().await.is_some() {}
        while running.try_join_next().is_some() {}
        let outcomes = outcomes.clone();
        running.spawn(async move { drop(outcomes.send(check(address, within).await).await) });
    }
}

/// Asks one.
async fn check(address: SocketAddr, within: Duration) -> Outcome {
    let (at_ms, begin) = (now_ms(), Instant::now());
    let result = ask(address, begin + within).await;
    let ms = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (check, fault) = match result {
        Ok(()) => (Check::Good { ms: u32::try_from(ms).unwrap_or(u32::MAX) }, None),
        Err(fault) => (Check::Bad(fault.cause), Some(fault.words)),
    };
    Outcome { address: address.to_string(), check, checked: Checked { at_ms, ms, fault } }
}

/// Why a check was not good.
struct Fault {
    cause: Cause,
    words: String,
}

fn fault(cause: Cause, words: impl Into<String>) -> Fault {
    Fault { cause, words: words.into() }
}

/// What is read of `/status`.
#[derive(Deserialize)]
struct Status {
    state: String,
}

async fn ask(address: SocketAddr, deadline: Instant) -> Result<(), Fault> {
    let (status, body) = call(address, Method::GET, STATUS, deadline).await?;
    let state = serde_json::from_slice::<Status>(&body).ok().map(|status| status.state);
    match (status, state.as_deref()) {
        (StatusCode::OK, Some("ready")) => Ok(()),
        // An instance shows its status to its own machine only.
        (StatusCode::NOT_FOUND, _) => {
            let path = format!("/ping/{}", address.port());
            match call(address, Method::POST, &path, deadline).await?.0 {
                StatusCode::OK => Ok(()),
                status => Err(answered(status, None)),
            }
        }
        (StatusCode::OK, None) => Err(fault(Cause::Other, "its answer to /status is no instance's")),
        (status, state) => Err(answered(status, state)),
    }
}

fn answered(status: StatusCode, state: Option<&str>) -> Fault {
    let cause = match status.as_u16() {
        500 => Cause::Status500,
        502 => Cause::Status502,
        503 => Cause::Status503,
        504 => Cause::Status504,
        _ => Cause::Other,
    };
    let state = state.map(|state| format!(": it is {state:.20}")).unwrap_or_default();
    fault(cause, format!("it answered {}{state}", status.as_u16()))
}

async fn call(
    address: SocketAddr,
    method: Method,
    path: &str,
    deadline: Instant,
) -> Result<(StatusCode, Bytes), Fault> {
    let stream = match timeout_at(deadline, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            return Err(fault(Cause::Refused, "the connection was refused"));
        }
        Ok(Err(error)) => return Err(fault(Cause::Refused, format!("no connection: {error}"))),
        Err(_) => return Err(fault(Cause::ConnectTimeout, "no connection in time")),
    };
    let exchange = async {
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
        let request = Request::builder().method(method).uri(path).header(HOST, address.to_string());
        let request = request.body(Empty::<Bytes>::new())?;
        let answer = async {
            let answer = sender.send_request(request).await?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), ANSWER_MAX).collect().await?;
            Ok::<_, Box<dyn Error + Send + Sync>>((status, body.to_bytes()))
        };
        tokio::pin!(answer, connection);
        // The connection's end may be seen before the answer, though that is whole.
        tokio::select! {
            answer = &mut answer => answer,
            _ = &mut connection => answer.await,
        }
    };
    match timeout_at(deadline, exchange).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) if is_broken(&*error) => Err(fault(Cause::Cut, "the connection broke off")),
        Ok(Err(_)) => Err(fault(Cause::Other, "its answer is no HTTP")),
        Err(_) => Err(fault(Cause::ReadTimeout, "no answer in time")),
    }
}

fn is_broken(error: &(dyn Error + Send + Sync + 'static)) -> bool {
    let hyper = error.downcast_ref::<hyper::Error>();
    hyper.is_some_and(|error| error.is_incomplete_message() || error.is_closed() || !error.is_parse())
}

#[cfg(test)]
#[path = "checks_tests.rs"]
mod tests;
