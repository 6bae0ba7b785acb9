//! HTTP to servers of the fleet and to a desktop's local service.

use std::{error::Error, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, header::CONTENT_LENGTH};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use switchboard_fleet::ServerName;

use crate::{body::Body, patient::PatientConnector};

/// A connection is made within this time or not at all.
const CONNECT: Duration = Duration::from_secs(5);
/// An idle connection is kept so long: less than any server keeps it, so that a call seldom meets its closing.
const POOL_IDLE: Duration = Duration::from_secs(10);

/// The certificates that servers are checked against.
#[derive(Clone)]
pub(crate) struct Tls(Arc<ClientConfig>);

impl Tls {
    /// The system's certificates. A machine that has none still speaks plain HTTP; HTTPS then fails by name.
    pub(crate) fn native() -> Result<Self, rustls::Error> {
        let builder = || {
            ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
                .with_safe_default_protocol_versions()
        };
        let config = match builder()?.with_native_roots() {
            Ok(with_roots) => with_roots.with_no_client_auth(),
            Err(_none) => builder()?.with_root_certificates(RootCertStore::empty()).with_no_client_auth(),
        };
        Ok(Self(Arc::new(config)))
    }
}

/// A pool of connections.
#[derive(Clone)]
pub(crate) struct Http(Client<PatientConnector, Body>);

/// A call that got no answer.
#[derive(Debug, thiserror::Error)]
#[error("{to}: {reason}")]
pub(crate) struct Trouble {
    /// Host and port called.
    pub(crate) to: String,
    /// What went wrong.
    pub(crate) reason: String,
    /// Nothing of the request has left this machine.
    pub(crate) unsent: bool,
}

impl Http {
    /// A pool whose connections break when what was sent stays unacknowledged, or a full receiver takes
    /// nothing, for `unacknowledged`.
    pub(crate) fn new(tls: &Tls, unacknowledged: Duration) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT));
        tcp.set_keepalive(Some(Duration::from_secs(10)));
        tcp.set_keepalive_interval(Some(Duration::from_secs(5)));
        tcp.set_keepalive_retries(Some(3));
        tcp.set_tcp_user_timeout(Some(unacknowledged));
        let connector = PatientConnector(HttpsConnector::from((tcp, tls.0.clone())));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE)
            .build(connector);
        Self(client)
    }

    /// POST to a route of a server; `path` starts with `/`. The answer's body is still to come.
    pub(crate) async fn post(
        &self,
        server: &ServerName,
        path: &str,
        headers: HeaderMap,
        body: Body,
    ) -> Result<Response<Incoming>, Trouble> {
        let trouble = |reason: String| Trouble { to: server.to_string(), reason, unsent: true };
        let uri: Uri = server.url(path).parse().map_err(|e| trouble(format!("no usable address: {e}")))?;
        self.send(Method::POST, uri, headers, body).await
    }

    /// Any request.
    pub(crate) async fn send(
        &self,
        method: Method,
        uri: Uri,
        headers: HeaderMap,
        body: Body,
    ) -> Result<Response<Incoming>, Trouble> {
        let to = uri.authority().map(ToString::to_string).unwrap_or_default();
        let bodiless = body.is_end_stream() && method == Method::POST;
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        if bodiless {
            request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        self.0.request(request).await.map_err(|error| Trouble {
            to,
            reason: innermost(&error),
            unsent: error.is_connect(),
        })
    }
}

/// The cause at the bottom: the one that names what happened.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
