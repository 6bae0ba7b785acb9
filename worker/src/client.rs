//! The call that carries a batch.

use std::{error::Error, io, sync::Arc, time::SystemTime};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client as Http, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{ClientConfig, RootCertStore};
use switchboard_fleet::{KeyRing, header, report::Taken};
use tokio::time::{Duration, timeout};

/// Most bytes of an answer: all gaps that it may name, with room to spare.
const ANSWER_MAX: usize = 64 * Taken::MISSING_MAX;
/// How long a connection without a call is kept.
const IDLE_TIME: Duration = Duration::from_secs(20);

/// Calls one monitor.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: Http<HttpsConnector<HttpConnector>, Full<Bytes>>,
    url: Uri,
    keys: Option<KeyRing>,
    deadline: Duration,
}

impl Client {
    /// Calls `url`, signs if there are keys, and waits `deadline` for an answer.
    ///
    /// # Errors
    /// If `url` is HTTPS and the system's certificates cannot be read.
    pub(crate) fn new(url: Uri, keys: Option<KeyRing>, deadline: Duration) -> io::Result<Self> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let builder = hyper_rustls::HttpsConnectorBuilder::new();
        let provider = rustls::crypto::ring::default_provider();
        let builder = if url.scheme_str() == Some("https") {
            builder.with_provider_and_native_roots(provider)?
        } else {
            // The certificates would take more memory than all the rest.
            let tls = ClientConfig::builder_with_provider(Arc::new(provider))
                .with_safe_default_protocol_versions()
                .map_err(io::Error::other)?
                .with_root_certificates(RootCertStore::empty())
                .with_no_client_auth();
            builder.with_tls_config(tls)
        };
        let http = Http::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIME)
            .pool_max_idle_per_host(1)
            .build(builder.https_or_http().enable_http1().wrap_connector(tcp));
        Ok(Self { http, url, keys, deadline })
    }

    /// Sends a batch. Status and body of the answer; `None` without one in time, or with one that is too long.
    pub(crate) async fn post(self, batch: String) -> Option<(StatusCode, Bytes)> {
        let request = self.request(batch)?;
        let call = async {
            let answer = self.http.request(request).await?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), ANSWER_MAX).collect().await?;
            Ok::<_, Box<dyn Error + Send + Sync>>((status, body.to_bytes()))
        };
        timeout(self.deadline, call).await.ok()?.ok()
    }

    fn request(&self, batch: String) -> Option<Request<Full<Bytes>>> {
        let batch = Bytes::from(batch);
        let mut request = Request::post(self.url.clone()).body(Full::new(batch.clone())).ok()?;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(keys) = &self.keys {
            headers.insert(header::DIGEST, HeaderValue::try_from(KeyRing::digest(&batch)).ok()?);
            let signature = keys.sign(&Method::POST, self.url.path(), headers, SystemTime::now());
            headers.insert(header::SIGNATURE, signature);
        }
        Some(request)
    }
}
