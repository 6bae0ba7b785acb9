//! Why a call is refused, and the one place where that becomes an HTTP answer.

use std::borrow::Cow;

use http::StatusCode;

/// A call that is not carried out: the status, and the sentence for `X-IWP-Reason`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    /// Printable ASCII. Never holds anything that the caller sent.
    pub(crate) reason: Cow<'static, str>,
    /// Whether the connection can carry another request. It cannot where the end of this one is unknown or far.
    pub(crate) close: bool,
    /// Whether it is sure that nothing of the request has reached an agent, so that a client can send it again.
    pub(crate) retry: bool,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { status, reason: reason.into(), close: false, retry: false }
    }

    /// 400: the caller made a mistake.
    pub(crate) fn bad(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason)
    }

    /// 503: not now.
    pub(crate) fn busy(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, reason)
    }

    /// The same, as the last answer on its connection.
    pub(crate) fn closing(mut self) -> Self {
        self.close = true;
        self
    }

    /// The same, with leave to send the request again.
    pub(crate) fn retriable(mut self) -> Self {
        self.retry = true;
        self
    }

    /// The whole answer as bytes, for a request that never became one. The connection ends with it.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        format!(
            "HTTP/1.1 {}\r\nx-iwp-reason: {}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            self.status, self.reason
        )
        .into_bytes()
    }
}
