//! The first front's side: it answers those that have the fleet's key, and tells nobody else anything.

use std::{
    collections::HashMap,
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use switchboard_fleet::{KeyRing, header};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc, oneshot},
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    Ask,
    error::SecondError,
    talk::{Answer, BODY_MAX, Envelope, Nonce, PATH, Question, Side},
};

/// Most connections.
const CONNECTIONS_MAX: usize = 64;
/// And of one address, so that no stranger can take them all.
const CONNECTIONS_OF_ONE: usize = 8;
/// Most bytes of a head.
const HEAD_MAX: usize = 16 << 10;
/// Head, body and answer each take no longer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest that one connection lasts: that of one question.
const CONNECTION_WITHIN: Duration = Duration::from_secs(20);
/// A pause after a failure to accept, which may last.
const PAUSE: Duration = Duration::from_millis(100);

/// The listening side.
pub(crate) struct Share {
    listener: TcpListener,
    envelope: Arc<Envelope>,
}

/// How many connections each address has.
type Callers = Arc<Mutex<HashMap<IpAddr, usize>>>;

/// One of an address's places.
struct Place {
    callers: Callers,
    address: IpAddr,
}

impl Place {
    fn take(callers: &Callers, address: IpAddr) -> Option<Self> {
        let mut all = callers.lock().unwrap_or_else(PoisonError::into_inner);
        let count = all.entry(address).or_default();
        if *count >= CONNECTIONS_OF_ONE {
            return None;
        }
        *count += 1;
        Some(Self { callers: callers.clone(), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut all = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = all.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.address);
            }
        }
    }
}

impl Share {
    /// Listens.
    ///
    /// # Errors
    /// The address is taken, or not this machine's.
    pub(crate) async fn bind(address: SocketAddr, keys: &KeyRing) -> Result<Self, SecondError> {
        let listener = TcpListener::bind(address).await;
        let listener = listener.map_err(|error| SecondError::Share { address, error })?;
        Ok(Self { listener, envelope: Arc::new(Envelope::new(keys)) })
    }

    /// Answers for ever.
    pub(crate) async fn serve(self, asks: mpsc::Sender<Ask>) {
        let (places, callers) = (Arc::new(Semaphore::new(CONNECTIONS_MAX)), Callers::default());
        let mut connections = JoinSet::new();
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            while connections.try_join_next().is_some() {}
            match self.listener.accept().await {
                Ok((stream, from)) => {
                    let Some(own) = Place::take(&callers, from.ip()) else { continue };
                    let (envelope, asks) = (self.envelope.clone(), asks.clone());
                    connections.spawn(async move {
                        let _places = (place, own);
                        drop(timeout(CONNECTION_WITHIN, connection(stream, &envelope, &asks)).await);
                    });
                }
                Err(_) => sleep(PAUSE).await,
            }
        }
    }
}

async fn connection(stream: TcpStream, envelope: &Arc<Envelope>, asks: &mpsc::Sender<Ask>) {
    let service = service_fn(|request| {
        let (envelope, asks) = (envelope.clone(), asks.clone());
        async move { Ok::<_, Infallible>(answer(&envelope, &asks, request).await.unwrap_or_else(nothing)) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(HEAD_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // A caller that breaks off is its own affair.
    drop(connection.await);
}

/// Whoever has no key, and whoever has one but is not understood, gets the same.
fn nothing() -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = StatusCode::BAD_REQUEST;
    answer
}

async fn answer(
    envelope: &Envelope,
    asks: &mpsc::Sender<Ask>,
    request: Request<Incoming>,
) -> Option<Response<Full<Bytes>>> {
    if request.method() != Method::POST || request.uri().path() != PATH {
        return None;
    }
    let nonce = request.headers().get(header::NONCE).and_then(Nonce::of)?;
    let body = timeout(PATIENCE, Limited::new(request.into_body(), BODY_MAX).collect()).await.ok()?.ok()?;
    let question: Question = envelope.open(Side::Asker, &nonce, &body.to_bytes())?;
    let (reply, answered) = oneshot::channel();
    asks.send(Ask::Question(Box::new(question), reply)).await.ok()?;
    let answer: Answer = timeout(PATIENCE, answered).await.ok()?.ok()?;
    let sealed = envelope.seal(Side::Answerer, &nonce, &answer)?;
    Some(Response::new(Full::from(sealed)))
}
