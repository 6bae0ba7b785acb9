//! Calls to other instances: signed, bounded in time, their answers checked.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::Full;
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use switchboard_fleet::{InstanceName, KeyRing, header};
use tokio::time::timeout;

use crate::{caller::check_headers, peers::Peer, route::FleetRoute};

/// The method under which the answer to a signed call is signed, so that no request can pass for an answer.
pub(crate) const ANSWER: &[u8] = b"ANSWER";
/// Idle connections kept to each peer.
const IDLE_CONNECTIONS: usize = 4;
/// How long an idle connection is kept: shorter than any front or instance keeps its side.
const IDLE_TIME: Duration = Duration::from_secs(20);

/// How an instance calls others; also how the command speaks to instances.
pub struct Outgoing {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    own: InstanceName,
    sibling_address: IpAddr,
    keys: KeyRing,
    deadline: Duration,
    unsigned_answers: bool,
}

/// Why a call brought nothing.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No answer in time, or none at all.
    #[error("no answer: {0}")]
    Unreachable(String),
    /// Nobody listens there: the process has ended.
    #[error("nobody listens there")]
    Ended,
    /// An error status.
    #[error("status {0}{1}")]
    Refused(StatusCode, String),
    /// It answers, but cannot prove that it belongs to this fleet.
    #[error("its answer is not signed with a key of this fleet")]
    Untrusted,
}

impl CallError {
    /// Whether the peer does not know the route: an instance of the original service.
    pub(crate) fn is_unknown_route(&self) -> bool {
        matches!(self, Self::Refused(StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED, _))
    }
}

/// What a call is about.
#[derive(Debug, Default)]
pub struct Call {
    /// For whom the call speaks, if not for the calling instance itself.
    pub on_behalf: Option<InstanceName>,
    /// The headers of its route; who calls and the signature are added.
    pub headers: HeaderMap,
    /// Its body, empty on most routes.
    pub body: Bytes,
}

impl Outgoing {
    /// Calls on behalf of `own`. Siblings are reached at `sibling_address`. Answers without a signature are taken
    /// only with `unsigned_answers`: where instances of the original service take part. A call that has no answer ends
    /// after `deadline`.
    ///
    /// # Errors
    /// If the system's certificates cannot be read.
    pub fn new(
        own: InstanceName,
        sibling_address: IpAddr,
        keys: KeyRing,
        deadline: Duration,
        unsigned_answers: bool,
    ) -> std::io::Result<Self> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(deadline));
        let tls = hyper_rustls::HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(rustls::crypto::ring::default_provider())?
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIME)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .build(tls);
        Ok(Self { client, own, sibling_address, keys, deadline, unsigned_answers })
    }

    /// Calls `route` at `peer`; gives the answer's headers.
    ///
    /// # Errors
    /// [`CallError`], after `timeouts.lookup` at the latest.
    pub async fn call(&self, peer: &Peer, route: FleetRoute, call: Call) -> Result<HeaderMap, CallError> {
        match peer {
            Peer::Server(name) => self.post(name.url(route.path()), route.path(), call).await,
            Peer::Sibling(port) => {
                let path = format!("{}/{port}", route.path());
                self.post(
                    format!("http://{}{path}", SocketAddr::new(self.sibling_address, *port)),
                    &path,
                    call,
                )
                .await
            }
        }
    }

    /// Calls `route` at one instance: a sibling directly, another server's through its front.
    ///
    /// # Errors
    /// As [`Outgoing::call`].
    pub async fn call_instance(
        &self,
        instance: &InstanceName,
        route: FleetRoute,
        call: Call,
    ) -> Result<HeaderMap, CallError> {
        if instance.server == self.own.server {
            return self.call(&Peer::Sibling(instance.port), route, call).await;
        }
        let path = format!("{}/{}", route.path(), instance.port);
        self.post(instance.server.url(&path), &path, call).await
    }

    async fn post(&self, url: String, path: &str, call: Call) -> Result<HeaderMap, CallError> {
        let request =
            self.request(&url, path, call).map_err(|error| CallError::Unreachable(error.to_string()))?;
        let question = answer_path(path, request.headers());
        let answer = timeout(self.deadline, self.client.request(request)).await;
        let answer =
            answer.map_err(|_| CallError::Unreachable(format!("none within {:?}", self.deadline)))?;
        let answer = answer.map_err(|error| unreachable(&error))?;
        let headers = answer.headers();
        if answer.status() != StatusCode::OK {
            let reason = headers.get(header::REASON).and_then(|reason| reason.to_str().ok());
            return Err(CallError::Refused(
                answer.status(),
                reason.map(|r| format!(": {r}")).unwrap_or_default(),
            ));
        }
        if !self.is_trusted(&question, headers) {
            return Err(CallError::Untrusted);
        }
        Ok(answer.into_parts().0.headers)
    }

    fn request(&self, url: &str, path: &str, call: Call) -> Result<Request<Full<Bytes>>, http::Error> {
        let speaker = call.on_behalf.as_ref().unwrap_or(&self.own);
        let mut headers = call.headers;
        headers.insert(header::HOST, HeaderValue::try_from(speaker.server.as_str())?);
        headers.insert(header::PORT, speaker.port.into());
        if !call.body.is_empty() {
            headers.insert(header::DIGEST, HeaderValue::try_from(KeyRing::digest(&call.body))?);
        }
        // Two questions of one moment must not have one signature: an answer to one would be an answer to the other.
        headers.insert(header::NONCE, rand::random::<u64>().into());
        let signature = self.keys.sign(&Method::POST, path, &headers, SystemTime::now());
        headers.insert(header::SIGNATURE, signature);
        let mut request = Request::post(url).body(Full::new(call.body))?;
        *request.headers_mut() = headers;
        Ok(request)
    }

    fn is_trusted(&self, path: &str, headers: &HeaderMap) -> bool {
        let Ok(method) = Method::from_bytes(ANSWER) else { return false };
        if check_headers(headers).is_err() {
            return false;
        }
        if headers.contains_key(header::SIGNATURE) {
            return self.keys.verify(&method, path, headers, SystemTime::now()).is_ok();
        }
        self.unsigned_answers
    }
}

/// Signs the answer to a call at `path` that had the headers `asked`.
pub(crate) fn sign_answer(keys: &KeyRing, path: &str, asked: &HeaderMap, headers: &mut HeaderMap) {
    if let Ok(method) = Method::from_bytes(ANSWER) {
        let signature = keys.sign(&method, &answer_path(path, asked), headers, SystemTime::now());
        headers.insert(header::SIGNATURE, signature);
    }
}

/// What an answer is signed for: one question, known by its own signature, so that no answer passes for that to another.
fn answer_path(path: &str, asked: &HeaderMap) -> String {
    let signature = asked.get(header::SIGNATURE).and_then(|signature| signature.to_str().ok());
    format!("{path} {}", signature.unwrap_or_default())
}

fn unreachable(error: &(dyn std::error::Error + 'static)) -> CallError {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let io = error.downcast_ref::<std::io::Error>();
        if io.is_some_and(|io| io.kind() == std::io::ErrorKind::ConnectionRefused) {
            return CallError::Ended;
        }
        cause = error.source();
    }
    CallError::Unreachable(chain(error))
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
