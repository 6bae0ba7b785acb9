//! A body from one line to another, piece by piece as it comes. A reader that takes nothing stops the writer: nothing more
//! is read while something is unsent.

use std::{
    cell::Cell,
    fmt::Write as _,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};

use crate::{
    refusal::Refusal,
    wire::{body::Body, line::Line, pipe::Pipe, speaker::Speaker, turns::Turn},
};

/// What is read at a time while all lines hold as much as they may.
const PIECE_MIN: usize = 4096;

/// From so many bytes on a body goes by way of a pipe: below, what the pipe costs is more than what it saves.
const PIPED_MIN: u64 = 256 << 10;

/// How a body's passage ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Passage {
    /// The reader has been sent the last byte.
    Whole,
    /// The reader went before any byte was taken: the body can go to another.
    Unread,
    /// The reader went in the middle.
    ReaderLeft,
    /// The sender broke off, or sent what is no body.
    SenderLeft,
    /// The body is longer than allowed.
    TooLong,
}

/// A body as it comes in on a line.
pub(crate) struct Intake {
    line: Rc<Line>,
    /// Bytes that may still come.
    allowed: u64,
    /// Whether any data has been taken.
    begun: bool,
    /// By way of this, while it is worth it.
    pipe: Option<Pipe>,
    /// Its turn to go on, or its place in the line of those who wait for theirs.
    turn: Turn,
    /// Whether it stands in that line at all.
    takes_turns: bool,
    /// Whether the reader did not take all of what it was sent last.
    blocked: bool,
}

