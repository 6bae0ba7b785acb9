//! One connection from its first request to its end.

use std::{
    future::poll_fn,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, BytesMut};
use http::StatusCode;
use tokio::time::timeout;

use crate::{
    agents::Parked,
    hub::Hub,
    refusal::Refusal,
    service::{self, Ended, Handler, Todo},
    wire::{
        carry::Intake,
        head::{Head, HeadLimits, check_size},
        line::Line,
        standing::{Doing, Expired},
    },
};

/// After the last answer, what the peer still sends is read so long, so that it gets to read the answer.
const LINGER_MAX: Duration = Duration::from_secs(2);
/// Bodies that nobody wants are read and dropped up to this, so that their connection can be used again.
const UNWANTED_BYTES_MAX: u64 = 64 << 10;
/// How long that may take.
const UNWANTED_TIME_MAX: Duration = Duration::from_secs(1);

/// One connection, as a task.
///
/// Written out as a state machine: an `async fn` of the same is larger, and nearly all connections
/// wait nearly all the time.
pub(crate) struct Connection {
    hub: Rc<Hub>,
    line: Rc<Line>,
    at: At,
}

/// Where a connection stands.
enum At {
    /// Between requests. This is where it spends its life, or in `Parked`. In so many bytes that were read no head ends.
    Lobby { seen: usize },
    /// With a poll for which no app has come.
    Parked(Parked),
    /// With a request that is being answered.
    Answering(Handler),
    /// With an answer that is not all sent.
    Sending,
    /// After the last answer.
    Lingering(Pin<Box<dyn Future<Output = ()>>>),
}

/// What comes next on a connection.
enum Next {
    At(At),
    /// Nothing: the peer has gone or takes nothing, or a body on its way to it broke.
    End,
}

impl Connection {
    pub(crate) fn new(hub: Rc<Hub>, line: Rc<Line>) -> Self {
        Self { hub, line, at: At::Lobby { seen: 0 } }
    }
}

