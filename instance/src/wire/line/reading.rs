//! What a line's own task reads from it.

use std::{
    io,
    task::{Context, Poll},
};

use crate::wire::{
    line::{Back, Line},
    pipe::Pipe,
    standing::Expired,
};

/// Bytes that are read ahead while a request is answered; what comes then waits in the system.
const AHEAD_MAX: usize = 8 << 10;

/// What is read at once where no body is expected: of a long one most is to be passed on as it is read, and not kept.
const FILL_MAX: usize = 16 << 10;
/// What ended a wait for the say on a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waited {
    Back(Back),
    Expired(Expired),
    /// The peer has hung up.
    PeerLeft,
}

impl Line {
    /// Reads once and shows `see` what came, empty at the end.
    pub(crate) fn poll_read<T>(
        &self,
        cx: &mut Context<'_>,
        most: usize,
        see: impl FnOnce(&[u8]) -> T,
    ) -> Poll<io::Result<T>> {
        let mut scratch = self.watched.lines().scratch.borrow_mut();
        let most = most.min(scratch.len());
        let into = &mut scratch[..most];
        self.socket.borrow_mut().poll_read(cx, into).map_ok(|bytes| see(&into[..bytes]))
    }

    /// Waits until there may be something to read, or the end.
    pub(in crate::wire) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.socket.borrow().poll_readable(cx)
    }

    /// Reads once, into what is unread; `false` at the end.
    pub(crate) fn poll_fill(&self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        self.poll_fill_at_most(cx, FILL_MAX)
    }

    fn poll_fill_at_most(&self, cx: &mut Context<'_>, most: usize) -> Poll<io::Result<bool>> {
        self.poll_read(cx, most, |bytes| {
            if !bytes.is_empty() {
                self.unread().extend_from_slice(bytes);
            }
            !bytes.is_empty()
        })
    }

    /// Moves what comes into an empty pipe, at most `most` bytes.
    ///
    /// # Errors
    /// The peer has left.
    pub(in crate::wire) fn poll_fill_pipe(
        &self,
        cx: &mut Context<'_>,
        pipe: &mut Pipe,
        most: u64,
    ) -> Poll<io::Result<u64>> {
        let moved = self.socket.borrow_mut().poll_fill_pipe(cx, pipe, most);
        self.watched.reading(moved.is_pending());
        moved.map(|moved| match moved? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            bytes => Ok(bytes as u64),
        })
    }

    /// Waits until the say comes back, while the peer is listened to: what it says meanwhile is for later.
    pub(crate) fn poll_back(&self, cx: &mut Context<'_>) -> Poll<Waited> {
        if let Some(back) = self.take_back() {
            return Poll::Ready(Waited::Back(back));
        }
        if let Some(expired) = self.watched.expired(cx.waker()) {
            return Poll::Ready(Waited::Expired(expired));
        }
        while !self.is_ahead_full() {
            match self.poll_fill_at_most(cx, AHEAD_MAX - self.ahead()) {
                Poll::Pending => break,
                Poll::Ready(Ok(true)) => {}
                Poll::Ready(Ok(false) | Err(_)) => return Poll::Ready(Waited::PeerLeft),
            }
        }
        self.account();
        Poll::Pending
    }

    /// Whether nothing more is read ahead.
    pub(crate) fn is_ahead_full(&self) -> bool {
        self.ahead() >= AHEAD_MAX
    }

    /// Bytes that were read and not used.
    pub(crate) fn ahead(&self) -> usize {
        self.traffic.borrow().as_ref().map_or(0, |traffic| traffic.unread.len())
    }
}
