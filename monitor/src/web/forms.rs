//! What viewers post: from our own pages, short, and of the session that it says.

use axum::body::Body;
use http::{HeaderMap, Request};

use super::answers::Trouble;
use crate::{body, desk::Desk, logins::Session};

/// Most bytes of a form.
const BYTES_MAX: usize = 16 << 10;

/// Said to whoever sends a form that is not known to be from one of our pages.
const FOREIGN: &str = "This form does not come from a page of this monitor (Origin, Sec-Fetch-Site): open the page by its address, by localhost, or by the name in monitor.page, and send it from there.";

/// The headers and the text of a form.
///
/// # Errors
/// It does not come from one of our pages, is too long, or no text.
pub(super) async fn read(desk: &Desk, request: Request<Body>) -> Result<(HeaderMap, String), Trouble> {
    let (parts, body) = request.into_parts();
    if !is_own_page(&parts.headers, desk.config.monitor.page.as_deref()) {
        return Err(Trouble::Forbidden(FOREIGN.into()));
    }
    let body = body::whole(body, BYTES_MAX, &desk.bodies).await;
    let body = body.map_err(|error| Trouble::Bad(format!("the form: {error}")))?;
    let text = String::from_utf8(body.to_vec()).map_err(|_| Trouble::Bad("the form is not UTF-8".into()))?;
    Ok((parts.headers, text))
}

/// Whether a form is one that this session was shown.
///
/// # Errors
/// It is not.
pub(super) fn own(session: &Session, csrf: Option<&str>) -> Result<(), Trouble> {
    if session.is_own(csrf) {
        return Ok(());
    }
    let what = "This form is not of this login: go back, load the page again, and send it from there.";
    Err(Trouble::Forbidden(what.into()))
}

/// Whether what a viewer posts comes from one of our own pages: browsers say from where, and no page can say otherwise.
fn is_own_page(headers: &HeaderMap, page: Option<&str>) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let is_foreign = text("sec-fetch-site").is_some_and(|site| site != "same-origin");
    let host = text("host").unwrap_or_default();
    let by_host = ["http", "https"].map(|scheme| format!("{scheme}://{host}"));
    // Under the page's own name only by its own scheme.
    let is_page = page.is_some_and(|page| by_host.iter().any(|origin| same_origin(origin, page)));
    let is_ours = |origin: &str| {
        page.is_some_and(|page| same_origin(origin, page))
            || (!is_page && by_host.iter().any(|host| same_origin(origin, host)))
    };
    !is_foreign && text("origin").is_some_and(is_ours)
}

/// Whether two addresses have scheme, host and port in common.
fn same_origin(one: &str, other: &str) -> bool {
    let parts = |url: &str| {
        let (scheme, rest) = url.split_once("://")?;
        let usual = if scheme.eq_ignore_ascii_case("https") { ":443" } else { ":80" };
        let authority = rest.split('/').next().filter(|authority| !authority.is_empty())?;
        let authority = authority.strip_suffix(usual).unwrap_or(authority);
        Some((scheme.to_ascii_lowercase(), authority.to_ascii_lowercase()))
    };
    parts(one).is_some_and(|parts_of_one| parts(other) == Some(parts_of_one))
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn forms_come_from_our_own_pages() {
        let post = |pairs: &[(&'static str, &str)]| {
            is_own_page(&headers(pairs), Some("https://monitor.example.net"))
        };
        let host = ("host", "127.0.0.1:8090");
        for origin in [
            "http://127.0.0.1:8090",
            "https://127.0.0.1:8090",
            "https://Monitor.example.net",
            "https://monitor.example.net:443",
        ] {
            assert!(post(&[host, ("origin", origin)]), "{origin}");
            assert!(post(&[host, ("origin", origin), ("sec-fetch-site", "same-origin")]), "{origin}");
            for site in ["cross-site", "same-site", "none", ""] {
                assert!(!post(&[host, ("origin", origin), ("sec-fetch-site", site)]));
            }
        }
        for origin in [
            "null",
            "",
            "http://127.0.0.1:8091",
            "http://127.0.0.1",
            "http://localhost:8090",
            "http://monitor.example.net",
            "https://monitor.example.net.evil.example.com",
            "https://evil.example.com",
            "file://",
        ] {
            assert!(!post(&[host, ("origin", origin)]), "{origin}");
        }
        let named = ("host", "monitor.example.net");
        assert!(post(&[named, ("origin", "https://monitor.example.net")]));
        assert!(!post(&[named, ("origin", "http://monitor.example.net")]));
        assert!(!post(&[host]));
        assert!(!post(&[host, ("sec-fetch-site", "same-origin")]));
        assert!(!post(&[("host", ""), ("origin", "http://")]));
    }
}
