//! Who may report, and who may look. Pure but for the clock that signatures need.

use std::{net::IpAddr, time::SystemTime};

use http::{HeaderMap, Method, header as http_header};
use switchboard_fleet::{KeyRing, header};

use crate::watched::Proof;

/// Headers by which a proxy tells that it speaks for somebody else.
const PROXIED: [&str; 5] = ["forwarded", "x-forwarded-for", "x-real-ip", "x-forwarded-host", "via"];

/// Why a caller is not let in. Each is one line that says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAdmitted {
    /// A report from another machine without a signature.
    #[error(
        "a report from another machine needs the fleet's signature (X-IWP-Signature): give the program the key file, and check both clocks"
    )]
    Unsigned,
    /// The signature is wrong.
    #[error("X-IWP-Signature: {0}: check key_file and the clocks of both machines")]
    Signature(String),
    /// The body is not what was signed.
    #[error("X-IWP-Digest is missing, or is not the body's SHA-256")]
    Digest,
    /// A web page of somebody else might have sent it.
    #[error("expected the header Content-Type: application/json")]
    ContentType,
    /// Pages are for this machine.
    #[error(
        "the pages are shown on the monitor's own machine only: use `ssh -L 8090:127.0.0.1:8090 HOST`, or a proxy with a login in front (docs/operations.md)"
    )]
    NotHere,
    /// The browser was led here by a name that is not ours.
    #[error("unexpected Host: call the monitor by its address, by localhost, or by the name in monitor.page")]
    Host,
}

/// What a caller's headers prove, before its body is read.
///
/// # Errors
/// `Unsigned`, `Signature` or `ContentType`.
pub(crate) fn reporter(
    peer: IpAddr,
    method: &Method,
    path: &str,
    headers: &HeaderMap,
    keys: &KeyRing,
    now: SystemTime,
) -> Result<Proof, NotAdmitted> {
    // Browsers send other types without asking us first: so no web page can report in its reader's name.
    let kind =
        headers.get(http_header::CONTENT_TYPE).and_then(|value| value.to_str().ok()?.split(';').next());
    if kind.map(str::trim) != Some("application/json") {
        return Err(NotAdmitted::ContentType);
    }
    if headers.contains_key(header::SIGNATURE) {
        keys.verify(method, path, headers, now).map_err(|error| NotAdmitted::Signature(error.to_string()))?;
        return Ok(Proof::Signed);
    }
    if is_here(peer, headers) { Ok(Proof::Local) } else { Err(NotAdmitted::Unsigned) }
}

/// Whether a body is the one that was signed.
///
/// # Errors
/// `Digest`.
pub(crate) fn signed_body(headers: &HeaderMap, body: &[u8]) -> Result<(), NotAdmitted> {
    let told = headers.get(header::DIGEST).map(http::HeaderValue::as_bytes);
    if told == Some(KeyRing::digest(body).as_bytes()) { Ok(()) } else { Err(NotAdmitted::Digest) }
}

/// Whether a caller may see the pages: it is on this machine, or a proxy on this machine lets it through.
///
/// # Errors
/// `NotHere` or `Host`.
pub(crate) fn viewer(peer: IpAddr, headers: &HeaderMap, page: Option<&str>) -> Result<(), NotAdmitted> {
    if !peer.to_canonical().is_loopback() {
        return Err(NotAdmitted::NotHere);
    }
    let host =
        headers.get(http_header::HOST).and_then(|value| value.to_str().ok()).map(host_of).unwrap_or_default();
    let ours = host.parse::<IpAddr>().is_ok()
        || host == "localhost"
        || page.is_some_and(|page| host_of(page.split_once("://").map_or(page, |(_, rest)| rest)) == host);
    if ours || is_proxied(headers) { Ok(()) } else { Err(NotAdmitted::Host) }
}

/// On this machine, and not for somebody else.
fn is_here(peer: IpAddr, headers: &HeaderMap) -> bool {
    peer.to_canonical().is_loopback() && !is_proxied(headers)
}

fn is_proxied(headers: &HeaderMap) -> bool {
    PROXIED.iter().any(|name| headers.contains_key(*name))
}

/// The host of an authority, without port and brackets.
fn host_of(authority: &str) -> &str {
    let authority = authority.split('/').next().unwrap_or_default();
    match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use http::HeaderValue;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const THERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    fn report(peer: IpAddr, headers: &HeaderMap) -> Result<Proof, NotAdmitted> {
        reporter(peer, &Method::POST, "/report", headers, &KeyRing::new(["key"]), SystemTime::now())
    }

    #[test]
    fn from_this_machine_without_a_signature_from_others_with_one() {
        let plain = headers(&[("content-type", "application/json; charset=utf-8")]);
        assert_eq!(report(HERE, &plain), Ok(Proof::Local));
        assert_eq!(report("::ffff:127.0.0.1".parse().unwrap(), &plain), Ok(Proof::Local));
        assert_eq!(report(THERE, &plain), Err(NotAdmitted::Unsigned));
        let mut proxied = plain.clone();
        proxied.insert("x-forwarded-for", HeaderValue::from_static("192.0.2.1"));
        assert_eq!(report(HERE, &proxied), Err(NotAdmitted::Unsigned));

        let mut signed = plain.clone();
        signed.insert(header::DIGEST, HeaderValue::from_str(&KeyRing::digest(b"{}")).unwrap());
        let signature = KeyRing::new(["key"]).sign(&Method::POST, "/report", &signed, SystemTime::now());
        signed.insert(header::SIGNATURE, signature);
        assert_eq!(report(THERE, &signed), Ok(Proof::Signed));
        assert_eq!(signed_body(&signed, b"{}"), Ok(()));
        assert_eq!(signed_body(&signed, b"{ }"), Err(NotAdmitted::Digest));
        assert_eq!(signed_body(&plain, b"{}"), Err(NotAdmitted::Digest));
        signed.insert(header::DIGEST, HeaderValue::from_static("00"));
        assert!(matches!(report(THERE, &signed), Err(NotAdmitted::Signature(_))));
        // A wrong signature is not taken for none.
        assert!(matches!(report(HERE, &signed), Err(NotAdmitted::Signature(_))));
    }

    #[test]
    fn a_web_page_cannot_report() {
        for kind in
            ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonp"]
        {
            assert_eq!(
                report(HERE, &headers(&[("content-type", kind)])),
                Err(NotAdmitted::ContentType),
                "{kind}"
            );
        }
        assert_eq!(report(HERE, &HeaderMap::new()), Err(NotAdmitted::ContentType));
    }

    #[test]
    fn pages_are_for_this_machine_by_a_name_that_is_ours() {
        let see =
            |host: &str| viewer(HERE, &headers(&[("host", host)]), Some("https://monitor.example.net/x"));
        for host in
            ["127.0.0.1:8090", "[::1]:8090", "localhost:1", "monitor.example.net", "monitor.example.net:443"]
        {
            assert_eq!(see(host), Ok(()), "{host}");
        }
        for host in ["evil.example.com", "localhost.example.com", "", "monitor.example.net.example.com"] {
            assert_eq!(see(host), Err(NotAdmitted::Host), "{host}");
        }
        assert_eq!(viewer(HERE, &headers(&[("host", "x"), ("x-real-ip", "192.0.2.1")]), None), Ok(()));
        assert_eq!(viewer(THERE, &headers(&[("host", "127.0.0.1")]), None), Err(NotAdmitted::NotHere));
    }
}
