//! From a request to the function that answers it.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    rc::Rc,
};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header as standard};
use switchboard_fleet::{CustomerId, header};

use crate::{
    agents::{self, Parked, Parking},
    between,
    caller::{Token, address, check_headers, check_token, customer},
    connection::drop_rest,
    counters::count,
    hub::{Answer, Hub},
    meeting,
    refusal::Refusal,
    reply,
    route::{GET_ONLY, Route, route},
    status,
    transact::{self, NO_REPLY},
    wire::{answer, head::Head, line::Line, standing::Doing},
};

/// What is left to be done about a request.
pub(crate) enum Todo {
    /// The answer has been written.
    Nothing,
    /// The poll is to be parked.
    Park(Parking),
    /// The answer takes a while. Boxed: a connection that waits costs what its own wait needs, not what the largest of
    /// all needs.
    Await(Handler),
}

/// A handler at work.
pub(crate) type Handler = Pin<Box<dyn Future<Output = Ended>>>;

/// How a request ended on its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// A whole answer has been written, by whomever.
    Said,
    /// Nothing can be said any more.
    Cut,
}

/// What a handler leaves to be said.
pub(crate) enum Said {
    /// This.
    Now(Answer),
    /// Nothing: another has said it.
    Already,
    /// Nothing: there is nobody to hear it.
    Cut,
}

/// Begins to answer a request.
pub(crate) fn begin(hub: &Rc<Hub>, line: &Rc<Line>, head: Box<Head>) -> Todo {
    line.expect(head.body, head.expects_continue);
    if head.is_last {
        line.end_after_this();
    }
    line.watched.begin(Doing::Busy);
    dispatch(hub, line, head).unwrap_or_else(|refusal| now(hub, line, Err(refusal)))
}

fn dispatch(hub: &Rc<Hub>, line: &Rc<Line>, head: Box<Head>) -> Result<Todo, Refusal> {
    let route = route(&head.method, head.target(), hub.own.port)?;
    check_headers(&*head)?;
    Ok(match route {
        Route::Ping => now(hub, line, Ok(Answer::default())),
        Route::Register => {
            let address = address(line.peer, &*head, &hub.config);
            later(hub, line, async move |hub, _| agents::register(&hub, address).await.map(Said::Now))
        }
        Route::Connect => {
            let (id, token) = agent(hub, &head)?;
            now(hub, line, agents::connect(hub, id, token))
        }
        Route::Poll => {
            let (id, token) = agent(hub, &head)?;
            park(hub, line, Parking { id, token })
        }
        Route::Reply => {
            let (id, _) = agent(hub, &head)?;
            later(hub, line, move |hub, line| reply::reply(hub, line, id, head))
        }
        Route::Locate => {
            let id = customer(&*head)?;
            later(hub, line, async move |hub, _| {
                let place = meeting::locate(&hub, id).await;
                Ok(Said::Now(place.map_or_else(transact::nobody, |place| transact::at(&place))))
            })
        }
        Route::Ask => {
            let id = customer(&*head)?;
            later(hub, line, move |hub, line| transact::ask(hub, line, id, head))
        }
        Route::Fleet(route, level) => later(hub, line, async move |hub, line| {
            between::answer(hub, route, level, line, head).await.map(Said::Now)
        }),
        Route::Status | Route::Metrics => {
            if !line.peer.is_loopback() || !address(line.peer, &*head, &hub.config).is_loopback() {
                return Err(Refusal::new(StatusCode::NOT_FOUND, "no such route"));
            }
            let answer = if route == Route::Status { status::status(hub) } else { status::metrics(hub) };
            now(hub, line, Ok(answer))
        }
    })
}

/// The agent that calls, if it is who it says.
fn agent(hub: &Hub, head: &Head) -> Result<(CustomerId, Token), Refusal> {
    let id = customer(head)?;
    check_token(head, id, &hub.keys, &hub.config.admit).map(|token| (id, token))
}