impl Future for Connection {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { hub, line, at } = &mut *self;
        loop {
            let next = match at {
                At::Lobby { seen } => ready!(poll_request(hub, line, seen, cx)),
                At::Parked(parked) => after(line, ready!(parked.poll(line, cx))),
                At::Answering(handler) => after(line, ready!(poll_handler(line, handler, cx))),
                At::Sending => ready!(poll_send(line, cx)),
                At::Lingering(last) => return last.as_mut().poll(cx),
            };
            match next {
                Next::At(next) => *at = next,
                Next::End => return Poll::Ready(()),
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.line.give_up();
    }
}

/// Waits for a request, and begins to answer it.
fn poll_request(hub: &Rc<Hub>, line: &Rc<Line>, seen: &mut usize, cx: &mut Context<'_>) -> Poll<Next> {
    loop {
        match take_request(hub, line, seen) {
            Some(Todo::Nothing) => return Poll::Ready(Next::At(At::Sending)),
            Some(Todo::Park(poll)) => {
                return Poll::Ready(match Parked::park(hub, line, poll) {
                    Some(parked) => Next::At(At::Parked(parked)),
                    None => Next::At(At::Sending),
                });
            }
            Some(Todo::Await(handler)) => return Poll::Ready(Next::At(At::Answering(handler))),
            None if *seen == 0 && line.watched.lines().is_draining() => return Poll::Ready(Next::End),
            None => {}
        }
        match line.watched.expired(cx.waker()) {
            Some(Expired::Head) => {
                let late = Refusal::new(StatusCode::REQUEST_TIMEOUT, "the head did not arrive in time");
                service::refuse(hub, line, &late);
                return Poll::Ready(Next::At(At::Sending));
            }
            Some(_) => return Poll::Ready(Next::End),
            None => {}
        }
        match ready!(line.poll_fill(cx)) {
            Ok(true) => {}
            Ok(false) | Err(_) => return Poll::Ready(Next::End),
        }
    }
}

/// Begins to answer the request that has been read, if it is whole.
fn take_request(hub: &Rc<Hub>, line: &Rc<Line>, seen: &mut usize) -> Option<Todo> {
    let ahead = match line.ahead() {
        0 => 0,
        _ => skip_empty_lines(&mut line.unread()),
    };
    *seen = (*seen).min(ahead);
    if ahead == 0 {
        line.watched.begin(Doing::Idle);
        return None;
    }
    let limits = HeadLimits { bytes: hub.config.limits.header_bytes, headers: hub.config.limits.headers };
    // A head ends with a line's end: without one there is nothing to see, however slowly bytes drip in.
    let taken = match line.unread() {
        mut unread if unread[*seen..].contains(&b'\n') => Head::take(&mut unread, limits),
        _ => check_size(ahead, limits).map(|()| None),
    };
    match taken {
        Ok(Some(head)) => Some(service::begin(hub, line, head)),
        Err(refusal) => Some(service::refuse(hub, line, &refusal)),
        Ok(None) => {
            *seen = ahead;
            line.watched.begin(Doing::Head);
            line.account();
            None
        }
    }
}

/// Skips what some callers put behind a body (RFC 9112 §2.2); gives how many bytes are left.
fn skip_empty_lines(unread: &mut BytesMut) -> usize {
    while unread.starts_with(b"\r\n") {
        unread.advance(2);
    }
    unread.len()
}

/// Waits for a handler, unless a body on this line stands still for too long.
fn poll_handler(line: &Line, handler: &mut Handler, cx: &mut Context<'_>) -> Poll<Ended> {
    if line.watched.expired(cx.waker()) == Some(Expired::Stall) {
        return Poll::Ready(Ended::Cut);
    }
    handler.as_mut().poll(cx)
}

/// What follows a request.
fn after(line: &Line, ended: Ended) -> Next {
    line.watched.begin(Doing::Busy);
    line.watched.reading(false);
    match ended {
        Ended::Said => Next::At(At::Sending),
        Ended::Cut => Next::End,
    }
}

/// Sends what is unsent of an answer.
fn poll_send(line: &Rc<Line>, cx: &mut Context<'_>) -> Poll<Next> {
    if line.watched.expired(cx.waker()) == Some(Expired::Stall) || ready!(line.poll_flush(cx)).is_err() {
        return Poll::Ready(Next::End);
    }
    if line.is_last() || !line.is_request_over() {
        line.give_up();
        return Poll::Ready(Next::At(At::Lingering(Box::pin(linger(line.clone())))));
    }
    line.rest();
    Poll::Ready(Next::At(At::Lobby { seen: 0 }))
}

/// Reads what nobody wants of a request, if it is short; otherwise the connection ends with the answer.
///
/// # Errors
/// What is wrong with the body.
pub(crate) async fn drop_rest(hub: &Hub, line: &Rc<Line>) -> Result<(), Refusal> {
    if line.is_request_over() || line.is_last() {
        return Ok(());
    }
    // Who waits to be told to go on is told the answer instead.
    let short = line.body().left().is_none_or(|left| left <= UNWANTED_BYTES_MAX) && !line.waits_to_go_on();
    // Before the sweep finds that nothing moves, and cuts.
    let most = UNWANTED_TIME_MAX.min(hub.config.timeouts.stall.get() / 2);
    let rest = Intake::new(line.clone(), UNWANTED_BYTES_MAX);
    if short {
        match timeout(most, rest.whole()).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(refusal)) if refusal.status == StatusCode::BAD_REQUEST => return Err(refusal),
            _ => {}
        }
    }
    line.watched.reading(false);
    line.end_after_this();
    Ok(())
}

/// Ends a connection so that the peer gets to read what was said last.
async fn linger(line: Rc<Line>) {
    let read = async {
        poll_fn(|cx| line.poll_shutdown(cx)).await?;
        while poll_fn(|cx| line.poll_read(cx, usize::MAX, <[u8]>::len)).await? > 0 {}
        std::io::Result::Ok(())
    };
    // The peer has gone, or does not stop sending: either way this was the last of it.
    let _ = timeout(LINGER_MAX, read).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With the runtime's own hundred bytes a task is to fit into 256.
    #[test]
    fn a_waiting_connection_is_small() {
        let (task, line) = (size_of::<Connection>(), size_of::<Line>());
        assert!(task <= 96, "{task} bytes");
        assert!(line <= 112, "{line} bytes");
    }
}
