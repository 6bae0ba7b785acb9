//! The call at the monitor: the table goes there, and orders come back. It is made again and again, and the loop never waits for it.

use std::{
    error::Error,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Map;
use switchboard_fleet::{
    KeyRing,
    front::{Done, Order, Parked, Place, Table, Waiting},
    header,
    report::Level,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{sleep, timeout},
};

use crate::{ControllerError, controller::Ask, voice::Voice};

/// The method under which an answer is signed, so that no request can pass for one.
const ANSWER: &[u8] = b"ANSWER";
/// The monitor holds a call for [`Parked::HELD_MAX_MS`]; the rest is for both ways.
const ANSWER_WITHIN: Duration = Duration::from_millis(Parked::HELD_MAX_MS + 10_000);
/// Most bytes of an answer.
const ANSWER_MAX: usize = 4 << 20;
/// Most orders of one answer that are carried out.
const ORDERS_MAX: usize = 5000;
/// The first pause after a call that failed; each further one is twice as long.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// A call follows the one before not sooner than this, whatever the monitor answers.
const REST: Duration = Duration::from_millis(200);
/// How long a connection without a call is kept.
const IDLE_TIME: Duration = Duration::from_secs(20);
/// Most of what the monitor says of a refusal that is passed on, in characters.
const WHY_CHARS: usize = 300;

/// Where the call is parked, and what it is connected to.
pub(crate) struct Park {
    http: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    url: Uri,
    keys: KeyRing,
    table: watch::Receiver<Arc<Table>>,
    asks: mpsc::Sender<Ask>,
    heat: watch::Sender<Vec<Place>>,
    parked: watch::Sender<Option<String>>,
    voice: Voice,
}

/// Why an answer was not taken.
#[derive(Debug, PartialEq, Eq)]
enum Failure {
    /// There was none, or it says that there is no such thing there.
    None(String),
    /// Somebody else gave it.
    Unsigned(String),
    /// The monitor does not want it: the clocks, the key or the length.
    Refused(String),
}

/// What the park is connected to.
pub(crate) struct Ends {
    pub(crate) table: watch::Receiver<Arc<Table>>,
    pub(crate) asks: mpsc::Sender<Ask>,
    pub(crate) heat: watch::Sender<Vec<Place>>,
    pub(crate) parked: watch::Sender<Option<String>>,
    pub(crate) voice: Voice,
}

impl Park {
    /// Calls the monitor at `url`.
    ///
    /// # Errors
    /// The URL cannot be used, or the system's certificates cannot be read.
    pub(crate) fn new(url: &str, keys: KeyRing, ends: Ends) -> Result<Self, ControllerError> {
        let bad = |why: String| ControllerError::Monitor { url: url.into(), why };
        let uri: Uri = format!("{url}{}", Parked::PATH).parse().map_err(|_| bad("not a URL".into()))?;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(PAUSE_MAX));
        let provider = rustls::crypto::ring::default_provider();
        let builder = HttpsConnectorBuilder::new();
        let builder = if uri.scheme_str() == Some("https") {
            builder.with_provider_and_native_roots(provider).map_err(|error| bad(error.to_string()))?
        } else {
            // The certificates would take more memory than all the rest.
            let tls = ClientConfig::builder_with_provider(Arc::new(provider))
                .with_safe_default_protocol_versions()
                .map_err(|error| bad(error.to_string()))?
                .with_root_certificates(RootCertStore::empty())
                .with_no_client_auth();
            builder.with_tls_config(tls)
        };
        let http = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIME)
            .pool_max_idle_per_host(1)
            .build(builder.https_or_http().enable_http1().wrap_connector(tcp));
        let Ends { table, asks, heat, parked, voice } = ends;
        Ok(Self { http, url: uri, keys, table, asks, heat, parked, voice })
    }

    /// Calls for ever.
    pub(crate) async fn run(self) {
        let (mut done, mut pause): (Vec<Done>, _) = (Vec::new(), PAUSE_MIN);
        loop {
            let table = self.table.borrow().clone();
            match self.call(&table, &done).await {
                Ok(waiting) => {
                    self.well();
                    (pause, done) = (PAUSE_MIN, Vec::new());
                    self.heat.send_if_modified(|heat| {
                        let differs = *heat != waiting.heat;
                        *heat = waiting.heat;
                        differs
                    });
                    if waiting.orders.is_empty() {
                        sleep(REST).await;
                        continue;
                    }
                    done = self.carry_out(waiting.orders).await;
                }
                Err(failure) => {
                    self.failed(failure);
                    sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
    }

    /// Has orders carried out; what became of them.
    async fn carry_out(&self, orders: Vec<Order>) -> Vec<Done> {
        let mut replies = Vec::new();
        for order in orders.into_iter().take(ORDERS_MAX) {
            let (reply, answer) = oneshot::channel();
            if self.asks.send(Ask::Order(Box::new(order), reply)).await.is_ok() {
                replies.push(answer);
            }
        }
        let mut done = Vec::new();
        for reply in replies {
            done.extend(reply.await);
        }
        done
    }

    async fn call(&self, table: &Table, done: &[Done]) -> Result<Waiting, Failure> {
        let none = |error: &dyn Error| Failure::None(chain(error));
        let body = body(table, done).map_err(|error| none(&error))?;
        let nonce = HeaderValue::from(rand::random::<u64>());
        let request = self.request(body, &nonce).map_err(|error| none(&error))?;
        let exchange = async {
            let answer = self.http.request(request).await.map_err(|error| none(&error))?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, ANSWER_MAX).collect().await.map_err(|error| none(&*error))?;
            Ok((head, body.to_bytes()))
        };
        let answer = timeout(ANSWER_WITHIN, exchange).await;
        let (head, body) = answer.map_err(|_| Failure::None("no answer in time".into()))??;
        if head.status.is_client_error() && head.status != StatusCode::NOT_FOUND {
            let why = String::from_utf8_lossy(&body).trim().chars().take(WHY_CHARS).collect::<String>();
            return Err(Failure::Refused(format!("{} {why}", head.status.as_u16())));
        }
        if head.status != StatusCode::OK {
            return Err(Failure::None(format!("it answers {}", head.status)));
        }
        trusted(&self.keys, &head.headers, &nonce, &body).map_err(Failure::Unsigned)?;
        serde_json::from_slice(&body).map_err(|error| none(&error))
    }

    fn request(&self, body: Bytes, nonce: &HeaderValue) -> Result<Request<Full<Bytes>>, http::Error> {
        let digest = HeaderValue::try_from(KeyRing::digest(&body))?;
        let mut request = Request::post(self.url.clone()).body(Full::new(body))?;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::NONCE, nonce.clone());
        headers.insert(header::DIGEST, digest);
        let signature = self.keys.sign(&Method::POST, Parked::PATH, headers, SystemTime::now());
        headers.insert(header::SIGNATURE, signature);
        Ok(request)
    }

    fn well(&self) {
        if self.parked.send_replace(None).is_some() {
            self.voice.say(Level::Success, "the monitor takes the table again".into(), Map::new());
        }
    }

    /// Says once what is wrong. A monitor that is away is no fault of this front, but one that is somebody else is.
    fn failed(&self, failure: Failure) {
        let text = match failure {
            Failure::None(why) => {
                tracing::debug!(why, "the monitor does not take the table");
                return;
            }
            Failure::Refused(why) => format!("the monitor at {} refuses this front's table: {why}", self.url),
            Failure::Unsigned(why) => {
                format!("orders from {} are ignored: the answer is not the monitor's ({why})", self.url)
            }
        };
        let is_new = self.parked.send_replace(Some(text.clone())).is_none();
        if is_new {
            self.voice.say(Level::Error, text, Map::new());
        }
    }
}

