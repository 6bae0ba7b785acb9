//! The module's socket: read, and told.

use std::{error::Error, path::PathBuf, time::Duration};

use bytes::Bytes;
use http::{Method, Request, StatusCode, header::HOST};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::{net::UnixStream, task::AbortHandle, time::timeout};

use crate::{reconcile::Post, seen::Seen};

/// How long nginx may take for an answer: it looks into memory only.
const PATIENCE: Duration = Duration::from_secs(1);
/// Most bytes of an answer: 5,000 backends with all their numbers.
const ANSWER_MAX: usize = 32 << 20;
/// What stands in a query as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b':').remove(b'-').remove(b'_');
/// Where the module is.
const PATH: &str = "/backends";

/// What came of a look at nginx.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Reading {
    /// It does not answer, and what was said of that.
    Silent(String),
    /// It runs without the module.
    NoModule,
    /// The module's numbers.
    Seen(Box<Seen>),
}

/// One connection to nginx's control socket, kept.
#[derive(Debug)]
pub(crate) struct Module {
    socket: PathBuf,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    sender: SendRequest<Empty<Bytes>>,
    task: AbortHandle,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Failure = Box<dyn Error + Send + Sync>;

impl Module {
    /// At `socket`; nothing is opened yet.
    pub(crate) fn new(socket: PathBuf) -> Self {
        Self { socket, open: None }
    }

    /// Reads all numbers; after about two seconds at the latest.
    pub(crate) async fn read(&mut self) -> Reading {
        match self.call(Method::GET, PATH).await {
            Ok((StatusCode::OK, body)) => match serde_json::from_slice(&body) {
                Ok(seen) => Reading::Seen(Box::new(seen)),
                Err(error) => Reading::Silent(format!("its numbers cannot be read: {error}")),
            },
            Ok((StatusCode::NOT_FOUND, _)) => Reading::NoModule,
            Ok((status, _)) => Reading::Silent(format!("it answers {status}")),
            Err(why) => Reading::Silent(why),
        }
    }

    /// The number of the configuration that nginx serves.
    pub(crate) async fn generation(&mut self) -> Option<u64> {
        let (status, body) = self.call(Method::GET, "/generation").await.ok()?;
        (status == StatusCode::OK).then(|| str::from_utf8(&body).ok()?.trim().parse().ok()).flatten()
    }

    /// Tells it one thing.
    ///
    /// # Errors
    /// The status, if there was an answer, and what was said.
    pub(crate) async fn post(&mut self, post: &Post) -> Result<(), (Option<StatusCode>, String)> {
        match self.call(Method::POST, &target(post)).await {
            Ok((status, _)) if status.is_success() => Ok(()),
            Ok((status, body)) => Err((Some(status), said(status, &body))),
            Err(why) => Err((None, why)),
        }
    }

    /// One call, made once more if a kept connection turns out to be closed.
    async fn call(&mut self, method: Method, target: &str) -> Result<(StatusCode, Bytes), String> {
        let was_open = self.open.is_some();
        match timeout(PATIENCE, self.attempt(method.clone(), target)).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(_)) if was_open => self.open = None,
            Ok(Err(error)) => {
                self.open = None;
                return Err(error.to_string());
            }
            Err(_) => {
                self.open = None;
                return Err(format!("no answer within {} s", PATIENCE.as_secs()));
            }
        }
        match timeout(PATIENCE, self.attempt(method, target)).await {
            Ok(answer) => answer.map_err(|error| {
                self.open = None;
                error.to_string()
            }),
            Err(_) => {
                self.open = None;
                Err(format!("no answer within {} s", PATIENCE.as_secs()))
            }
        }
    }

    async fn attempt(&mut self, method: Method, target: &str) -> Result<(StatusCode, Bytes), Failure> {
        let open = match &mut self.open {
            Some(open) => open,
            none => {
                let stream = UnixStream::connect(&self.socket).await?;
                let (sender, connection) = handshake(TokioIo::new(stream)).await?;
                let task = tokio::spawn(async move { drop(connection.await) }).abort_handle();
                none.insert(Open { sender, task })
            }
        };
        open.sender.ready().await?;
        let request = Request::builder().method(method).uri(target).header(HOST, "localhost");
        let answer = open.sender.send_request(request.body(Empty::new())?).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_MAX).collect().await?;
        Ok((status, body.to_bytes()))
    }
}

fn target(post: &Post) -> String {
    let plain = |text| utf8_percent_encode(text, PLAIN);
    match post {
        Post::Lease { ms } => format!("{PATH}?lease_ms={ms}"),
        Post::Join { upstream, address } => format!("{PATH}?u={}&join={}", plain(upstream), plain(address)),
        Post::Leave { upstream, address } => format!("{PATH}?u={}&leave={}", plain(upstream), plain(address)),
        Post::State { upstream, address, state } => {
            format!("{PATH}?u={}&b={}&state={state}", plain(upstream), plain(address))
        }
        Post::Weight { upstream, address, weight } => {
            format!("{PATH}?u={}&b={}&weight={weight}", plain(upstream), plain(address))
        }
        Post::Share { upstream, address, share } => {
            format!("{PATH}?u={}&b={}&share={share}", plain(upstream), plain(address))
        }
    }
}

/// What the module said of a refusal.
fn said(status: StatusCode, body: &[u8]) -> String {
    let error = serde_json::from_slice::<serde_json::Value>(body).ok();
    let error = error.as_ref().and_then(|value| value.get("error")?.as_str());
    error.map_or_else(|| format!("it answers {status}"), str::to_owned)
}
