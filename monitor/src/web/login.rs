//! `/login` and `/logout`.

use std::sync::Arc;

use axum::{
    Extension,
    body::Body,
    extract::{RawQuery, State},
    response::{Html, IntoResponse, Response},
};
use http::{
    HeaderValue, Request, StatusCode,
    header::{CACHE_CONTROL, LOCATION, RETRY_AFTER, SET_COOKIE},
};
use switchboard_pages::{Login, Page, value};

use super::{
    answers::Trouble,
    forms, show,
    visitor::{Visitor, cookie},
};
use crate::{
    admission::{self, Caller},
    desk::Desk,
    logins::{NotIn, Secret, harmless},
};

/// Where those go who came for nothing else.
const HOME: &str = "/upstreams";
/// Most bytes of the address to go to afterwards.
const NEXT_MAX: usize = 2000;

/// The form; or, with a link's token, who has it is logged in.
pub(super) async fn page(
    State(desk): State<Arc<Desk>>,
    Extension(caller): Extension<Caller>,
    Extension(visitor): Extension<Visitor>,
    RawQuery(raw): RawQuery,
    headers: http::HeaderMap,
) -> Response {
    let raw = raw.unwrap_or_default();
    let next = value(&raw, "next").unwrap_or_default();
    let Some(token) = value(&raw, "token") else { return form(&desk, &visitor, next, None) };
    let from = admission::tries_from(caller, &headers);
    match desk.logins.by_link(&token) {
        Ok((secret, session)) => {
            tracing::info!(name = session.name, %from, "logged in by a link");
            entered(&desk, &visitor, &secret, &next)
        }
        Err(error) => {
            tracing::warn!(%from, "a link to log in was no good");
            form(&desk, &visitor, next, Some(error))
        }
    }
}

/// Name and password.
pub(super) async fn login(
    State(desk): State<Arc<Desk>>,
    Extension(caller): Extension<Caller>,
    Extension(visitor): Extension<Visitor>,
    request: Request<Body>,
) -> Result<Response, Trouble> {
    let (headers, form_body) = forms::read(&desk, request).await?;
    let (name, password, next) = (
        value(&form_body, "name").unwrap_or_default(),
        value(&form_body, "password").unwrap_or_default(),
        value(&form_body, "next").unwrap_or_default(),
    );
    let from = admission::tries_from(caller, &headers);
    match desk.logins.by_password(&name, password, from).await {
        Ok(secret) => {
            tracing::info!(name, %from, "logged in");
            Ok(entered(&desk, &visitor, &secret, &next))
        }
        Err(error) => {
            // Who tries without end does not fill the log with it.
            if !matches!(error, NotIn::Wait(_)) {
                tracing::warn!(name = harmless(&name), %from, "login refused: {error}");
            }
            Ok(form(&desk, &visitor, next, Some(error)))
        }
    }
}

/// Ends the session.
pub(super) async fn logout(
    State(desk): State<Arc<Desk>>,
    Extension(visitor): Extension<Visitor>,
    request: Request<Body>,
) -> Result<Response, Trouble> {
    let (_, body) = forms::read(&desk, request).await?;
    if let Some((session, secret)) = visitor.session().zip(visitor.secret()) {
        forms::own(session, value(&body, "csrf").as_deref())?;
        desk.logins.end(secret);
        tracing::info!(name = session.name, "logged out");
    }
    let mut response = to("/");
    if let Some(cookie) = cookie(&desk, None) {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    Ok(response)
}

/// Sends those to the form who have to log in before they see `address`.
pub(super) fn first(address: &str) -> Response {
    let encoded = percent_encoding::utf8_percent_encode(address, percent_encoding::NON_ALPHANUMERIC);
    to(&format!("/login?next={encoded}"))
}

/// Sends a browser to a page of ours.
pub(super) fn to(address: &str) -> Response {
    let address = if is_own(address) { address } else { HOME };
    let location = HeaderValue::try_from(address).unwrap_or(HeaderValue::from_static(HOME));
    (StatusCode::SEE_OTHER, [(LOCATION, location), (CACHE_CONTROL, HeaderValue::from_static("no-store"))])
        .into_response()
}

/// Whether an address is one of ours: browsers drop tabs and line ends, take `\` for `/`, and `//` begins another site's name.
fn is_own(address: &str) -> bool {
    let is_plain = address.bytes().all(|byte| matches!(byte, 0x21..=0x7e) && byte != b'\\');
    is_plain && address.len() <= NEXT_MAX && address.starts_with('/') && !address.starts_with("//")
}

fn entered(desk: &Desk, visitor: &Visitor, secret: &Secret, next: &str) -> Response {
    // One browser has one session: the old one must not lie about.
    if let Some(old) = visitor.secret() {
        desk.logins.end(old);
    }
    let mut response = to(next);
    if let Some(cookie) = cookie(desk, Some(secret)) {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    response
}

fn form(desk: &Desk, visitor: &Visitor, next: String, error: Option<NotIn>) -> Response {
    let status = match error {
        None => StatusCode::OK,
        Some(NotIn::Wait(_)) => StatusCode::TOO_MANY_REQUESTS,
        Some(NotIn::Busy) => StatusCode::SERVICE_UNAVAILABLE,
        Some(NotIn::NoAdmins | NotIn::Wrong | NotIn::Link) => StatusCode::FORBIDDEN,
    };
    let next = if is_own(&next) { next } else { String::new() };
    let page = Login { frame: show::frame(desk, visitor), next, fault: error.map(|error| error.to_string()) };
    let mut response = (status, Html(page.html())).into_response();
    if let Some(NotIn::Wait(wait)) = error {
        response.headers_mut().insert(RETRY_AFTER, wait.as_secs().saturating_add(1).into());
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_to_another_site() {
        for own in ["/", "/upstreams?u=a&b=%2F", "/upstreams/switch?next=//a"] {
            assert_eq!(to(own).headers()[LOCATION], own);
        }
        for other in [
            "",
            "//evil.example.com",
            "/\\evil.example.com",
            "/\t/evil.example.com",
            "https://evil.example.com",
            "evil",
            "/é",
            "/a b",
        ] {
            assert_eq!(to(other).headers()[LOCATION], HOME, "{other:?}");
        }
        assert_eq!(to(&format!("/{}", "x".repeat(5000))).headers()[LOCATION], HOME);
        assert_eq!(first("/a?b=c&d").headers()[LOCATION], "/login?next=%2Fa%3Fb%3Dc%26d");
    }
}
