//! A body on its way from one side of a transaction to the other: the HTTP library's own pieces, handed over one by one
//! as the reader asks for them. Nothing is copied or gathered here; a reader that does not ask stops the writer.

use std::{
    cell::{Cell, RefCell},
    path::Path,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::oneshot;

use crate::spool::{Progress, Spool};

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
    passing: Rc<Passing>,
    /// Bytes that are still to come, if the sender said how many.
    announced: Option<u64>,
    /// Whether the reader's connection has begun to send: it asks this only when it writes the head.
    head_sent: Cell<bool>,
    data_sent: bool,
    /// Taken when the passage has ended.
    report: Option<oneshot::Sender<Passage>>,
    /// Counts the bytes of all bodies.
    counter: Rc<Cell<u64>>,
}

/// A body that is crossing, as the sender's side sees it.
pub(crate) struct Passing {
    source: RefCell<Source>,
    /// Bytes that may still pass.
    left: Cell<u64>,
    /// The reader, if it waits for a piece.
    waker: RefCell<Option<Waker>>,
    progress: Rc<Progress>,
}

/// Where the pieces come from.
enum Source {
    Direct(Incoming),
    Spool(Spool),
    /// It was given back.
    Gone,
}

impl Passing {
    /// Takes in what is still to come, whether the reader is ready for it or not, by way of a file in `folder`. Ends when all of
    /// it is here, or when the sender pauses.
    pub(crate) async fn take_in(&self, folder: &Path) {
        self.detour(folder);
        self.progress.all_here().await;
    }

    fn detour(&self, folder: &Path) {
        let mut source = self.source.borrow_mut();
        let Source::Direct(inner) = std::mem::replace(&mut *source, Source::Gone) else { return };
        *source = match Spool::start(inner, self.left.get(), folder, self.progress.clone()) {
            Ok(spool) => Source::Spool(spool),
            Err((inner, error)) => {
                tracing::warn!(%error, folder = %folder.display(), "a request cannot be kept on disk");
                Source::Direct(inner)
            }
        };
        // It waits for the source that has just been replaced.
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let polled = match &mut *self.source.borrow_mut() {
            Source::Direct(inner) => Pin::new(inner).poll_frame(cx).map_err(|_| Broken::SenderLeft),
            Source::Spool(spool) => spool.poll_next(cx).map_ok(Frame::data),
            Source::Gone => Poll::Ready(None),
        };
        if polled.is_pending() {
            self.waker.replace(Some(cx.waker().clone()));
        }
        polled
    }
}

impl Relay {
    /// A relay of `inner`, of at most `limit` bytes; the receiver learns how it ended, always.
    pub(crate) fn new(
        inner: Incoming,
        limit: u64,
        counter: Rc<Cell<u64>>,
    ) -> (Self, oneshot::Receiver<Passage>) {
        let (report, passage) = oneshot::channel();
        let announced = inner.size_hint().exact();
        let passing = Rc::new(Passing {
            source: RefCell::new(Source::Direct(inner)),
            left: Cell::new(limit),
            waker: RefCell::default(),
            progress: Rc::default(),
        });
        let head_sent = Cell::new(false);
        (Self { passing, announced, head_sent, data_sent: false, report: Some(report), counter }, passage)
    }

    /// The sender's side of it.
    pub(crate) fn passing(&self) -> Rc<Passing> {
        self.passing.clone()
    }

    fn finish(&mut self, how: Passage) {
        if let Some(report) = self.report.take() {
            // The sender's side may be gone already; then nobody needs to know.
            let _ = report.send(how);
        }
    }

    fn fail(&mut self, why: Broken) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        self.finish(match why {
            Broken::SenderLeft => Passage::SenderLeft,
            Broken::TooLong => Passage::TooLong,
        });
        Poll::Ready(Some(Err(why)))
    }

    /// Whether the reader has been given everything.
    fn is_over(&self) -> bool {
        match &*self.passing.source.borrow() {
            Source::Direct(inner) => inner.is_end_stream(),
            Source::Spool(_) => self.announced == Some(0),
            Source::Gone => true,
        }
    }
}

impl Body for Relay {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let frame = match self.passing.poll(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(None) => {
                self.finish(Passage::Whole);
                return Poll::Ready(None);
            }
            Poll::Ready(Some(Err(why))) => return self.fail(why),
            Poll::Ready(Some(Ok(frame))) => frame,
        };
        let Some(data) = frame.data_ref() else {
            // Trailers come last. They are fields of one connection's framing, and not passed on.
            self.finish(Passage::Whole);
            return Poll::Ready(None);
        };
        let bytes = data.len() as u64;
        let Some(left) = self.passing.left.get().checked_sub(bytes) else {
            return self.fail(Broken::TooLong);
        };
        self.passing.left.set(left);
        self.announced = self.announced.map(|announced| announced.saturating_sub(bytes));
        self.data_sent = true;
        self.counter.set(self.counter.get() + bytes);
        // A reader that was told the length does not ask again after the last byte.
        if self.is_over() {
            self.finish(Passage::Whole);
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.head_sent.set(true);
        self.is_over()
    }

    fn size_hint(&self) -> SizeHint {
        match (&*self.passing.source.borrow(), self.announced) {
            (Source::Direct(inner), _) => inner.size_hint(),
            (_, Some(announced)) => SizeHint::with_exact(announced),
            _ => SizeHint::default(),
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // What is not needed any more ends with the relay, whoever else looks at the passage.
        let over = self.is_over();
        let source = self.passing.source.replace(Source::Gone);
        if self.report.is_none() {
            return;
        }
        self.finish(match source {
            _ if over && self.head_sent.get() => Passage::Whole,
            Source::Direct(inner) if !self.data_sent => Passage::Unread(inner),
            _ => Passage::ReaderLeft,
        });
    }
}
