//! Who may report, and who may look. Pure but for the clock that signatures need.

use std::{net::IpAddr, time::SystemTime};

use http::{HeaderMap, Method, header as http_header};
use switchboard_fleet::{KeyRing, header};

use crate::watched::Proof;

/// Headers by which a proxy tells that it speaks for somebody else.
const PROXIED: [&str; 5] = ["forwarded", "x-forwarded-for", "x-real-ip", "x-forwarded-host", "via"];

/// Headers that browsers add to what a page sends, and programs do not.
const FROM_PAGES: [&str; 2] = ["origin", "sec-fetch-site"];

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
    /// A web page sent it.
    #[error("reports come from programs, not from web pages (Origin, Sec-Fetch-Site)")]
    ForeignPage,
    /// Pages are for this machine.
    #[error(
        "the pages are shown on the monitor's own machine only: use `ssh -L 8090:127.0.0.1:8090 HOST`, or a proxy with a login in front (docs/operations.md)"
    )]
    NotHere,
    /// The browser was led here by a name that is not ours.
    #[error(
        "unexpected Host: call the monitor by its address, by localhost, or by the name in monitor.page; a proxy has to pass that name or the address on"
    )]
    Host,
}

/// Where a connection comes from, and by which of our addresses.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller {
    /// The other end.
    pub(crate) peer: IpAddr,
    /// Our end.
    pub(crate) own: IpAddr,
}

impl Caller {
    /// On this machine: from loopback, or from the very address that was called.
    fn is_here(self) -> bool {
        let peer = self.peer.to_canonical();
        peer.is_loopback() || peer == self.own.to_canonical()
    }
}

/// What a caller's headers prove, before its body is read. `page` is `monitor.page`.
///
/// # Errors
/// `ContentType`, `Unsigned`, `Signature`, `Host` or `ForeignPage`.
pub(crate) fn reporter(
    caller: Caller,
    (method, path): (&Method, &str),
    headers: &HeaderMap,
    page: Option<&str>,
    keys: &KeyRing,
    now: SystemTime,
) -> Result<Proof, NotAdmitted> {
    // Browsers send other types without asking us first.
    let kind =
        headers.get(http_header::CONTENT_TYPE).and_then(|value| value.to_str().ok()?.split(';').next());
    if !kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json")) {
        return Err(NotAdmitted::ContentType);
    }
    if headers.contains_key(header::SIGNATURE) {
        keys.verify(method, path, headers, now).map_err(|error| NotAdmitted::Signature(error.to_string()))?;
        return Ok(Proof::Signed);
    }
    if !caller.is_here() || PROXIED.iter().any(|name| headers.contains_key(*name)) {
        return Err(NotAdmitted::Unsigned);
    }
    // What is left is a program of this machine, or a browser on it with somebody else's page.
    if FROM_PAGES.iter().any(|name| headers.contains_key(*name)) {
        return Err(NotAdmitted::ForeignPage);
    }
    our_host(headers, page)?;
    Ok(Proof::Local)
}

/// Whether a call has the fleet's signature, which calls of fronts need wherever they come from.
///
/// # Errors
/// `Signature`.
pub(crate) fn signed(
    method: &Method,
    path: &str,
    headers: &HeaderMap,
    keys: &KeyRing,
    now: SystemTime,
) -> Result<(), NotAdmitted> {
    keys.verify(method, path, headers, now).map_err(|error| NotAdmitted::Signature(error.to_string()))
}

/// Whether a body is the one that was signed.
///
/// # Errors
/// `Digest`.
pub(crate) fn signed_body(headers: &HeaderMap, body: &[u8]) -> Result<(), NotAdmitted> {
    let told = headers.get(header::DIGEST).map(http::HeaderValue::as_bytes);
    if told == Some(KeyRing::digest(body).as_bytes()) { Ok(()) } else { Err(NotAdmitted::Digest) }
}

/// Whether a caller may see the pages: it is on this machine, or a proxy on this machine lets it through; under a name that is ours.
///
/// # Errors
/// `NotHere` or `Host`.
pub(crate) fn viewer(caller: Caller, headers: &HeaderMap, page: Option<&str>) -> Result<(), NotAdmitted> {
    if caller.is_here() { our_host(headers, page) } else { Err(NotAdmitted::NotHere) }
}

/// The address to which a viewer's tries to log in are counted: the other end, or for whom a proxy on this machine speaks. What a proxy says
/// only adds: somebody on this machine who says so too has other bounds.
pub(crate) fn tries_from(caller: Caller, headers: &HeaderMap) -> IpAddr {
    let told = headers.get("x-real-ip").and_then(|value| value.to_str().ok()?.parse().ok());
    told.filter(|_| caller.is_here()).unwrap_or(caller.peer).to_canonical()
}

