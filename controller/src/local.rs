//! The controller's own socket: for programs of this user on this machine, so it asks for no other proof.

use std::{convert::Infallible, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::{Serialize, de::DeserializeOwned};
use switchboard_daemon::PrivateSocket;
use switchboard_fleet::front::{Member, Order, Table};
use tokio::{
    net::UnixStream,
    sync::{Semaphore, mpsc, oneshot, watch},
    task::JoinSet,
    time::timeout,
};

use crate::{ControllerError, controller::Ask};

/// Most connections: each of a thousand instances may have one, and some people.
const CONNECTIONS_MAX: usize = 1200;
/// Most bytes of what is asked.
const BODY_MAX: usize = 64 << 10;
/// A head, and a body, must be there within this; a connection is kept as long without either.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest that an answer takes: a reload of nginx, and another one before it.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// The longest that one connection lasts.
const CONNECTION_WITHIN: Duration = Duration::from_secs(3600);

type Answer = Response<Full<Bytes>>;
/// Why there is none: a status, and a sentence.
type Refusal = (StatusCode, String);

/// Where questions go.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) asks: mpsc::Sender<Ask>,
    pub(crate) table: watch::Receiver<Arc<Table>>,
}

/// The listening side.
pub(crate) struct Local(PrivateSocket);

impl Local {
    /// Listens. Must be made by the holder of the controller's lock.
    ///
    /// # Errors
    /// The folder cannot be written, or its path is too long for a socket.
    pub(crate) fn bind(path: &Path) -> Result<Self, ControllerError> {
        let socket = PrivateSocket::bind(path);
        socket.map(Self).map_err(|error| ControllerError::Socket { path: path.into(), error })
    }

    /// Answers for ever.
    pub(crate) async fn serve(self, desk: Desk) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut connections = JoinSet::new();
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            while connections.try_join_next().is_some() {}
            let (stream, desk) = (self.0.accept().await, desk.clone());
            connections.spawn(async move {
                let _place = place;
                drop(timeout(CONNECTION_WITHIN, connection(stream, desk)).await);
            });
        }
    }
}

async fn connection(stream: UnixStream, desk: Desk) {
    let service = service_fn(move |request| {
        let desk = desk.clone();
        async move { Ok::<_, Infallible>(answer(&desk, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(BODY_MAX)
        .serve_connection(TokioIo::new(stream), service);
    // A caller that breaks off is its own affair.
    drop(connection.await);
}

async fn answer(desk: &Desk, request: Request<Incoming>) -> Answer {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let answered = async {
        match (method, path.as_str()) {
            (Method::GET, "/upstreams") => upstreams(desk, request.uri().query()).await,
            (Method::POST, "/orders") => {
                let order: Box<Order> = read(request).await?;
                let done = ask(desk, |reply| Ask::Order(order, reply)).await?;
                Ok(json(&done))
            }
            (Method::POST, "/join") => {
                let member: Member = read(request).await?;
                let joined = ask(desk, |reply| Ask::Join(member, reply)).await?;
                joined.map(|()| nothing()).map_err(|why| (StatusCode::BAD_REQUEST, why))
            }
            (Method::POST, "/leave") => {
                let member: Member = read(request).await?;
                let left = ask(desk, |reply| Ask::Leave(member, reply)).await?;
                left.map(|()| nothing()).map_err(|why| (StatusCode::SERVICE_UNAVAILABLE, why))
            }
            (_, "/upstreams" | "/orders" | "/join" | "/leave") => {
                let why = "GET /upstreams, POST /orders, /join, /leave";
                Err((StatusCode::METHOD_NOT_ALLOWED, why.into()))
            }
            _ => Err((StatusCode::NOT_FOUND, "no such path".into())),
        }
    };
    let late = || Err((StatusCode::GATEWAY_TIMEOUT, "it takes too long; look what has become of it".into()));
    let answered = timeout(ANSWER_WITHIN, answered).await.unwrap_or_else(|_| late());
    answered.unwrap_or_else(|(status, why)| text(status, why))
}

async fn upstreams(desk: &Desk, query: Option<&str>) -> Result<Answer, Refusal> {
    match query {
        None | Some("heat=0") => Ok(json(&**desk.table.borrow())),
        Some("heat=1") => Ok(json(&*ask(desk, Ask::Heat).await?)),
        Some(_) => Err((StatusCode::BAD_REQUEST, "only ?heat=1 is known here".into())),
    }
}

/// What is asked, as JSON.
async fn read<T: DeserializeOwned>(request: Request<Incoming>) -> Result<T, Refusal> {
    let body = timeout(PATIENCE, Limited::new(request.into_body(), BODY_MAX).collect()).await;
    let body = body.map_err(|_| (StatusCode::REQUEST_TIMEOUT, "the body took too long".into()))?;
    let too_long = |_| (StatusCode::PAYLOAD_TOO_LARGE, format!("at most {BODY_MAX} bytes are taken"));
    let body = body.map_err(too_long)?.to_bytes();
    serde_json::from_slice(&body).map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))
}

/// Asks the controller.
async fn ask<T>(desk: &Desk, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Result<T, Refusal> {
    let ends = |_| (StatusCode::SERVICE_UNAVAILABLE, "the controller ends".into());
    let (reply, answer) = oneshot::channel();
    desk.asks.send(ask(reply)).await.map_err(|_| ends(()))?;
    answer.await.map_err(|_| ends(()))
}

fn json(value: &impl Serialize) -> Answer {
    match serde_json::to_vec(value) {
        Ok(text) => typed(StatusCode::OK, "application/json", text),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

fn text(status: StatusCode, text: String) -> Answer {
    typed(status, "text/plain; charset=utf-8", format!("{text}\n"))
}

fn typed(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

fn nothing() -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer
}
