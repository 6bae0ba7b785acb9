//! What the fleet's answers mean. Pure: status and headers in, meaning out.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header::RETRY_AFTER};
use switchboard_fleet::{CustomerId, InstanceName, ServerName, header};

/// The longest reason that is shown, in characters.
const REASON_MAX: usize = 200;
/// The longest wait that a server's `Retry-After` is believed for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// A call that was answered with an error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{status}{}{reason}", if .reason.is_empty() { "" } else { ": " })]
pub(crate) struct Refusal {
    /// The status.
    pub(crate) status: StatusCode,
    /// `X-IWP-Reason`, printable, or nothing.
    pub(crate) reason: String,
}

impl Refusal {
    fn new(status: StatusCode, headers: &HeaderMap) -> Self {
        let reason = headers.get(header::REASON).map(|value| printable(value.as_bytes()));
        Self { status, reason: reason.unwrap_or_default() }
    }
}

/// The answer to `/getuniversalid`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Registration {
    /// An ID, and the token that proves it (legacy servers give none).
    Done(CustomerId, Option<HeaderValue>),
    /// No ID to give at this moment.
    Later,
    /// Too many registrations; `Retry-After` if it was said.
    TooMany(Option<Duration>),
    /// An error.
    Refused(Refusal),
}

/// The answer to an agent's poll.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Polled {
    /// An app's request.
    Request,
    /// No app came.
    Nothing,
    /// The instance is about to end: poll there.
    MoveTo(InstanceName),
    /// An error.
    Refused(Refusal),
}

/// The answer to an app's `/client` or `/client/PORT`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The agent's reply.
    Reply,
    /// The agent is at this instance.
    At(InstanceName),
    /// No agent of that ID is in the fleet.
    Nobody,
    /// An error of the fleet, not of the agent.
    Refused {
        /// Which.
        refusal: Refusal,
        /// The agent took the request and did not answer in time.
        recycle: bool,
        /// Nothing of the request has reached an agent: it can be sent again.
        retry: bool,
    },
}

/// A reason as it may go into a header or onto a terminal: short, ASCII, no control characters.
pub(crate) fn printable(reason: &[u8]) -> String {
    let plain = |byte: &u8| if *byte == b' ' || byte.is_ascii_graphic() { char::from(*byte) } else { '?' };
    reason.iter().take(REASON_MAX).map(plain).collect()
}

/// Reads the answer to `/getuniversalid`.
pub(crate) fn registration(status: StatusCode, headers: &HeaderMap) -> Registration {
    match status {
        StatusCode::OK => match headers.get(header::PRODUCT_UNIV_ID) {
            None => Registration::Later,
            Some(id) => match id.to_str().ok().and_then(|id| id.parse().ok()) {
                Some(id) => Registration::Done(id, headers.get(header::TOKEN).cloned()),
                None => {
                    Registration::Refused(Refusal { status, reason: "no usable customer ID in it".into() })
                }
            },
        },
        StatusCode::TOO_MANY_REQUESTS => {
            let seconds = headers.get(RETRY_AFTER).and_then(|v| v.to_str().ok()?.parse().ok());
            Registration::TooMany(seconds.map(|s| Duration::from_secs(s).min(RETRY_AFTER_MAX)))
        }
        status => Registration::Refused(Refusal::new(status, headers)),
    }
}

/// Reads the answer to `/connect`: the port of the instance that took the agent.
pub(crate) fn connected(status: StatusCode, headers: &HeaderMap) -> Result<u16, Refusal> {
    match (status, port(headers)) {
        (StatusCode::OK, Some(port)) => Ok(port),
        (StatusCode::OK, None) => Err(Refusal { status, reason: "no X-IWP-Port in it".into() }),
        (status, _) => Err(Refusal::new(status, headers)),
    }
}

/// Reads the answer to a poll at an instance of `server`.
pub(crate) fn polled(server: &ServerName, status: StatusCode, headers: &HeaderMap) -> Polled {
    if status != StatusCode::OK {
        return Polled::Refused(Refusal::new(status, headers));
    }
    if headers.contains_key(header::REQUEST_ID) {
        return Polled::Request;
    }
    instance(server, headers).map_or(Polled::Nothing, Polled::MoveTo)
}

/// Reads the answer to an app's call at `server`. Only an agent's reply carries a request ID.
pub(crate) fn asked(server: &ServerName, status: StatusCode, headers: &HeaderMap) -> Asked {
    let nobody = headers.get(header::RESPONSE_TYPE).is_some_and(|v| v == "0");
    if headers.contains_key(header::REQUEST_ID) {
        return Asked::Reply;
    }
    if status == StatusCode::OK {
        return match instance(server, headers) {
            _ if nobody => Asked::Nobody,
            Some(at) => Asked::At(at),
            None => Asked::Reply,
        };
    }
    let says = |name| headers.get(name).is_some_and(|value| value == "1");
    let (recycle, retry) = (says(header::IS_RECYCLE), says(header::RETRY));
    Asked::Refused { refusal: Refusal::new(status, headers), recycle, retry }
}

