//! What is said on a line, by whoever has the say.

use std::{
    cell::RefMut,
    io,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
};

use bytes::{Buf, BytesMut};

use crate::{
    hub::Answer,
    wire::{line::Line, pipe::Pipe, speaker::Speaker, standing::Doing},
};

/// Up to this, data is copied behind a head: two writes, or one of two pieces, cost more.
const TOGETHER_MAX: usize = 8 << 10;

/// Who may speak on a line, and how it came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Say {
    /// Its own task.
    Own,
    /// The holder of the speaker, who has said nothing yet.
    Lent,
    /// The holder of the speaker, in the middle of an answer.
    Begun,
    /// It came back.
    Back(Back),
}

/// How the say on a line came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Back {
    /// Nothing was said.
    Unused,
    /// This is to be said: see [`Line::take_word`].
    Word,
    /// A whole answer has been said.
    Whole,
    /// An answer broke off in the middle.
    Cut,
}

impl Line {
    /// Gives the say away.
    pub(crate) fn lend(self: &Rc<Self>) -> Speaker {
        self.say.set(Say::Lent);
        Speaker::new(self.clone())
    }

    /// The holder of the say begins an answer.
    pub(in crate::wire) fn begin(&self) {
        self.say.set(Say::Begun);
        self.watched.begin(Doing::Busy);
    }

    /// Whether nothing has been said about the present request.
    pub(in crate::wire) fn is_silent(&self) -> bool {
        matches!(self.say.get(), Say::Own | Say::Lent)
    }

    /// Whether an answer has begun that another gives.
    pub(in crate::wire) fn has_begun(&self) -> bool {
        self.say.get() == Say::Begun
    }

    /// Whether another has the say.
    pub(in crate::wire) fn is_lent(&self) -> bool {
        matches!(self.say.get(), Say::Lent | Say::Begun)
    }

    /// The say comes back.
    pub(in crate::wire) fn come_back(&self, back: Back, word: Option<Answer>) {
        if let Some(word) = word {
            self.traffic().word = Some(Box::new(word));
        }
        self.say.set(Say::Back(back));
        self.watched.wake();
    }

    /// How the say came back, if it has; from then on it is the line's own.
    pub(crate) fn take_back(&self) -> Option<Back> {
        let Say::Back(back) = self.say.get() else { return None };
        self.say.set(Say::Own);
        Some(back)
    }

    /// Whether the say came back like this.
    pub(crate) fn is_back(&self, how: Back) -> bool {
        self.say.get() == Say::Back(how)
    }

    /// What is to be said after [`Back::Word`].
    pub(crate) fn take_word(&self) -> Option<Answer> {
        self.traffic().word.take().map(|word| *word)
    }

    /// What is to be sent, to which more can be added.
    pub(crate) fn unsent(&self) -> RefMut<'_, BytesMut> {
        RefMut::map(self.traffic(), |traffic| &mut traffic.unsent)
    }

    /// Adds `data` to what is unsent, and may send of that at once what the socket takes. What is left waits for
    /// [`Line::poll_flush`].
    ///
    /// # Errors
    /// The peer has left.
    pub(crate) fn push(&self, cx: &mut Context<'_>, data: &[u8]) -> io::Result<()> {
        if data.is_empty() {
            return Ok(());
        }
        let mut traffic = self.traffic();
        if data.len() <= TOGETHER_MAX && !traffic.unsent.is_empty() {
            traffic.unsent.extend_from_slice(data);
            return Ok(());
        }
        let sent = match self.socket.borrow_mut().poll_write(cx, &traffic.unsent, data) {
            Poll::Ready(sent) => sent?,
            Poll::Pending => 0,
        };
        let old = sent.min(traffic.unsent.len());
        traffic.unsent.advance(old);
        traffic.unsent.extend_from_slice(&data[sent - old..]);
        Ok(())
    }

    /// Sends what is unsent, all of it.
    pub(crate) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut socket = self.socket.borrow_mut();
        let mut traffic = self.traffic.borrow_mut();
        let Some(traffic) = traffic.as_mut() else { return Poll::Ready(Ok(())) };
        while !traffic.unsent.is_empty() {
            match socket.poll_write(cx, &traffic.unsent, &[]) {
                Poll::Ready(sent) => traffic.unsent.advance(sent?),
                Poll::Pending => {
                    self.watched.writing(true);
                    return Poll::Pending;
                }
            }
            self.watched.writing(false);
        }
        // A TLS layer takes more than the peer does.
        let flushed = socket.poll_flush(cx);
        self.watched.writing(flushed.is_pending());
        flushed
    }

    /// Sends all that is in a pipe. Nothing may be unsent.
    pub(in crate::wire) fn poll_empty_pipe(
        &self,
        cx: &mut Context<'_>,
        pipe: &mut Pipe,
    ) -> Poll<io::Result<()>> {
        while !pipe.is_empty() {
            let moved = self.socket.borrow_mut().poll_empty_pipe(cx, pipe);
            self.watched.writing(moved.is_pending());
            ready!(moved)?;
        }
        Poll::Ready(Ok(()))
    }

    /// Waits until the peer may take something, or has left.
    pub(in crate::wire) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.socket.borrow().poll_writable(cx)
    }

    /// Whether something is unsent.
    pub(in crate::wire) fn is_unsent(&self) -> bool {
        self.traffic.borrow().as_ref().is_some_and(|traffic| !traffic.unsent.is_empty())
    }

    /// Whether its bytes are the messages themselves.
    pub(in crate::wire) fn is_plain(&self) -> bool {
        self.socket.borrow().is_plain()
    }

    /// Remembers the task that speaks, so that it learns when the line is given up.
    pub(in crate::wire) fn spoken_by(&self, waker: &Waker) {
        let mut traffic = self.traffic();
        if !traffic.speaker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            traffic.speaker = Some(waker.clone());
        }
    }

    /// Says that nothing more will be written.
    pub(crate) fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.borrow_mut().poll_shutdown(cx)
    }
}
