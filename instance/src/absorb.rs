//! Answers that come before the request's body has been read.

use std::time::Duration;

use http::{HeaderValue, header};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::timeout;

use crate::hub::Answer;

/// Bodies up to this are read and dropped, so that their connection can be used again.
const ABSORB_BYTES_MAX: u64 = 64 << 10;
/// How long that may take.
const ABSORB_TIME_MAX: Duration = Duration::from_secs(1);

/// Gives `answer` once the unwanted `body` is out of the way; a long one ends the connection instead.
pub(crate) async fn absorb(mut body: Incoming, mut answer: Answer) -> Answer {
    let short = body.size_hint().upper().is_some_and(|bytes| bytes <= ABSORB_BYTES_MAX);
    let read = async { while let Some(Ok(_)) = body.frame().await {} };
    if !short || timeout(ABSORB_TIME_MAX, read).await.is_err() {
        answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}
