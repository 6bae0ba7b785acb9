//! A body on its way from one side of a transaction to the other: the HTTP library's own pieces, handed over one by one
//! as the reader asks for them. Nothing is copied or gathered here; a reader that does not ask stops the writer.

use std::{
    cell::Cell,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::oneshot;

/// How a body's passage ended, told to the side that sent it.
#[derive(Debug)]
pub(crate) enum Passage {
    /// The reader has the last byte.
    Whole,
    /// The reader went before it took anything: here is the body for another.
    Unread(Incoming),
    /// The reader went in the middle.
    ReaderLeft,
    /// The sender broke off, or sent what is no body.
    SenderLeft,
    /// The body is longer than allowed.
    TooLong,
}

/// Why a body ends short; the reader's connection is cut, so that it never takes the part for the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Broken {
    #[error("the sender broke off")]
    SenderLeft,
    #[error("the body is longer than allowed")]
    TooLong,
}

/// The body, as the reader's connection takes it.
pub(crate) struct Relay {
    /// Gone when it was given back unread.
    inner: Option<Incoming>,
    /// Bytes that may still pass.
    left: u64,
    /// Whether the reader's connection has begun to send: it asks this only when it writes the head.
    head_sent: Cell<bool>,
    data_sent: bool,
    /// Taken when the passage has ended.
    report: Option<oneshot::Sender<Passage>>,
    /// Counts the bytes of all bodies.
    counter: Rc<Cell<u64>>,
}

impl Relay {
    /// A relay of `inner`, of at most `limit` bytes; the receiver learns how it ended, always.
    pub(crate) fn new(
        inner: Incoming,
        limit: u64,
        counter: Rc<Cell<u64>>,
    ) -> (Self, oneshot::Receiver<Passage>) {
        let (report, passage) = oneshot::channel();
        let head_sent = Cell::new(false);
        (
            Self {
                inner: Some(inner),
                left: limit,
                head_sent,
                data_sent: false,
                report: Some(report),
                counter,
            },
            passage,
        )
    }

    fn finish(&mut self, how: Passage) {
        if let Some(report) = self.report.take() {
            // The sender's side may be gone already; then nobody needs to know.
            let _ = report.send(how);
        }
    }

    fn fail(&mut self, how: Passage, why: Broken) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        self.finish(how);
        Poll::Ready(Some(Err(why)))
    }
}

impl Body for Relay {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let Some(inner) = self.inner.as_mut() else { return Poll::Ready(None) };
        let frame = match Pin::new(inner).poll_frame(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(None) => {
                self.finish(Passage::Whole);
                return Poll::Ready(None);
            }
            Poll::Ready(Some(Err(_))) => return self.fail(Passage::SenderLeft, Broken::SenderLeft),
            Poll::Ready(Some(Ok(frame))) => frame,
        };
        if let Some(data) = frame.data_ref() {
            let bytes = data.len() as u64;
            if bytes > self.left {
                return self.fail(Passage::TooLong, Broken::TooLong);
            }
            self.left -= bytes;
            self.data_sent = true;
            self.counter.set(self.counter.get() + bytes);
        }
        // A reader that was told the length does not ask again after the last byte.
        if self.inner.as_ref().is_some_and(Body::is_end_stream) {
            self.finish(Passage::Whole);
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.head_sent.set(true);
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map(Body::size_hint).unwrap_or_default()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if self.report.is_none() {
            return;
        }
        let how = match self.inner.take() {
            Some(inner) if inner.is_end_stream() && self.head_sent.get() => Passage::Whole,
            Some(inner) if !self.data_sent => Passage::Unread(inner),
            _ => Passage::ReaderLeft,
        };
        self.finish(how);
    }
}
