//! A body that is watched and lent: whether it still moves, and how to get it back.
//!
//! An HTTP client drops a request's body when the call fails. For an agent that would mean to hang up on the
//! app in the middle of its request; for a redirected app, that two copies of the body run at once. So the
//! client gets a [`Metered`] body, and the [`Meter`] that stays behind holds the real one.

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::time::{Instant, sleep_until};

use crate::body::{Body, BoxError};

/// How long nothing may happen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Between two pieces of the body.
    pub(crate) stall: Duration,
    /// After its last piece.
    pub(crate) answer: Duration,
}

/// Nothing happened for longer than the [`Limits`] allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stalled;

struct Shared {
    body: Option<Body>,
    moved: Instant,
    ended: bool,
}

/// Holds a lent body. Dropping it drops the body once the borrower is done too.
pub(crate) struct Meter(Arc<Mutex<Shared>>);

struct Metered(Arc<Mutex<Shared>>);

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Meter {
    /// Lends `body`: the second half reads it.
    pub(crate) fn lend(body: Body) -> (Self, Body) {
        let ended = body.is_end_stream();
        let shared = Arc::new(Mutex::new(Shared { body: Some(body), moved: Instant::now(), ended }));
        (Self(shared.clone()), Metered(shared).boxed_unsync())
    }

    /// Takes the body from its borrower, who sees an error if it reads on.
    pub(crate) fn revoke(&self) {
        lock(&self.0).body = None;
    }

    /// Runs `work`, which reads the lent body, as long as something moves.
    pub(crate) async fn watch<F: Future>(&self, limits: Limits, work: F) -> Result<F::Output, Stalled> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Ok(done),
                () = sleep_until(self.deadline(limits)) => {
                    if self.deadline(limits) <= Instant::now() {
                        return Err(Stalled);
                    }
                }
            }
        }
    }

    fn deadline(&self, limits: Limits) -> Instant {
        let shared = lock(&self.0);
        shared.moved + if shared.ended { limits.answer } else { limits.stall }
    }
}

impl HttpBody for Metered {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut shared = lock(&self.0);
        let Some(body) = &mut shared.body else {
            return Poll::Ready(Some(Err("the body was taken back".into())));
        };
        let polled = Pin::new(body).poll_frame(cx);
        if let Poll::Ready(frame) = &polled {
            shared.ended = frame.is_none() || shared.body.as_ref().is_none_or(HttpBody::is_end_stream);
            shared.moved = Instant::now();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        lock(&self.0).body.as_ref().is_some_and(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        lock(&self.0).body.as_ref().map(HttpBody::size_hint).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{Full, channel::Channel};
    use std::future::pending;

    const LIMITS: Limits = Limits { stall: Duration::from_secs(10), answer: Duration::from_secs(2) };

    fn full(text: &'static str) -> Body {
        Full::new(Bytes::from_static(text.as_bytes())).map_err(|never| match never {}).boxed_unsync()
    }

    #[tokio::test(start_paused = true)]
    async fn waits_for_the_answer_only_after_the_last_piece() {
        let (mut sender, body) = Channel::<Bytes, BoxError>::new(1);
        let (meter, mut lent) = Meter::lend(body.boxed_unsync());
        let begun = Instant::now();
        let work = async {
            for _ in 0..5 {
                tokio::time::sleep(Duration::from_secs(9)).await;
                sender.send_data(Bytes::from_static(b"x")).await.unwrap();
                lent.frame().await.unwrap().unwrap();
            }
            drop(sender);
            assert!(lent.frame().await.is_none());
            pending::<()>().await;
        };
        assert_eq!(meter.watch(LIMITS, work).await, Err(Stalled));
        assert_eq!(begun.elapsed().as_secs(), 5 * 9 + 2);
    }

    #[tokio::test]
    async fn a_dropped_loan_leaves_the_body_and_a_revoked_one_errs() {
        let (meter, lent) = Meter::lend(full("abc"));
        assert_eq!(lent.size_hint().exact(), Some(3));
        drop(lent);
        assert!(lock(&meter.0).body.is_some());

        let (meter, mut lent) = Meter::lend(full("abc"));
        meter.revoke();
        assert!(!lent.is_end_stream());
        assert!(lent.frame().await.unwrap().is_err());
    }
}