/// The instance named by `X-IWP-Host` (`server` if absent) and `X-IWP-Port`.
fn instance(server: &ServerName, headers: &HeaderMap) -> Option<InstanceName> {
    let port = port(headers)?;
    let server = match headers.get(header::HOST) {
        Some(host) => host.to_str().ok()?.parse().ok()?,
        None => server.clone(),
    };
    Some(InstanceName { server, port })
}

fn port(headers: &HeaderMap) -> Option<u16> {
    headers.get(header::PORT)?.to_str().ok()?.parse().ok().filter(|port| *port > 0)
}

/// Removes every header of the protocol itself.
pub(crate) fn without_protocol(headers: &mut HeaderMap) {
    let own: Vec<HeaderName> =
        headers.keys().filter(|name| name.as_str().starts_with("x-iwp-")).cloned().collect();
    for name in own {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> ServerName {
        "eu.example.net".parse().unwrap()
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(k, v)| (HeaderName::from_static(k), HeaderValue::from_static(v))).collect()
    }

    fn at(name: &str, port: u16) -> InstanceName {
        InstanceName { server: name.parse().unwrap(), port }
    }

    #[test]
    fn polls() {
        let polled = |pairs: &[_]| super::polled(&server(), StatusCode::OK, &headers(pairs));
        assert_eq!(polled(&[("x-iwp-responsetype", "0")]), Polled::Nothing);
        assert_eq!(polled(&[("x-iwp-requestid", "7"), ("x-iwp-port", "8082")]), Polled::Request);
        let hint = polled(&[("x-iwp-responsetype", "0"), ("x-iwp-port", "8082")]);
        assert_eq!(hint, Polled::MoveTo(at("eu.example.net", 8082)));
        let far = polled(&[("x-iwp-port", "8082"), ("x-iwp-host", "https://us.example.net")]);
        assert_eq!(far, Polled::MoveTo(at("https://us.example.net", 8082)));
        assert_eq!(polled(&[("x-iwp-port", "8082"), ("x-iwp-host", "a/b")]), Polled::Nothing);
        assert_eq!(polled(&[("x-iwp-port", "0")]), Polled::Nothing);
        let refused = super::polled(&server(), StatusCode::NOT_FOUND, &headers(&[("x-iwp-reason", "gone")]));
        let refusal = Refusal { status: StatusCode::NOT_FOUND, reason: "gone".into() };
        assert_eq!(refusal.to_string(), "404 Not Found: gone");
        assert_eq!(refused, Polled::Refused(refusal));
    }

    #[test]
    fn calls() {
        let asked = |status, pairs: &[_]| super::asked(&server(), status, &headers(pairs));
        let there = [("x-iwp-host", "us.example.net:81"), ("x-iwp-port", "8082")];
        assert_eq!(asked(StatusCode::OK, &there), Asked::At(at("us.example.net:81", 8082)));
        assert_eq!(asked(StatusCode::OK, &[("x-iwp-responsetype", "0")]), Asked::Nobody);
        assert_eq!(asked(StatusCode::OK, &[("x-iwp-requestid", "1"), ("x-iwp-port", "1")]), Asked::Reply);
        assert_eq!(asked(StatusCode::NOT_FOUND, &[("x-iwp-requestid", "1")]), Asked::Reply);
        let late = asked(StatusCode::GATEWAY_TIMEOUT, &[("x-iwp-isrecycle", "1")]);
        assert!(matches!(late, Asked::Refused { recycle: true, .. }));
    }

    #[test]
    fn registrations() {
        let read = |status, pairs: &[_]| registration(status, &headers(pairs));
        let done = read(StatusCode::OK, &[("x-iwp-productunivid", "26018363"), ("x-iwp-token", "abc")]);
        let token = HeaderValue::from_static("abc");
        assert_eq!(done, Registration::Done(CustomerId::new(26018363).unwrap(), Some(token)));
        assert_eq!(read(StatusCode::OK, &[]), Registration::Later);
        let zero = read(StatusCode::OK, &[("x-iwp-productunivid", "0")]);
        assert!(matches!(zero, Registration::Refused(_)));
        let busy = read(StatusCode::TOO_MANY_REQUESTS, &[("retry-after", "86400")]);
        assert_eq!(busy, Registration::TooMany(Some(RETRY_AFTER_MAX)));
    }

    #[test]
    fn a_reason_is_printable_and_short() {
        let mut long = headers(&[]);
        let reason = [b"it's \x1b".as_slice(), &[0xff; 300]].concat();
        assert!(HeaderValue::from_bytes(&reason).is_err());
        assert!(printable(&reason).starts_with("it's ??"));
        long.insert(header::REASON, HeaderValue::from_bytes(&reason[6..]).unwrap());
        let refusal = Refusal::new(StatusCode::BAD_GATEWAY, &long);
        assert_eq!(refusal.reason, "?".repeat(REASON_MAX));
    }
}
