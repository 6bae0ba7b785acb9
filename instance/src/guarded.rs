//! The bytes of a connection on their way to the HTTP library: counted, timed, and stopped where they stop being HTTP.

use std::{
    cell::RefCell,
    io,
    os::fd::AsFd,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

use crate::{
    framing::{Between, Framing, HeadLimits},
    refusal::Refusal,
    watch::Watch,
};

/// A connection under guard, shared by the HTTP library, which reads and writes it, and the connection's own task.
pub(crate) struct Shared<S>(Rc<RefCell<Guarded<S>>>);

/// A connection under guard.
pub(crate) struct Guarded<S> {
    inner: S,
    framing: Framing,
    watch: Rc<Watch>,
    verdict: Option<Refused>,
    /// Whether bytes of an answer to the present request have gone out.
    answering: bool,
}

/// A refusal by the guard, and whether the answer to it can still be told apart from another that has begun.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) refusal: Refusal,
    pub(crate) can_answer: bool,
}

impl<S> Shared<S> {
    pub(crate) fn new(inner: S, limits: HeadLimits, watch: Rc<Watch>) -> Self {
        let framing = Framing::new(limits);
        Self(Rc::new(RefCell::new(Guarded { inner, framing, watch, verdict: None, answering: false })))
    }

    /// What was wrong with the bytes, if anything was.
    pub(crate) fn take_verdict(&self) -> Option<Refused> {
        self.0.borrow_mut().verdict.take()
    }

    /// Whether bytes of an answer to the present request have gone out.
    pub(crate) fn answering(&self) -> bool {
        self.0.borrow().answering
    }
}

impl<S> Clone for Shared<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// The other end of a connection, as far as a handler needs to know of it.
pub(crate) trait Peer {
    /// Whether it has hung up. Unlike reading this sees it past bytes that nobody wants yet.
    fn has_hung_up(&self) -> bool;
}

impl<S: HasSocket> Peer for Shared<S> {
    fn has_hung_up(&self) -> bool {
        let guarded = self.0.borrow();
        let mut asked =
            [PollFd::new(guarded.inner.socket().as_fd(), PollFlags::from_bits_retain(nix::libc::POLLRDHUP))];
        let over = PollFlags::POLLHUP | PollFlags::POLLERR;
        // `None` is the flag asked for: nix has no name for it.
        poll(&mut asked, PollTimeout::ZERO).is_ok()
            && asked[0].revents().is_none_or(|told| told.intersects(over))
    }
}

/// A stream that has a socket under it.
pub(crate) trait HasSocket {
    fn socket(&self) -> &TcpStream;
}

impl HasSocket for TcpStream {
    fn socket(&self) -> &TcpStream {
        self
    }
}

impl HasSocket for TlsStream<TcpStream> {
    fn socket(&self) -> &TcpStream {
        self.get_ref().0
    }
}

impl<S> Guarded<S> {
    fn judge(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.framing.feed(bytes) {
            Ok(heads) => {
                if heads > 0 && !self.watch.is_busy() {
                    self.answering = false;
                }
                match self.framing.between() {
                    Between::Head => self.watch.head_began(),
                    _ => self.watch.head_ended(),
                }
                Ok(())
            }
            Err(refusal) => {
                // Not into an answer that has begun, and not after one of which the library may still hold a part.
                let can_answer =
                    if self.watch.is_busy() { !self.answering } else { !self.watch.is_writing() };
                self.answering &= !can_answer;
                self.verdict = Some(Refused { refusal, can_answer });
                Err(io::Error::new(io::ErrorKind::InvalidData, "refused"))
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Shared<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut guarded = self.0.borrow_mut();
        let before = buf.filled().len();
        let read = Pin::new(&mut guarded.inner).poll_read(cx, buf);
        let waits_for_body = read.is_pending() && guarded.framing.between() == Between::Body;
        guarded.watch.reading(waits_for_body);
        if let Poll::Ready(Ok(())) = read
            && let Err(error) = guarded.judge(&buf.filled()[before..])
        {
            buf.set_filled(before);
            return Poll::Ready(Err(error));
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> Guarded<S> {
    fn wrote(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.watch.writing(written.is_pending());
        self.answering |= matches!(written, Poll::Ready(Ok(1..)));
        written
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Shared<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut guarded = self.0.borrow_mut();
        let written = Pin::new(&mut guarded.inner).poll_write(cx, bytes);
        guarded.wrote(written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut guarded = self.0.borrow_mut();
        let written = Pin::new(&mut guarded.inner).poll_write_vectored(cx, pieces);
        guarded.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.borrow().inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.borrow_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.borrow_mut().inner).poll_shutdown(cx)
    }
}
