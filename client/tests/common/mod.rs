//! A server whose every answer the test gives: it plays a relay, or the service at a desktop.

#![allow(dead_code, reason = "each test program uses a part")]

use std::{
    collections::VecDeque,
    convert::Infallible,
    future::{Future, pending},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, channel};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use switchboard_client::{Body, BoxError};
use switchboard_fleet::ServerName;
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
    task::{JoinHandle, JoinSet},
    time::{sleep, timeout},
};

/// Far more than anything here takes; reaching it is a failure.
const DEADLINE: Duration = Duration::from_secs(30);

/// Waits for what must come.
pub(crate) async fn within<F: Future>(what: &str, work: F) -> F::Output {
    timeout(DEADLINE, work).await.unwrap_or_else(|_| panic!("{what}: did not come"))
}

pub(crate) fn text(text: &str) -> Body {
    Full::new(Bytes::copy_from_slice(text.as_bytes())).map_err(|never| match never {}).boxed_unsync()
}

/// A body that the test sends piece by piece.
pub(crate) fn pieces() -> (channel::Sender<Bytes, BoxError>, Body) {
    let (sender, body) = channel::Channel::new(1);
    (sender, body.boxed_unsync())
}

/// The next piece of a body.
pub(crate) async fn piece<B>(body: &mut B) -> Option<Bytes>
where
    B: http_body::Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Debug,
{
    within("a piece", body.frame()).await.map(|frame| frame.unwrap().into_data().unwrap())
}

pub(crate) async fn whole<B>(body: B) -> Bytes
where
    B: http_body::Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    within("a body", body.collect()).await.unwrap().to_bytes()
}

/// A call that waits for the test's answer.
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Incoming,
    answer: oneshot::Sender<Response<Body>>,
}

impl Call {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }

    /// Answers; what is left of the request's body is not read.
    pub(crate) fn answer(self, status: u16, headers: &[(&'static str, &str)], body: Body) {
        drop(self.answer_reading(status, headers, body));
    }

    /// Answers, and gives the request's body.
    pub(crate) fn answer_reading(
        self,
        status: u16,
        headers: &[(&'static str, &str)],
        body: Body,
    ) -> Incoming {
        let mut response = Response::new(body);
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        for (name, value) in headers {
            let value = HeaderValue::from_str(value).unwrap();
            response.headers_mut().append(HeaderName::from_static(name), value);
        }
        assert!(self.answer.send(response).is_ok(), "{}: the caller has gone", self.path);
        self.body
    }

    /// Answers without a body.
    pub(crate) fn ok(self, headers: &[(&'static str, &str)]) {
        self.answer(200, headers, text(""));
    }

    /// Resolves when the caller hangs up.
    pub(crate) async fn hung_up(mut self) {
        within("hanging up", self.answer.closed()).await;
    }
}

#[derive(Default)]
struct Mood {
    mute: AtomicBool,
    ping_ms: AtomicU64,
}

/// The server. `/ping` it answers by itself.
pub(crate) struct Relay {
    pub(crate) name: ServerName,
    calls: mpsc::Receiver<Call>,
    seen: VecDeque<Call>,
    mood: Arc<Mood>,
    serving: JoinHandle<()>,
}

impl Relay {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let name = listener.local_addr().unwrap().to_string().parse().unwrap();
        let (sender, calls) = mpsc::channel(64);
        let mood = Arc::new(Mood::default());
        let serving = tokio::spawn(serve(listener, sender, mood.clone()));
        Self { name, calls, seen: VecDeque::new(), mood, serving }
    }

    /// The next call whose path begins so; others wait for their turn.
    pub(crate) async fn next(&mut self, path: &str) -> Call {
        if let Some(index) = self.seen.iter().position(|call| call.path.starts_with(path)) {
            return self.seen.remove(index).unwrap();
        }
        loop {
            let call = within(path, self.calls.recv()).await.unwrap();
            if call.path.starts_with(path) {
                return call;
            }
            self.seen.push_back(call);
        }
    }

    /// Takes in the agent that connects next, and gives its first poll.
    pub(crate) async fn take_in(&mut self, port: u16) -> Call {
        let call = self.next("/connect").await;
        assert_eq!((call.header("x-iwp-productunivid"), call.header("x-iwp-token")), ("7", "secret"));
        call.ok(&[("x-iwp-port", &port.to_string())]);
        self.next(&format!("/agent/{port}")).await
    }

    /// From now on calls get no answer, not even a broken connection.
    pub(crate) fn mute(&self, mute: bool) {
        self.mood.mute.store(mute, Relaxed);
    }

    /// How long a ping takes.
    pub(crate) fn ping_takes(&self, time: Duration) {
        self.mood.ping_ms.store(time.as_millis() as u64, Relaxed);
    }

    /// Everything breaks at once, and nobody listens any more.
    pub(crate) async fn kill(&mut self) {
        self.serving.abort();
        let _ = (&mut self.serving).await;
    }
}

async fn serve(listener: TcpListener, calls: mpsc::Sender<Call>, mood: Arc<Mood>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (calls, mood) = (calls.clone(), mood.clone());
        connections.spawn(async move {
            let service = service_fn(move |request| answer(request, calls.clone(), mood.clone()));
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    calls: mpsc::Sender<Call>,
    mood: Arc<Mood>,
) -> Result<Response<Body>, Infallible> {
    if mood.mute.load(Relaxed) {
        pending::<()>().await;
    }
    if request.uri().path().starts_with("/ping") {
        sleep(Duration::from_millis(mood.ping_ms.load(Relaxed))).await;
        return Ok(Response::new(text("")));
    }
    let (head, body) = request.into_parts();
    let (answer, answered) = oneshot::channel();
    let path = head.uri.to_string();
    let call = Call { method: head.method, path, headers: head.headers, body, answer };
    if calls.send(call).await.is_err() {
        pending::<()>().await;
    }
    match answered.await {
        Ok(response) => Ok(response),
        Err(_the_test_dropped_the_call) => pending().await,
    }
}
