//! The passage itself.

use std::task::{Context, Poll, ready};

use super::{Intake, Outlet, PIPED_MIN, Passage};
use crate::wire::body::Body;

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