/// Answers at once, if nothing of the request has to be read before.
fn now(hub: &Rc<Hub>, line: &Rc<Line>, answer: Result<Answer, Refusal>) -> Todo {
    if !line.is_request_over() && !line.is_last() {
        return later(hub, line, async move |_, _| answer.map(Said::Now));
    }
    say(hub, line, answer);
    Todo::Nothing
}

/// Parks a poll, after what must be read of the request.
fn park(hub: &Rc<Hub>, line: &Rc<Line>, poll: Parking) -> Todo {
    if line.is_request_over() {
        return Todo::Park(poll);
    }
    let (hub, line) = (hub.clone(), line.clone());
    Todo::Await(Box::pin(async move {
        match drop_rest(&hub, &line).await {
            Ok(()) => match Parked::park(&hub, &line, poll) {
                Some(mut parked) => poll_fn(|cx| parked.poll(&line, cx)).await,
                None => Ended::Said,
            },
            Err(refusal) => {
                say(&hub, &line, Err(refusal));
                Ended::Said
            }
        }
    }))
}

/// Answers when what `handler` begins says so. It is begun in here: a future that is handed over takes its room twice.
fn later<F>(hub: &Rc<Hub>, line: &Rc<Line>, handler: impl FnOnce(Rc<Hub>, Rc<Line>) -> F + 'static) -> Todo
where
    F: Future<Output = Result<Said, Refusal>> + 'static,
{
    let (hub, line) = (hub.clone(), line.clone());
    Todo::Await(Box::pin(async move {
        let answer = match handler(hub.clone(), line.clone()).await {
            Ok(Said::Already) => return Ended::Said,
            Ok(Said::Cut) => return Ended::Cut,
            Ok(Said::Now(answer)) => Ok(answer),
            Err(refusal) => Err(refusal),
        };
        line.watched.begin(Doing::Busy);
        let last = answer.as_ref().is_err_and(|refusal| refusal.close);
        let answer = if last { answer } else { drop_rest(&hub, &line).await.and(answer) };
        say(&hub, &line, answer);
        Ended::Said
    }))
}

/// Refuses what never became a request. The connection ends with it.
pub(crate) fn refuse(hub: &Rc<Hub>, line: &Rc<Line>, refusal: &Refusal) -> Todo {
    line.end_after_this();
    say(hub, line, Err(refusal.clone()));
    Todo::Nothing
}

/// Writes an answer of this instance's own.
pub(crate) fn say(hub: &Hub, line: &Line, answer: Result<Answer, Refusal>) {
    line.take_back();
    if hub.is_draining() || answer.as_ref().is_err_and(|refusal| refusal.close) {
        line.end_after_this();
    }
    answer::write(&answer.unwrap_or_else(|refusal| refused(hub, &refusal)), line);
}

/// The answer to a call that is not carried out.
pub(crate) fn refused(hub: &Hub, refusal: &Refusal) -> Answer {
    count(&hub.counters.refused);
    tracing::debug!(status = refusal.status.as_u16(), reason = %refusal.reason, "refused");
    let mut answer = Response::new(Bytes::new());
    *answer.status_mut() = refusal.status;
    let headers = answer.headers_mut();
    headers.insert(
        header::REASON,
        HeaderValue::from_str(&refusal.reason).unwrap_or(HeaderValue::from_static("refused")),
    );
    if refusal.status == StatusCode::METHOD_NOT_ALLOWED {
        let allowed = if refusal.reason == GET_ONLY { "GET" } else { "POST" };
        headers.insert(standard::ALLOW, HeaderValue::from_static(allowed));
    }
    if refusal.status == StatusCode::GATEWAY_TIMEOUT && refusal.reason == NO_REPLY {
        headers.insert(header::IS_RECYCLE, HeaderValue::from_static("1"));
    }
    if refusal.status == StatusCode::TOO_MANY_REQUESTS {
        // When the next one of this address is due.
        let seconds = 60_u32.div_ceil(hub.config.limits.registrations_per_minute.max(1));
        headers.insert(standard::RETRY_AFTER, seconds.into());
    }
    if refusal.retry {
        headers.insert(header::RETRY, HeaderValue::from_static("1"));
    }
    answer
}
