//! What is said when a page cannot be shown.

use askama::Template;

use crate::frame::{Frame, Page, Place};

/// A page that says what went wrong, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "error.html")]
pub struct ErrorPage {
    /// What stands around it.
    pub frame: Frame,
    /// The status of the answer.
    pub status: u16,
    /// In a few words.
    pub title: String,
    /// What went wrong.
    pub what: String,
    /// What to do.
    pub advice: String,
}

impl Page for ErrorPage {}

impl ErrorPage {
    /// 404.
    pub fn not_found(frame: Frame, what: impl Into<String>) -> Self {
        let advice = "Look for it from the overview: every server and worker is listed there.";
        Self::new(frame, 404, "Not found", what.into(), advice)
    }

    /// 400: the address asks for what there is not.
    pub fn bad_request(frame: Frame, what: impl Into<String>) -> Self {
        let advice = "Correct the address, or go back and choose again.";
        Self::new(frame, 400, "Not understood", what.into(), advice)
    }

    /// 403: whoever asks may not do this, or did not ask from a page of this monitor.
    pub fn forbidden(frame: Frame, what: impl Into<String>) -> Self {
        let advice = "Go back, reload the page and try again; log in again if it asks for it.";
        Self::new(frame, 403, "Not allowed", what.into(), advice)
    }

    /// 429: too many tries.
    pub fn too_many(frame: Frame, what: impl Into<String>) -> Self {
        let advice = "Wait a minute, then try again. On the monitor's own machine `switchboard-monitor login` prints a link that works once.";
        Self::new(frame, 429, "Too many tries", what.into(), advice)
    }

    /// 503: it cannot be answered at present.
    pub fn unavailable(frame: Frame, what: impl Into<String>) -> Self {
        let advice = "Try again in a moment. If it lasts, the monitor's own log says more: it is on standard error, or in `journalctl`.";
        Self::new(frame, 503, "Not available now", what.into(), advice)
    }

    fn new(frame: Frame, status: u16, title: &str, what: String, advice: &str) -> Self {
        Self { frame, status, title: title.into(), what, advice: advice.into() }
    }

    pub(crate) fn place(&self) -> Place {
        Place::Elsewhere
    }
}
