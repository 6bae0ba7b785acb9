//! Calls that the monitor makes: is somebody there, and the dead man's handle.

use std::{io, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header::USER_AGENT};
use http_body_util::Empty;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::time::timeout;

/// Makes calls by HTTP and HTTPS.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    http: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
}

impl Caller {
    /// With the system's certificates.
    ///
    /// # Errors
    /// They cannot be read.
    pub(crate) fn new() -> io::Result<Self> {
        let provider = rustls::crypto::ring::default_provider();
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(provider)?
            .https_or_http()
            .enable_http1()
            .build();
        Ok(Self { http: Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector) })
    }

    /// Whether anything answers by HTTP, whatever it says.
    pub(crate) async fn answers(&self, url: String, within: Duration) -> bool {
        self.get(&url, within).await.is_ok()
    }

    /// The status of an answer.
    ///
    /// # Errors
    /// There was none; the text has no part of the URL, which may be a secret.
    pub(crate) async fn get(&self, url: &str, within: Duration) -> Result<StatusCode, String> {
        let uri: Uri = url.parse().map_err(|_| "not a URL".to_owned())?;
        let request = Request::get(uri)
            .header(USER_AGENT, concat!("switchboard-monitor/", env!("CARGO_PKG_VERSION")))
            .body(Empty::new())
            .map_err(|_| "not a URL".to_owned())?;
        match timeout(within, self.http.request(request)).await {
            Ok(Ok(answer)) => Ok(answer.status()),
            Ok(Err(error)) if error.is_connect() => Err("no connection".into()),
            Ok(Err(_)) => Err("the connection broke".into()),
            Err(_) => Err(format!("no answer within {} s", within.as_secs())),
        }
    }
}
