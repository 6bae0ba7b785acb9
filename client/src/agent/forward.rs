//! Requests for the HTTP service at the desktop.

use std::time::Duration;

use http::{
    HeaderMap, Method, StatusCode, Uri,
    header::HOST,
    uri::{PathAndQuery, Scheme},
};
use switchboard_fleet::header;
use tracing::debug;

use super::{
    STALL,
    reply::{Reply, reply_headers},
};
use crate::{
    body::{self, Body},
    http::Http,
    meter::{Limits, Meter},
};

/// The service answers within this, counted from the request's last byte: less than the fleet's own
/// `timeouts.no_reply`, so that the app learns who was late.
const SERVICE: Limits = Limits { stall: STALL, answer: Duration::from_secs(25) };

/// Whether requests can be forwarded to this address.
pub(crate) fn is_base(base: &Uri) -> bool {
    let web = base.scheme() == Some(&Scheme::HTTP) || base.scheme() == Some(&Scheme::HTTPS);
    web && base.authority().is_some_and(|a| !a.as_str().contains('@')) && base.query().is_none()
}

/// Asks the service what an app asks of the agent. `meter` watches `body`, the request's.
pub(crate) async fn ask(http: &Http, base: &Uri, asked: HeaderMap, meter: &Meter, body: Body) -> Reply {
    let (method, uri) = match (method(&asked), target(base, asked.get(header::PATH).map(|v| v.as_bytes()))) {
        (Ok(method), Ok(uri)) => (method, uri),
        (Err(reason), _) | (_, Err(reason)) => return Reply::error(StatusCode::BAD_REQUEST, reason),
    };
    let mut headers = reply_headers(asked);
    headers.remove(HOST);
    match meter.watch(SERVICE, http.send(method, uri, headers, body)).await {
        Ok(Ok(answer)) => {
            let (head, answer_body) = answer.into_parts();
            let headers = reply_headers(head.headers);
            Reply { status: head.status, headers, body: body::incoming(answer_body) }
        }
        Ok(Err(trouble)) => {
            debug!(%trouble, "the local service failed");
            let reason = format!("the agent's local service failed: {}", trouble.reason);
            Reply::error(StatusCode::BAD_GATEWAY, &reason)
        }
        Err(_stalled) => {
            Reply::error(StatusCode::GATEWAY_TIMEOUT, "the agent's local service did not answer in time")
        }
    }
}

/// `X-IWP-Method`; POST if absent.
fn method(asked: &HeaderMap) -> Result<Method, &'static str> {
    let Some(value) = asked.get(header::METHOD) else { return Ok(Method::POST) };
    match Method::from_bytes(value.as_bytes()) {
        Ok(Method::CONNECT | Method::TRACE) | Err(_) => Err("X-IWP-Method is no method to forward"),
        Ok(method) => Ok(method),
    }
}

/// Where a request goes: `path` (`/` if absent) below `base`, whatever an app may send.
fn target(base: &Uri, path: Option<&[u8]>) -> Result<Uri, &'static str> {
    const BAD: &str = "X-IWP-Path is no path: it starts with / and holds no control characters";
    let path = path.unwrap_or(b"/");
    let plain = |byte: &u8| byte.is_ascii_graphic() && !b"#\\".contains(byte);
    if path.first() != Some(&b'/') || !path.iter().all(plain) {
        return Err(BAD);
    }
    let path = std::str::from_utf8(path).map_err(|_| BAD)?;
    let below = base.path().trim_end_matches('/');
    if !below.is_empty() && climbs(path) {
        return Err("X-IWP-Path leads out of the agent's service");
    }
    let joined = format!("{below}{path}");
    let joined: PathAndQuery = joined.parse().map_err(|_| BAD)?;
    let mut parts = base.clone().into_parts();
    parts.path_and_query = Some(joined);
    Uri::from_parts(parts).map_err(|_| BAD)
}

/// Whether a segment of the path is `..`, in whatever spelling.
fn climbs(path: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default().to_ascii_lowercase();
    let spelled = path.replace("%2e", ".").replace("%2f", "/").replace("%5c", "/");
    spelled.split('/').any(|segment| segment == "..")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(base: &str, path: &str) -> Result<String, &'static str> {
        target(&base.parse().unwrap(), Some(path.as_bytes())).map(|uri| uri.to_string())
    }

    #[test]
    fn paths_lead_below_the_base() {
        let root = "http://127.0.0.1:3000";
        for (base, path, uri) in [
            (root, "/", "http://127.0.0.1:3000/"),
            (root, "/a/b?c=d&e=/../x", "http://127.0.0.1:3000/a/b?c=d&e=/../x"),
            (root, "//evil.example/x", "http://127.0.0.1:3000//evil.example/x"),
            (root, "/a/../b", "http://127.0.0.1:3000/a/../b"),
            ("http://h/api/", "/x", "http://h/api/x"),
            ("http://h/api", "/..x/y..", "http://h/api/..x/y.."),
        ] {
            assert_eq!(at(base, path).as_deref(), Ok(uri));
        }
        for path in
            ["", "a", "http://evil/", "*", "/a b", "/a\r\nb", "/\u{7f}", "/ä", "/a#b", "/a\\b", "@evil/"]
        {
            assert!(at(root, path).is_err(), "{path:?}");
        }
        for path in ["/..", "/../x", "/a/..", "/%2e%2E/x", "/.%2e/x", "/a%2f..%2Fx", "/..%5cx"] {
            assert!(at("http://h/api", path).is_err(), "{path:?}");
        }
    }

    proptest! {
        #[test]
        fn no_path_leads_to_another_host(path in "[/.@:a-z0-9%?#\\\\ -]{0,20}") {
            let base: Uri = "http://127.0.0.1:3000/api".parse().unwrap();
            if let Ok(uri) = target(&base, Some(path.as_bytes())) {
                prop_assert_eq!(uri.authority(), base.authority());
                prop_assert_eq!(uri.scheme(), base.scheme());
                prop_assert!(uri.path().starts_with("/api/"));
            }
        }
    }

    #[test]
    fn bases_and_methods() {
        for (base, good) in [
            ("http://127.0.0.1:3000", true),
            ("https://h/api", true),
            ("127.0.0.1:3000", false),
            ("/api", false),
            ("ftp://h/", false),
            ("http://a@h/", false),
            ("http://h/?q", false),
        ] {
            assert_eq!(is_base(&base.parse().unwrap()), good, "{base}");
        }
        let with = |m: &'static str| HeaderMap::from_iter([(header::METHOD, m.parse().unwrap())]);
        assert_eq!(method(&HeaderMap::new()), Ok(Method::POST));
        assert_eq!(method(&with("GET")), Ok(Method::GET));
        assert!(method(&with("CONNECT")).is_err());
        assert!(method(&with("G T")).is_err());
    }
}
