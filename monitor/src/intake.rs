//! `POST /report`: admitted, read, taken by the journal, and only then answered.

use std::{sync::Arc, time::SystemTime};

use axum::{
    Extension, Json,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{Request, StatusCode, header::RETRY_AFTER};
use switchboard_fleet::report::{Batch, Taken};
use switchboard_journal::{Arrival, TakeError};

use crate::{
    admission::{self, Caller, NotAdmitted},
    body::{self, NoBody},
    clock::now_ms,
    desk::Desk,
    roster::News,
    watched::Proof,
};

/// Why a batch is not taken; the text says what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error(transparent)]
    NotAdmitted(#[from] NotAdmitted),
    #[error("a batch has at most {} bytes: send fewer reports at a time", Batch::BYTES_MAX)]
    TooLarge,
    #[error("{}", NoBody::Slow)]
    Slow,
    #[error("not a batch of reports: {0} (docs/protocol.md shows one)")]
    Malformed(String),
    #[error(
        "this monitor knows no such worker, and has as many unknown ones as it takes: name it in monitor.workers of fleet.toml"
    )]
    Unknown,
    #[error("{0}")]
    Later(String),
}

/// Takes a batch.
pub(crate) async fn report(
    State(desk): State<Arc<Desk>>,
    Extension(caller): Extension<Caller>,
    request: Request<Body>,
) -> Result<Json<Taken>, Refusal> {
    let (parts, body) = request.into_parts();
    let (call, page) = ((&parts.method, parts.uri.path()), desk.config.monitor.page.as_deref());
    let proof = admission::reporter(caller, call, &parts.headers, page, &desk.keys, SystemTime::now())?;
    let body = body::whole(body, Batch::BYTES_MAX, &desk.bodies).await?;
    if proof == Proof::Signed {
        admission::signed_body(&parts.headers, &body)?;
    }
    let batch = read(&body)?;
    drop(body);
    // On a task of its own: a caller that hangs up must not leave it half done.
    let taken = tokio::spawn(take_in(desk, batch, proof)).await;
    taken.map_err(|_| Refusal::Later("the monitor failed: look at its log".into()))?.map(Json)
}

/// A batch from its JSON.
fn read(body: &[u8]) -> Result<Batch, Refusal> {
    let batch: Batch = serde_json::from_slice(body).map_err(|error| Refusal::Malformed(error.to_string()))?;
    let name = &batch.worker;
    if name.is_empty() || name.len() > Batch::WORKER_MAX || name.chars().any(char::is_control) {
        let what = format!("worker: expected 1 to {} bytes without control characters", Batch::WORKER_MAX);
        return Err(Refusal::Malformed(what));
    }
    if batch.reports.len() > Batch::REPORTS_MAX {
        return Err(Refusal::Malformed(format!("reports: at most {} at a time", Batch::REPORTS_MAX)));
    }
    Ok(batch)
}

async fn take_in(desk: Arc<Desk>, batch: Batch, proof: Proof) -> Result<Taken, Refusal> {
    let (worker, kind, boot, heard_ms) = (batch.worker.clone(), batch.kind, batch.boot, now_ms());
    let standing = desk.watched.standing(&worker, proof);
    let receipt = desk.journal.take(Arrival { batch, heard_ms, standing }).await?;
    let news = News {
        worker: &worker,
        kind,
        standing,
        boot,
        fresh: &receipt.fresh,
        missing_change: receipt.missing_change,
        heard_ms,
    };
    desk.roster().hear(&news);
    if receipt.fresh.iter().any(|report| matches!(report.told, switchboard_fleet::report::Told::Sample(_))) {
        desk.samples.notify_one();
    }
    desk.changed();
    Ok(receipt.taken)
}

impl From<NoBody> for Refusal {
    fn from(error: NoBody) -> Self {
        match error {
            NoBody::TooLarge => Self::TooLarge,
            NoBody::Slow => Self::Slow,
            NoBody::Broken => Self::Malformed(error.to_string()),
            NoBody::Busy => Self::Later(error.to_string()),
        }
    }
}

impl From<TakeError> for Refusal {
    fn from(error: TakeError) -> Self {
        match error {
            TakeError::Invalid(what) => Self::Malformed(what),
            TakeError::TooManyUnknown => Self::Unknown,
            other => Self::Later(other.to_string()),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::NotAdmitted(NotAdmitted::ContentType) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::NotAdmitted(NotAdmitted::Unsigned | NotAdmitted::Signature(_) | NotAdmitted::Digest) => {
                StatusCode::UNAUTHORIZED
            }
            Self::NotAdmitted(_) | Self::Unknown => StatusCode::FORBIDDEN,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::Later(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        let text = format!("{self}\n");
        if status == StatusCode::SERVICE_UNAVAILABLE {
            return (status, [(RETRY_AFTER, "1")], text).into_response();
        }
        (status, text).into_response()
    }
}