/// The table and what was done, as JSON. One that is too long goes without its luxuries.
fn body(table: &Table, done: &[Done]) -> Result<Bytes, serde_json::Error> {
    let mut parked = Parked { table: table.clone(), done: done.to_vec() };
    let text = serde_json::to_vec(&parked)?;
    if text.len() <= Table::BYTES_MAX {
        return Ok(text.into());
    }
    (parked.table.heat, parked.table.happened) = (Vec::new(), Vec::new());
    serde_json::to_vec(&parked).map(Bytes::from)
}

/// Whether the answer is the monitor's, to this very question.
fn trusted(keys: &KeyRing, headers: &HeaderMap, nonce: &HeaderValue, body: &[u8]) -> Result<(), String> {
    let method = Method::from_bytes(ANSWER).map_err(|error| error.to_string())?;
    let only = |name| {
        let mut all = headers.get_all(name).iter();
        all.next().filter(|_| all.next().is_none())
    };
    if only(header::NONCE) != Some(nonce) {
        return Err("it answers another question".into());
    }
    if only(header::DIGEST).map(HeaderValue::as_bytes) != Some(KeyRing::digest(body).as_bytes()) {
        return Err("its body is not what was signed".into());
    }
    keys.verify(&method, Parked::PATH, headers, SystemTime::now()).map_err(|error| error.to_string())
}

/// An error with its causes, in one line.
fn chain(error: &dyn Error) -> String {
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
