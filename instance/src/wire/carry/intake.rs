//! A body as it comes in.

use std::{
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};

use super::{Intake, Outlet, PIECE_MIN, Passage};
use crate::{
    refusal::Refusal,
    wire::{line::Line, turns::Turn},
};

impl Intake {
    /// The body of the present request on `line`, of which at most `allowed` bytes are taken.
    pub(crate) fn new(line: Rc<Line>, allowed: u64) -> Self {
        let turn = Turn::default();
        Self { line, allowed, begun: false, pipe: None, turn, takes_turns: true, blocked: false }
    }

    /// It goes on whenever it can, from now on: for what must not be held up by others.
    pub(crate) fn take_no_turns(&mut self) {
        self.takes_turns = false;
    }

    /// Waits for the turn to move a piece. The first does not: most bodies have one.
    pub(super) fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.begun || !self.takes_turns {
            return Poll::Ready(());
        }
        let turn = self.line.watched.lines().turns.poll(&mut self.turn, cx);
        if turn.is_pending() {
            // Who waits for others does not stand still by its own fault.
            self.line.watched.reading(false);
        }
        turn
    }

    /// The reader was sent what there was; `blocked`, if it did not take all of it. A turn does not last until it does.
    pub(super) fn sent(&mut self, blocked: bool) {
        self.blocked = blocked;
        if blocked {
            self.spend(0);
        }
    }

    /// So many bytes have been read in this turn.
    pub(super) fn spend(&mut self, bytes: usize) {
        self.line.watched.lines().turns.spend(&mut self.turn, bytes);
    }

    /// Whether all of it has been taken.
    pub(crate) fn is_over(&self) -> bool {
        self.line.is_request_over() && self.pipe.is_none()
    }

    /// Waits for some of the body, and gives it to `each` piece by piece.
    ///
    /// # Errors
    /// What is wrong with the body, or what `each` says.
    pub(crate) fn poll_take(
        &mut self,
        cx: &mut Context<'_>,
        mut each: impl FnMut(&mut Context<'_>, &[u8]) -> Result<(), Passage>,
    ) -> Poll<Result<(), Passage>> {
        let line = self.line.clone();
        if line.ahead() > 0 {
            let mut ahead = std::mem::take(&mut *line.unread());
            let used = self.sort(cx, &ahead, &mut each)?;
            ahead.advance(used);
            *line.unread() = ahead;
            return Poll::Ready(Ok(()));
        }
        if line.poll_readable(cx).is_pending() {
            self.wait(cx);
            return Poll::Pending;
        }
        ready!(self.poll_turn(cx));
        let most = if line.watched.lines().are_full() { PIECE_MIN } else { usize::MAX };
        let mut rest = BytesMut::new();
        let mut see = |cx: &mut Context<'_>, bytes: &[u8]| {
            if bytes.is_empty() {
                return Err(Passage::SenderLeft);
            }
            self.spend(bytes.len());
            let used = self.sort(cx, bytes, &mut each)?;
            rest.extend_from_slice(&bytes[used..]);
            Ok(())
        };
        let mut inner = Context::from_waker(cx.waker());
        match line.poll_read(&mut inner, most, |bytes| see(cx, bytes)) {
            Poll::Pending => {
                self.wait(cx);
                Poll::Pending
            }
            Poll::Ready(taken) => {
                line.watched.reading(false);
                if !rest.is_empty() {
                    *line.unread() = rest;
                }
                Poll::Ready(taken.unwrap_or(Err(Passage::SenderLeft)))
            }
        }
    }

    /// There is nothing to read now.
    pub(super) fn wait(&mut self, cx: &mut Context<'_>) {
        self.spend(0);
        self.say_go_on(cx);
        self.line.watched.reading(true);
    }

    /// Gives the data in `bytes` to `each`; tells how many bytes belonged to the body.
    fn sort(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
        each: &mut impl FnMut(&mut Context<'_>, &[u8]) -> Result<(), Passage>,
    ) -> Result<usize, Passage> {
        let mut used = 0;
        while used < bytes.len() && !self.is_over() {
            let piece = self.line.body().take(&bytes[used..]).map_err(|_| Passage::SenderLeft)?;
            let data = &bytes[used..][piece.data];
            used += piece.used;
            if !data.is_empty() {
                self.allowed = self.allowed.checked_sub(data.len() as u64).ok_or(Passage::TooLong)?;
                self.begun = true;
                each(cx, data)?;
            }
        }
        Ok(used)
    }

    /// Tells a caller that waits for it to send the body (RFC 9110 §10.1.1), unless it has been told more than that.
    fn say_go_on(&mut self, cx: &mut Context<'_>) {
        if self.line.take_continues() && !self.begun && self.line.is_silent() {
            // A line that has broken is seen when it is read.
            let _ = self.line.push(cx, b"HTTP/1.1 100 Continue\r\n\r\n");
        }
    }

    pub(super) fn end_pipe(&mut self) {
        if let Some(pipe) = self.pipe.take() {
            self.line.watched.lines().pipes.put(pipe);
        }
    }

    /// Takes what is in the pipe into memory, and uses the pipe no more.
    pub(crate) fn leave_pipe(&mut self, cx: &mut Context<'_>, to: &Outlet) -> Result<(), Passage> {
        let Some(pipe) = &mut self.pipe else { return Ok(()) };
        let rest = pipe.take_rest().map_err(|_| Passage::SenderLeft)?;
        self.end_pipe();
        to.speaker.line().push(cx, &rest).map_err(|_| Passage::ReaderLeft)
    }

    /// The whole of it.
    ///
    /// # Errors
    /// 413 if it is longer than allowed, 400 if it breaks off.
    pub(crate) async fn whole(mut self) -> Result<Bytes, Refusal> {
        let mut whole = BytesMut::new();
        while !self.is_over() {
            let taken = std::future::poll_fn(|cx| {
                self.poll_take(cx, |_, data| {
                    whole.extend_from_slice(data);
                    Ok(())
                })
            });
            taken.await.map_err(|why| why.refusal())?;
        }
        Ok(whole.freeze())
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        self.end_pipe();
    }
}
