//! One connection from its first request to its end.

use std::{future::poll_fn, pin::Pin, rc::Rc, task::Poll, time::Duration};

use http::StatusCode;
use tokio::time::timeout;

use crate::{
    agents,
    hub::{Answer, Hub},
    refusal::Refusal,
    service::{self, Ended, Handler, Said},
    wire::{
        answer,
        carry::Intake,
        head::{Head, HeadLimits, check_size},
        line::Line,
        watch::{Doing, Expired},
    },
};

/// After the last answer, what the peer still sends is read so long, so that it gets to read the answer.
const LINGER_MAX: Duration = Duration::from_secs(2);
/// Bodies that nobody wants are read and dropped up to this, so that their connection can be used again.
const UNWANTED_BYTES_MAX: u64 = 64 << 10;
/// How long that may take.
const UNWANTED_TIME_MAX: Duration = Duration::from_secs(1);

/// How a connection comes to its end.
enum End {
    /// The last answer has been sent.
    Done,
    /// There is nothing to be said: the peer has gone or takes nothing, or a body on its way to it broke.
    Cut,
}

/// Serves a connection to its end.
pub(crate) async fn serve(hub: Rc<Hub>, line: Rc<Line>) {
    let end = requests(&hub, &line).await;
    line.give_up();
    if matches!(end, End::Done) {
        // Boxed, as all that is seldom: every connection's task would carry it through its whole life otherwise.
        Box::pin(linger(&line)).await;
    }
}

async fn requests(hub: &Rc<Hub>, line: &Rc<Line>) -> End {
    loop {
        line.rest();
        let head = match next_head(hub, line).await {
            Next::Head(head) => head,
            Next::End => return End::Cut,
            Next::Refused(refusal) => {
                line.end_after_this();
                answer::write(&service::refused(hub, &refusal), line);
                return flush(line).await.map_or_else(|end| end, |()| End::Done);
            }
        };
        let ended = match service::begin(hub, line, head) {
            Said::Now(answer) => Ended::Say(answer),
            Said::Poll(poll) => agents::poll(hub, line, poll).await,
            Said::Later(handler) => watched(line, handler).await,
        };
        line.watched.begin(Doing::Busy);
        line.watched.reading(false);
        let answered = match ended {
            Ended::Say(answer) => say(hub, line, answer).await,
            Ended::Said if line.is_request_over() => Ok(()),
            Ended::Said => return End::Done,
            Ended::Cut => Err(End::Cut),
        };
        match answered {
            Err(end) => return end,
            Ok(()) if line.is_last() => return End::Done,
            Ok(()) => {}
        }
    }
}

/// What comes next on a connection.
enum Next {
    Head(Head),
    /// Nothing.
    End,
    Refused(Refusal),
}

/// Waits for a request. This is where a connection spends its life: what is held meanwhile is to be small.
async fn next_head(hub: &Hub, line: &Line) -> Next {
    let limits = HeadLimits { bytes: hub.config.limits.header_bytes, headers: hub.config.limits.headers };
    // Bytes in which no head ends, as has been seen.
    let mut seen = 0;
    poll_fn(|cx| {
        loop {
            let ahead = line.ahead();
            if ahead == 0 {
                line.watched.begin(Doing::Idle);
                if line.watched.lines().is_draining() {
                    return Poll::Ready(Next::End);
                }
            } else {
                // A head ends with a line's end: without one there is nothing to see, however slowly bytes drip in.
                let mut unread = line.unread();
                let ends = unread[seen.min(ahead)..].contains(&b'\n');
                let taken = if ends { Head::take(&mut unread, limits) } else { check_size(ahead, limits).map(|()| None) };
                match taken {
                    Ok(Some(head)) => return Poll::Ready(Next::Head(head)),
                    Ok(None) => seen = ahead,
                    Err(refusal) => return Poll::Ready(Next::Refused(refusal)),
                }
                drop(unread);
                line.watched.begin(Doing::Head);
                line.account();
            }
            match line.watched.expired(cx.waker()) {
                Some(Expired::Head) => {
                    let late = Refusal::new(StatusCode::REQUEST_TIMEOUT, "the head did not arrive in time");
                    return Poll::Ready(Next::Refused(late));
                }
                Some(_) => return Poll::Ready(Next::End),
                None => {}
            }
            match line.poll_fill(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(true)) => {}
                Poll::Ready(Ok(false) | Err(_)) => return Poll::Ready(Next::End),
            }
        }
    })
    .await
}

/// Waits for a handler, unless a body on this line stands still for too long.
async fn watched(line: &Line, mut handler: Handler) -> Ended {
    poll_fn(|cx| {
        if line.watched.expired(cx.waker()) == Some(Expired::Stall) {
            return Poll::Ready(Ended::Cut);
        }
        Pin::new(&mut handler).poll(cx)
    })
    .await
}

/// Says an answer of this instance's own.
async fn say(hub: &Hub, line: &Rc<Line>, answer: Answer) -> Result<(), End> {
    line.take_back();
    let mut answer = answer;
    if !line.is_request_over()
        && !line.is_last()
        && let Err(refusal) = Box::pin(drop_rest(line)).await
    {
        line.end_after_this();
        answer = service::refused(hub, &refusal);
    }
    if hub.is_draining() {
        line.end_after_this();
    }
    answer::write(&answer, line);
    flush(line).await
}

/// Reads what nobody wants of a request, if it is short; otherwise the connection ends with the answer.
///
/// # Errors
/// What is wrong with the body.
async fn drop_rest(line: &Rc<Line>) -> Result<(), Refusal> {
    let short = line.body().left().is_none_or(|left| left <= UNWANTED_BYTES_MAX);
    let rest = Intake::new(line.clone(), UNWANTED_BYTES_MAX, false);
    if short {
        match timeout(UNWANTED_TIME_MAX, rest.whole()).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(refusal)) if refusal.status == StatusCode::BAD_REQUEST => return Err(refusal),
            _ => {}
        }
    }
    line.watched.reading(false);
    line.end_after_this();
    Ok(())
}

/// Sends what is unsent.
async fn flush(line: &Line) -> Result<(), End> {
    poll_fn(|cx| {
        if line.watched.expired(cx.waker()) == Some(Expired::Stall) {
            return Poll::Ready(Err(End::Cut));
        }
        line.poll_flush(cx).map_err(|_| End::Cut)
    })
    .await
}

/// Ends a connection so that the peer gets to read what was said last.
async fn linger(line: &Line) {
    let read = async {
        poll_fn(|cx| line.poll_shutdown(cx)).await?;
        while poll_fn(|cx| line.poll_read(cx, usize::MAX, <[u8]>::len)).await? > 0 {}
        std::io::Result::Ok(())
    };
    // The peer has gone, or does not stop sending: either way this was the last of it.
    let _ = timeout(LINGER_MAX, read).await;
}
