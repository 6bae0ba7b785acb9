//! `POST /front`: admitted, read, kept, held, and answered with a signature.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{
    HeaderMap, HeaderValue, Method, Request, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use switchboard_fleet::{
    KeyRing,
    front::{Parked, Table, Waiting},
    header,
};
use tokio::task::spawn_blocking;

use super::{board::NoSeat, board::Seat};
use crate::{
    admission::{self, NotAdmitted},
    body::{self, NoBody, Whole},
    desk::Desk,
};

/// The method under which answers are signed, so that no question passes for one.
const ANSWER: &[u8] = b"ANSWER";
/// Most bytes of a nonce.
const NONCE_MAX: usize = 64;
/// Most outcomes of orders that one call brings: as many as one answer can give.
const DONE_MAX: usize = 100;
/// After so long whoever was refused for want of room may try again.
const LATER: Duration = Duration::from_secs(5);

/// Why a call is not taken; the text says what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotParked {
    #[error(transparent)]
    NotAdmitted(#[from] NotAdmitted),
    #[error("X-IWP-Nonce: expected 1 to {NONCE_MAX} bytes, others with each call")]
    Nonce,
    #[error("a table has at most {} bytes", Table::BYTES_MAX)]
    TooLarge,
    #[error(transparent)]
    NoBody(NoBody),
    #[error("not the table of a front: {0} (docs/monitoring.md says what is sent)")]
    Malformed(String),
    #[error(transparent)]
    NoSeat(#[from] NoSeat),
    #[error("the monitor failed: look at its log")]
    Failed,
}

/// Takes a table, and answers when there is something to say.
pub(crate) async fn parked(
    State(desk): State<Arc<Desk>>,
    request: Request<Body>,
) -> Result<Response, NotParked> {
    let (parts, body) = request.into_parts();
    // Strangers do not get as far as a body.
    admission::signed(&parts.method, parts.uri.path(), &parts.headers, &desk.keys, SystemTime::now())?;
    let nonce = parts.headers.get(header::NONCE).filter(|nonce| (1..=NONCE_MAX).contains(&nonce.len()));
    let nonce = nonce.ok_or(NotParked::Nonce)?.clone();
    let body = body::whole(body, Table::BYTES_MAX, &desk.fronts.bodies).await?;
    admission::signed_body(&parts.headers, &body)?;
    // On a task of its own, so that a table of megabytes holds up nobody else.
    let seat = {
        let (desk, nonce) = (desk.clone(), nonce.clone());
        spawn_blocking(move || take(&desk, body, nonce.as_bytes())).await.map_err(|_| NotParked::Failed)??
    };
    let waiting = desk.fronts.hold(seat).await;
    answer(&waiting, nonce, &desk.keys).ok_or(NotParked::Failed)
}

fn take(desk: &Desk, body: Whole, nonce: &[u8]) -> Result<Seat, NotParked> {
    let parked: Parked =
        serde_json::from_slice(&body).map_err(|error| NotParked::Malformed(error.to_string()))?;
    if parked.done.len() > DONE_MAX {
        return Err(NotParked::Malformed(format!("done: at most {DONE_MAX} at a time")));
    }
    Ok(desk.fronts.park(parked, body.len(), nonce)?)
}

/// Signed for this very question.
fn answer(waiting: &Waiting, nonce: HeaderValue, keys: &KeyRing) -> Option<Response> {
    let body = serde_json::to_vec(waiting).ok()?;
    let mut headers = HeaderMap::new();
    headers.insert(header::NONCE, nonce);
    headers.insert(header::DIGEST, HeaderValue::try_from(KeyRing::digest(&body)).ok()?);
    let method = Method::from_bytes(ANSWER).ok()?;
    let signature = keys.sign(&method, Parked::PATH, &headers, SystemTime::now());
    headers.insert(header::SIGNATURE, signature);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Some((headers, body).into_response())
}

impl From<NoBody> for NotParked {
    fn from(error: NoBody) -> Self {
        if error == NoBody::TooLarge { Self::TooLarge } else { Self::NoBody(error) }
    }
}

impl IntoResponse for NotParked {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::NotAdmitted(_) | Self::NoSeat(NoSeat::Again) => StatusCode::UNAUTHORIZED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NoBody(NoBody::Slow) => StatusCode::REQUEST_TIMEOUT,
            Self::Nonce | Self::Malformed(_) | Self::NoSeat(NoSeat::Name) | Self::NoBody(NoBody::Broken) => {
                StatusCode::BAD_REQUEST
            }
            Self::NoSeat(NoSeat::TooOften) => StatusCode::TOO_MANY_REQUESTS,
            Self::NoBody(_) | Self::NoSeat(NoSeat::Full) | Self::Failed => StatusCode::SERVICE_UNAVAILABLE,
        };
        let text = format!("{self}\n");
        if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            return (status, [(RETRY_AFTER, LATER.as_secs())], text).into_response();
        }
        (status, text).into_response()
    }
}