/// Whether the name under which we were called is ours: an address, `localhost`, or that of `monitor.page`. A page of somebody else can
/// make a browser call us, by letting its own name point here, but not under another name than its own.
fn our_host(headers: &HeaderMap, page: Option<&str>) -> Result<(), NotAdmitted> {
    let host =
        headers.get(http_header::HOST).and_then(|value| value.to_str().ok()).map(host_of).unwrap_or_default();
    let page = page.map(|page| host_of(page.split_once("://").map_or(page, |(_, rest)| rest)));
    let ours = host.parse::<IpAddr>().is_ok() || host == "localhost" || page == Some(host);
    if ours { Ok(()) } else { Err(NotAdmitted::Host) }
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

    const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const OURS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
    const HERE: Caller = Caller { peer: LOCAL, own: LOCAL };
    const THERE: Caller = Caller { peer: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)), own: OURS };
    const PAGE: Option<&str> = Some("https://monitor.example.net");

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (http::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    fn json(more: &[(&'static str, &str)]) -> HeaderMap {
        let mut all =
            headers(&[("content-type", "Application/json; charset=utf-8"), ("host", "127.0.0.1:8090")]);
        all.extend(headers(more));
        all
    }

    fn report(caller: Caller, headers: &HeaderMap) -> Result<Proof, NotAdmitted> {
        let keys = KeyRing::new(["key"]);
        reporter(caller, (&Method::POST, "/report"), headers, PAGE, &keys, SystemTime::now())
    }

    #[test]
    fn from_this_machine_without_a_signature_from_others_with_one() {
        assert_eq!(report(HERE, &json(&[])), Ok(Proof::Local));
        assert_eq!(
            report(Caller { peer: "::ffff:127.0.0.1".parse().unwrap(), own: LOCAL }, &json(&[])),
            Ok(Proof::Local)
        );
        assert_eq!(report(Caller { peer: OURS, own: OURS }, &json(&[])), Ok(Proof::Local));
        assert_eq!(report(THERE, &json(&[])), Err(NotAdmitted::Unsigned));
        for name in PROXIED {
            assert_eq!(report(HERE, &json(&[(name, "192.0.2.1")])), Err(NotAdmitted::Unsigned), "{name}");
        }

        let mut signed = json(&[("host", "anything"), ("x-forwarded-for", "192.0.2.1")]);
        signed.insert(header::DIGEST, HeaderValue::from_str(&KeyRing::digest(b"{}")).unwrap());
        let signature = KeyRing::new(["key"]).sign(&Method::POST, "/report", &signed, SystemTime::now());
        signed.insert(header::SIGNATURE, signature);
        assert_eq!(report(THERE, &signed), Ok(Proof::Signed));
        assert_eq!(signed_body(&signed, b"{}"), Ok(()));
        assert_eq!(signed_body(&signed, b"{ }"), Err(NotAdmitted::Digest));
        assert_eq!(signed_body(&json(&[]), b"{}"), Err(NotAdmitted::Digest));
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
            let mut headers = json(&[]);
            headers.insert("content-type", HeaderValue::from_static(kind));
            assert_eq!(report(HERE, &headers), Err(NotAdmitted::ContentType), "{kind}");
        }
        assert_eq!(report(HERE, &headers(&[("host", "localhost")])), Err(NotAdmitted::ContentType));
        for name in FROM_PAGES {
            assert_eq!(
                report(HERE, &json(&[(name, "same-origin")])),
                Err(NotAdmitted::ForeignPage),
                "{name}"
            );
        }
        // A name of somebody else's that points here.
        let mut led = json(&[]);
        led.insert("host", HeaderValue::from_static("evil.example.com:8090"));
        assert_eq!(report(HERE, &led), Err(NotAdmitted::Host));
    }

    #[test]
    fn tries_count_for_whom_a_proxy_here_speaks() {
        let told = headers(&[("x-real-ip", "192.0.2.7")]);
        let other: IpAddr = "192.0.2.7".parse().unwrap();
        assert_eq!(tries_from(HERE, &told), other);
        assert_eq!(tries_from(THERE, &told), THERE.peer);
        assert_eq!(tries_from(HERE, &headers(&[("x-real-ip", "nonsense")])), LOCAL);
    }

    #[test]
    fn pages_are_for_this_machine_by_a_name_that_is_ours() {
        let see = |host: &str| viewer(HERE, &headers(&[("host", host)]), PAGE);
        for host in
            ["127.0.0.1:8090", "[::1]:8090", "localhost:1", "monitor.example.net", "monitor.example.net:443"]
        {
            assert_eq!(see(host), Ok(()), "{host}");
        }
        for host in ["evil.example.com", "localhost.example.com", "", "monitor.example.net.example.com"] {
            assert_eq!(see(host), Err(NotAdmitted::Host), "{host}");
            // A page can add any of these by itself.
            for name in PROXIED {
                let led = headers(&[("host", host), (name, "192.0.2.1")]);
                assert_eq!(viewer(HERE, &led, PAGE), Err(NotAdmitted::Host), "{host} {name}");
            }
        }
        let ours = headers(&[("host", "10.0.0.1:8090")]);
        assert_eq!(viewer(THERE, &ours, PAGE), Err(NotAdmitted::NotHere));
        assert_eq!(viewer(Caller { peer: OURS, own: OURS }, &ours, PAGE), Ok(()));
    }
}
