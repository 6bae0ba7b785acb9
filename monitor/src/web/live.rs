//! `GET /events`: tells a page that it is no longer the same.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::State,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::stream;
use http::StatusCode;
use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    time::sleep,
};

use crate::desk::Desk;

/// A page hears no more often than this.
const APART: Duration = Duration::from_secs(3);

/// An event `changed` whenever something has.
pub(super) async fn events(State(desk): State<Arc<Desk>>) -> Response {
    let Ok(place) = desk.watchers.clone().try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many pages are open: close some\n").into_response();
    };
    let stream = stream::unfold((desk.changes(), place), next);
    Sse::new(stream).keep_alive(KeepAlive::default()).into_response()
}

type Watcher = (watch::Receiver<u64>, OwnedSemaphorePermit);

async fn next((mut changes, place): Watcher) -> Option<(Result<Event, Infallible>, Watcher)> {
    sleep(APART).await;
    changes.changed().await.ok()?;
    // Browsers drop an event without data.
    Some((Ok(Event::default().event("changed").data("1")), (changes, place)))
}