/// A body as it goes out on a line.
pub(crate) struct Outlet {
    pub(crate) speaker: Speaker,
    chunked: bool,
    ended: Cell<bool>,
    /// Counts the bytes of all bodies.
    counter: Rc<Cell<u64>>,
}

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
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
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
    fn sent(&mut self, blocked: bool) {
        self.blocked = blocked;
        if blocked {
            self.spend(0);
        }
    }

    /// So many bytes have been read in this turn.
    fn spend(&mut self, bytes: usize) {
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
    fn wait(&mut self, cx: &mut Context<'_>) {
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

    fn end_pipe(&mut self) {
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

impl Passage {
    /// What the sender is told of a passage that it has spoilt.
    pub(crate) fn refusal(&self) -> Refusal {
        match self {
            Self::TooLong => too_long(),
            _ => Refusal::bad("the body broke off, or is malformed").closing(),
        }
    }
}

/// 413.
pub(crate) fn too_long() -> Refusal {
    Refusal::new(http::StatusCode::PAYLOAD_TOO_LARGE, "the body is longer than allowed").closing()
}

impl Outlet {
    /// On the line of `speaker`, whose head said how the body is framed: in chunks, or by its length.
    pub(crate) fn new(speaker: Speaker, chunked: bool, counter: Rc<Cell<u64>>) -> Self {
        Self { speaker, chunked, ended: Cell::new(false), counter }
    }

    /// Adds data, and sends what the socket takes.
    pub(crate) fn add(&self, cx: &mut Context<'_>, data: &[u8]) -> Result<(), Passage> {
        let line = self.speaker.line();
        self.counter.set(self.counter.get() + data.len() as u64);
        if !self.chunked {
            return line.push(cx, data).map_err(|_| Passage::ReaderLeft);
        }
        let mut unsent = line.unsent();
        // Writing to memory does not fail.
        let _ = write!(unsent, "{:x}\r\n", data.len());
        unsent.extend_from_slice(data);
        unsent.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// The body ends, whoever says so first.
    pub(crate) fn end(&self) {
        if !self.ended.replace(true) && self.chunked {
            self.speaker.line().unsent().extend_from_slice(b"0\r\n\r\n");
        }
    }

    /// Sends everything.
    pub(crate) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<Result<(), Passage>> {
        let line = self.speaker.line();
        self.speaker.speaks(cx.waker());
        if line.is_gone() {
            return Poll::Ready(Err(Passage::ReaderLeft));
        }
        line.poll_flush(cx).map_err(|_| Passage::ReaderLeft)
    }
}

/// Carries a body until it is over; whole, if it gives [`Passage::Whole`]. May be given up and taken up again.
pub(crate) fn poll_carry(cx: &mut Context<'_>, from: &mut Intake, to: &Outlet) -> Poll<Passage> {
    let carried = poll_pieces(cx, from, to);
    if carried.is_ready() {
        from.line.watched.reading(false);
    }
    from.line.account();
    to.speaker.line().account();
    carried
}

fn poll_pieces(cx: &mut Context<'_>, from: &mut Intake, to: &Outlet) -> Poll<Passage> {
    loop {
        match ready!(poll_piped(cx, from, to)) {
            Err(Passage::ReaderLeft) if !from.begun => {
                from.end_pipe();
                return Poll::Ready(Passage::Unread);
            }
            Err(why) => return Poll::Ready(why),
            Ok(()) => {}
        }
        let over = from.is_over();
        if over {
            to.end();
        }
        // The head goes with what there is of the body.
        if over || from.line.unread().is_empty() {
            ready!(poll_turn_to_send(cx, from, to));
            let flushed = to.poll_flush(cx);
            from.sent(flushed.is_pending());
            match flushed {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(_)) if !from.begun => return Poll::Ready(Passage::Unread),
                Poll::Ready(Err(why)) => return Poll::Ready(why),
                Poll::Ready(Ok(())) if over => return Poll::Ready(Passage::Whole),
                Poll::Ready(Ok(())) => {}
            }
        }
        match from.poll_take(cx, |cx, data| to.add(cx, data)) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Err(why)) => return Poll::Ready(why),
            Poll::Ready(Ok(())) => {}
        }
    }
}

/// Waits for the turn to send what the reader did not take before, once it takes more.
fn poll_turn_to_send(cx: &mut Context<'_>, from: &mut Intake, to: &Outlet) -> Poll<()> {
    let reader = to.speaker.line();
    if !from.blocked || reader.is_gone() || reader.poll_writable(cx).is_pending() {
        return Poll::Ready(());
    }
    let turn = from.poll_turn(cx);
    if turn.is_pending() {
        to.speaker.speaks(cx.waker());
        reader.watched.writing(false);
    }
    turn
}

/// Carries a long body without taking it into the program's own memory, as far as that can be done.
fn poll_piped(cx: &mut Context<'_>, from: &mut Intake, to: &Outlet) -> Poll<Result<(), Passage>> {
    let (source, reader) = (from.line.clone(), to.speaker.line());
    if from.pipe.is_none() {
        let left = source.body().left().filter(|left| *left >= PIPED_MIN && *left <= from.allowed);
        // What is told to go on, or has something to say or hear first, does that as any other body does.
        let waits = source.waits_to_go_on()
            || source.ahead() > 0
            || reader.is_unsent()
            || source.watched.lines().are_full();
        if left.is_none() || waits || to.chunked || !source.is_plain() || !reader.is_plain() {
            return Poll::Ready(Ok(()));
        }
        from.pipe = source.watched.lines().pipes.take();
    }
    while from.pipe.is_some() {
        to.speaker.speaks(cx.waker());
        if reader.is_gone() {
            return Poll::Ready(Err(Passage::ReaderLeft));
        }
        ready!(poll_turn_to_send(cx, from, to));
        let Some(pipe) = &mut from.pipe else { break };
        let sent = reader.poll_empty_pipe(cx, pipe);
        from.sent(sent.is_pending());
        ready!(sent).map_err(|_| Passage::ReaderLeft)?;
        let left = source.body().left().unwrap_or(0);
        if left == 0 {
            from.end_pipe();
            break;
        }
        if source.poll_readable(cx).is_pending() {
            from.wait(cx);
            return Poll::Pending;
        }
        ready!(from.poll_turn(cx));
        let Some(pipe) = &mut from.pipe else { break };
        let Poll::Ready(filled) = source.poll_fill_pipe(cx, pipe, left) else {
            from.wait(cx);
            return Poll::Pending;
        };
        let bytes = filled.map_err(|_| Passage::SenderLeft)?;
        from.spend(bytes as usize);
        *source.body() = Body::exact(left - bytes);
        from.begun = true;
        from.allowed -= bytes;
        to.counter.set(to.counter.get() + bytes);
    }
    Poll::Ready(Ok(()))
}

#[cfg(test)]
#[path = "carry_tests.rs"]
mod tests;
