//! Bodies of programs' calls: read into memory within bounds, for one and for all together.

use std::{ops::Deref, sync::Arc, time::Duration};

use axum::body::{Body, HttpBody};
use bytes::BytesMut;
use http_body_util::BodyExt;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// A body up to this length needs no place among the long ones, in bytes.
const SHORT_MAX: usize = 16 << 10;
/// A long one waits so long for a place.
const PLACE_WITHIN: Duration = Duration::from_secs(2);
/// A body must have arrived within this.
const BODY_WITHIN: Duration = Duration::from_secs(10);

/// Why there is no body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoBody {
    /// It is longer than it may be.
    #[error("the body is too long")]
    TooLarge,
    /// It took too long.
    #[error("the body did not arrive within {} s", BODY_WITHIN.as_secs())]
    Slow,
    /// The caller hung up.
    #[error("the body broke off")]
    Broken,
    /// All places are taken.
    #[error("too many long bodies at a time: send it again in a moment")]
    Busy,
}

/// A body in memory, with its place if it needs one. A short one does not: slow callers with little to say hold nobody up.
#[derive(Debug)]
pub(crate) struct Whole {
    bytes: BytesMut,
    place: Option<OwnedSemaphorePermit>,
}

impl Deref for Whole {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Reads a body of at most `bytes_max`; a long one once there is a place.
///
/// # Errors
/// [`NoBody`].
pub(crate) async fn whole(body: Body, bytes_max: usize, places: &Arc<Semaphore>) -> Result<Whole, NoBody> {
    timeout(BODY_WITHIN, read(body, bytes_max, places)).await.map_err(|_| NoBody::Slow)?
}

async fn read(mut body: Body, bytes_max: usize, places: &Arc<Semaphore>) -> Result<Whole, NoBody> {
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(NoBody::TooLarge);
    }
    let mut whole = Whole { bytes: BytesMut::new(), place: None };
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| NoBody::Broken)?;
        let Ok(data) = frame.into_data() else { continue };
        if whole.bytes.len() + data.len() > bytes_max {
            return Err(NoBody::TooLarge);
        }
        if whole.place.is_none() && whole.bytes.len() + data.len() > SHORT_MAX {
            let place = timeout(PLACE_WITHIN, places.clone().acquire_owned()).await;
            whole.place = Some(place.ok().and_then(Result::ok).ok_or(NoBody::Busy)?);
        }
        whole.bytes.extend_from_slice(&data);
    }
    Ok(whole)
}
