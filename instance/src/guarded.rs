//! The bytes of a connection on their way to the HTTP library: counted, timed, and stopped where they stop being HTTP.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{
    framing::{Between, Framing, HeadLimits},
    refusal::Refusal,
    watch::Watch,
};

/// A connection under guard.
pub(crate) struct Guarded<S> {
    inner: S,
    framing: Framing,
    watch: Rc<Watch>,
    verdict: Verdict,
    /// Whether bytes of an answer have gone out since the last head came in.
    answering: bool,
}

/// What was wrong with the bytes; shared with the task that owns the connection.
pub(crate) type Verdict = Rc<RefCell<Option<Refused>>>;

/// A refusal by the guard, and whether the answer to it can still be told apart from another that has begun.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) refusal: Refusal,
    pub(crate) can_answer: bool,
}

impl<S> Guarded<S> {
    pub(crate) fn new(inner: S, limits: HeadLimits, watch: Rc<Watch>) -> (Self, Verdict) {
        let verdict = Verdict::default();
        let framing = Framing::new(limits);
        (Self { inner, framing, watch, verdict: verdict.clone(), answering: false }, verdict)
    }

    pub(crate) fn into_inner(self) -> S {
        self.inner
    }

    /// Whether bytes of an answer have gone out since the last head came in.
    pub(crate) fn answering(&self) -> bool {
        self.answering
    }

    fn judge(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.framing.feed(bytes) {
            Ok(heads) => {
                if heads > 0 {
                    self.answering = false;
                }
                match self.framing.between() {
                    Between::Head => self.watch.head_began(),
                    _ => self.watch.head_ended(),
                }
                Ok(())
            }
            Err(refusal) => {
                let can_answer = !self.answering || self.framing.between() != Between::Body;
                *self.verdict.borrow_mut() = Some(Refused { refusal, can_answer });
                Err(io::Error::new(io::ErrorKind::InvalidData, "refused"))
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        match Pin::new(&mut self.inner).poll_read(cx, buf) {
            Poll::Pending => {
                let in_body = self.framing.between() == Between::Body;
                self.watch.reading(in_body);
                Poll::Pending
            }
            Poll::Ready(Ok(())) => {
                self.watch.reading(false);
                if let Err(error) = self.judge(&buf.filled()[before..]) {
                    buf.set_filled(before);
                    return Poll::Ready(Err(error));
                }
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        }
    }
}

impl<S: AsyncWrite + Unpin> Guarded<S> {
    fn wrote(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.watch.writing(written.is_pending());
        self.answering |= matches!(written, Poll::Ready(Ok(1..)));
        written
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.wrote(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, pieces);
        self.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
