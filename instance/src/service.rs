//! From a request to the function that answers it.

use std::{future::Future, pin::Pin, rc::Rc};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header as standard};
use switchboard_fleet::{CustomerId, header};

use crate::{
    agents::{self, Poll},
    between,
    caller::{address, check_headers, check_token, customer},
    counters::count,
    hub::{Answer, Hub},
    meeting,
    refusal::Refusal,
    reply,
    route::{GET_ONLY, Route, route},
    status,
    transact::{self, NO_REPLY},
    wire::{head::Head, line::Line},
};

/// What is to be done about a request.
pub(crate) enum Said {
    /// This is the answer.
    Now(Answer),
    /// The poll is to be parked.
    Poll(Poll),
    /// The answer takes a while. Boxed: a connection that waits costs what its own wait needs, not what the largest of
    /// all needs.
    Later(Handler),
}

/// A handler at work.
pub(crate) type Handler = Pin<Box<dyn Future<Output = Ended>>>;

/// What a handler leaves to be done on its connection.
pub(crate) enum Ended {
    /// This is to be said.
    Say(Answer),
    /// A whole answer has been said by another.
    Said,
    /// Nothing can be said any more.
    Cut,
}

/// Finds out what is to be done.
pub(crate) fn begin(hub: &Rc<Hub>, line: &Rc<Line>, head: Head) -> Said {
    *line.body() = head.body;
    if head.is_last {
        line.end_after_this();
    }
    line.watched.begin(crate::wire::watch::Doing::Busy);
    dispatch(hub, line, head).unwrap_or_else(|refusal| Said::Now(refuse(hub, line, &refusal)))
}

fn dispatch(hub: &Rc<Hub>, line: &Rc<Line>, head: Head) -> Result<Said, Refusal> {
    let route = route(&head.method, head.target(), hub.own.port)?;
    check_headers(&head)?;
    let agents = || -> Result<CustomerId, Refusal> {
        let id = customer(&head)?;
        check_token(&head, id, &hub.keys, &hub.config.admit).map(|()| id)
    };
    let (hub, line) = (hub.clone(), line.clone());
    Ok(match route {
        Route::Ping => Said::Now(Response::default()),
        Route::Register => {
            let address = address(line.peer, &head, &hub.config);
            later(hub.clone(), line, async move { agents::register(&hub, address).await })
        }
        Route::Connect => Said::Now(agents::connect(&hub, agents()?, &head)?),
        Route::Poll => {
            let id = agents()?;
            Said::Poll(Poll { id, has_old_token: agents::has_old_token(&hub, id, &head) })
        }
        Route::Reply => {
            let id = agents()?;
            handler(hub.clone(), line.clone(), reply::reply(hub, line, id, head))
        }
        Route::Locate => {
            let id = customer(&head)?;
            later(hub.clone(), line, async move {
                Ok(meeting::locate(&hub, id).await.map_or_else(transact::nobody, |p| transact::at(&p)))
            })
        }
        Route::Ask => {
            let id = customer(&head)?;
            handler(hub.clone(), line.clone(), transact::ask(hub, line, id, head))
        }
        Route::Fleet(route, level) => {
            later(hub.clone(), line.clone(), between::answer(hub, route, level, line, head))
        }
        Route::Status | Route::Metrics => {
            if !line.peer.is_loopback() || !address(line.peer, &head, &hub.config).is_loopback() {
                return Err(Refusal::new(StatusCode::NOT_FOUND, "no such route"));
            }
            Said::Now(if route == Route::Status { status::status(&hub) } else { status::metrics(&hub) })
        }
    })
}

/// A handler that always answers.
fn later(
    hub: Rc<Hub>,
    line: Rc<Line>,
    answer: impl Future<Output = Result<Answer, Refusal>> + 'static,
) -> Said {
    handler(hub, line, async move { answer.await.map(Ended::Say) })
}

fn handler(
    hub: Rc<Hub>,
    line: Rc<Line>,
    handler: impl Future<Output = Result<Ended, Refusal>> + 'static,
) -> Said {
    Said::Later(Box::pin(async move {
        handler.await.unwrap_or_else(|refusal| Ended::Say(refuse(&hub, &line, &refusal)))
    }))
}

/// The answer to a call that is not carried out, on this line.
pub(crate) fn refuse(hub: &Hub, line: &Line, refusal: &Refusal) -> Answer {
    if refusal.close {
        line.end_after_this();
    }
    refused(hub, refusal)
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
