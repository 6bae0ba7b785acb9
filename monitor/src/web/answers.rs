//! What a page answers when it is not the page that was asked for.

use std::sync::Arc;

use axum::response::{Html, IntoResponse, Response};
use http::StatusCode;
use switchboard_archive::{DrawError, InvalidChartName};
use switchboard_journal::JournalError;
use switchboard_pages::{BadQuery, ErrorPage, Frame, Page};

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error("{0}")]
    NotFound(String),
    #[error("{0}")]
    Bad(String),
    #[error("{0}")]
    Forbidden(String),
    /// A front has not said what became of an order.
    #[error("{0}")]
    Unanswered(String),
    #[error("{0}")]
    Unavailable(String),
}

impl Trouble {
    /// It took too long.
    pub(super) fn late() -> Self {
        Self::Unavailable("This took too long; a shorter period or fewer instances take less time.".into())
    }

    /// The page that says so.
    pub(super) fn page(self, frame: Frame) -> Response {
        let page = match self {
            Self::NotFound(what) => ErrorPage::not_found(frame, what),
            Self::Bad(what) => ErrorPage::bad_request(frame, what),
            Self::Forbidden(what) => ErrorPage::forbidden(frame, what),
            Self::Unanswered(what) => ErrorPage {
                frame,
                status: StatusCode::GATEWAY_TIMEOUT.as_u16(),
                title: "No answer from the front".into(),
                what,
                advice: "Look at the backend's page before you order it again.".into(),
            },
            Self::Unavailable(what) => ErrorPage::unavailable(frame, what),
        };
        let status = StatusCode::from_u16(page.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, Html(page.html())).into_response()
    }
}

/// Travels in the answer until the page around it is made.
impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

impl From<InvalidChartName> for Trouble {
    fn from(error: InvalidChartName) -> Self {
        Self::NotFound(error.to_string())
    }
}

impl From<BadQuery> for Trouble {
    fn from(error: BadQuery) -> Self {
        Self::Bad(error.to_string())
    }
}

impl From<DrawError> for Trouble {
    fn from(error: DrawError) -> Self {
        match error {
            DrawError::Nothing => Self::NotFound(error.to_string()),
            DrawError::TooMany { .. } => Self::Bad(error.to_string()),
            other => Self::Unavailable(other.to_string()),
        }
    }
}

impl From<JournalError> for Trouble {
    fn from(error: JournalError) -> Self {
        Self::Unavailable(error.to_string())
    }
}
