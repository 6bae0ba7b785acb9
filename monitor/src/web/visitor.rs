//! Who looks at a page: somebody, or an admin who is logged in.

use http::{HeaderMap, HeaderValue, header::COOKIE};
use switchboard_pages::Admin;

use crate::{
    desk::Desk,
    logins::{Secret, Session},
};

/// The cookie that holds a session's secret.
const NAME: &str = "switchboard_session";
/// Cookies of this name that are tried: another program on this host may have set some for another path.
const TRIED_MAX: usize = 4;
/// Most bytes of a secret.
const SECRET_MAX: usize = 100;

/// Whoever made a call.
#[derive(Debug, Clone, Default)]
pub(super) struct Visitor {
    logged_in: Option<(String, Session)>,
}

impl Visitor {
    /// By the cookies of a call.
    pub(super) fn of(desk: &Desk, headers: &HeaderMap) -> Self {
        // What a page fetches by itself while nobody is there does not make a session last.
        let is_used = headers.get("sec-fetch-dest").is_none_or(|dest| dest != "empty");
        let found = secrets(headers).take(TRIED_MAX).find_map(|secret| {
            let session = desk.logins.find(secret, is_used)?;
            Some((secret.to_owned(), session))
        });
        Self { logged_in: found }
    }

    /// The session, if there is one.
    pub(super) fn session(&self) -> Option<&Session> {
        self.logged_in.as_ref().map(|(_, session)| session)
    }

    /// What the cookie holds, if it is good.
    pub(super) fn secret(&self) -> Option<&str> {
        self.logged_in.as_ref().map(|(secret, _)| secret.as_str())
    }

    /// Who stands on top of the page.
    pub(super) fn admin(&self) -> Option<Admin> {
        let session = self.session()?;
        Some(Admin { name: session.name.clone(), csrf: session.csrf.clone() })
    }
}

fn secrets(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    lines
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().strip_prefix(NAME)?.strip_prefix('='))
        .filter(|secret| (1..=SECRET_MAX).contains(&secret.len()))
}

/// The cookie of a new session, or, without one, the end of the old.
pub(super) fn cookie(desk: &Desk, secret: Option<&Secret>) -> Option<HeaderValue> {
    let is_https = desk.config.monitor_page().starts_with("https://");
    let (value, ends) = secret.map_or(("", "; Max-Age=0"), |secret| (secret.expose(), ""));
    let secure = if is_https { "; Secure" } else { "" };
    let mut cookie =
        HeaderValue::try_from(format!("{NAME}={value}; Path=/; HttpOnly; SameSite=Strict{ends}{secure}"))
            .ok()?;
    cookie.set_sensitive(true);
    Some(cookie)
}
