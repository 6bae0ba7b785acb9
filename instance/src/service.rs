//! From a request to the function that answers it, and from what that function says to the HTTP answer.

use std::{
    convert::Infallible,
    future::Future,
    net::IpAddr,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use http::{HeaderValue, StatusCode, header as standard};
use hyper::{Request, Response, body::Incoming, service::Service};
use switchboard_fleet::header;

use crate::{
    agents, between,
    body::AnswerBody,
    caller::{address, check_headers, check_token, customer, is_front},
    counters::count,
    guarded::Peer,
    hub::{Answer, Hub},
    meeting,
    refusal::Refusal,
    reply,
    route::{GET_ONLY, Route, route},
    status,
    transact::{self, NO_REPLY},
    watch::{Busy, Watch},
};

/// The service of one connection.
pub(crate) struct Connection {
    pub(crate) hub: Rc<Hub>,
    pub(crate) socket: IpAddr,
    pub(crate) watch: Rc<Watch>,
    pub(crate) peer: Rc<dyn Peer>,
}

/// What a handler says, at once or later. The later ones are boxed: a connection that waits costs what its own wait
/// needs, not what the largest of all needs.
enum Said {
    Now(Result<Answer, Refusal>),
    Later(Pin<Box<dyn Future<Output = Result<Answer, Refusal>>>>),
}

/// An answer on its way.
pub(crate) struct Answering {
    said: Option<Said>,
    hub: Rc<Hub>,
    busy: Option<Busy>,
}

impl Future for Answering {
    type Output = Result<Answer, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = match self.said.take() {
            Some(Said::Now(result)) => result,
            Some(Said::Later(mut handler)) => match handler.as_mut().poll(cx) {
                Poll::Ready(result) => result,
                Poll::Pending => {
                    self.said = Some(Said::Later(handler));
                    return Poll::Pending;
                }
            },
            None => return Poll::Pending,
        };
        let mut answer = result.unwrap_or_else(|refusal| refused(&self.hub, &refusal));
        if self.hub.is_draining() {
            answer.headers_mut().insert(standard::CONNECTION, HeaderValue::from_static("close"));
        }
        let busy = self.busy.take();
        Poll::Ready(Ok(answer.map(|body| if let Some(busy) = busy { body.busy(busy) } else { body })))
    }
}

impl Service<Request<Incoming>> for Connection {
    type Response = Answer;
    type Error = Infallible;
    type Future = Answering;

    fn call(&self, request: Request<Incoming>) -> Answering {
        let busy = Some(self.watch.begin());
        let said = self.dispatch(request).unwrap_or_else(|refusal| Said::Now(Err(refusal)));
        Answering { said: Some(said), hub: self.hub.clone(), busy }
    }
}

impl Connection {
    fn dispatch(&self, request: Request<Incoming>) -> Result<Said, Refusal> {
        let hub = self.hub.clone();
        let headers = request.headers();
        let route = route(request.method(), request.uri(), hub.own.port)?;
        check_headers(headers)?;
        Ok(match route {
            Route::Ping => Said::Now(Ok(Response::new(AnswerBody::empty()))),
            Route::Register => {
                let address = address(self.socket, headers, &hub.config);
                later(async move { agents::register(&hub, address).await })
            }
            Route::Connect => {
                let id = customer(headers)?;
                check_token(headers, id, &hub.keys, &hub.config.admit)?;
                Said::Now(agents::connect(&hub, id, headers))
            }
            Route::Poll => {
                let id = customer(headers)?;
                check_token(headers, id, &hub.keys, &hub.config.admit)?;
                // The request is dropped here: a parked poll keeps nothing of it.
                let old_token = agents::has_old_token(&hub, id, headers);
                later(async move { Ok(agents::poll(hub, id, old_token).await) })
            }
            Route::Reply => {
                let id = customer(headers)?;
                check_token(headers, id, &hub.keys, &hub.config.admit)?;
                later(reply::reply(hub, id, request))
            }
            Route::Locate => {
                let id = customer(headers)?;
                later(async move {
                    Ok(meeting::locate(&hub, id).await.map_or_else(transact::nobody, |p| transact::at(&p)))
                })
            }
            Route::Ask => {
                let id = customer(headers)?;
                let front = is_front(self.socket, &hub.config);
                later(transact::ask(hub, self.peer.clone(), front, id, request))
            }
            Route::Fleet(route, level) => {
                let caller = address(self.socket, headers, &hub.config);
                later(between::answer(hub, route, level, caller, request))
            }
            Route::Status | Route::Metrics => {
                if !self.socket.is_loopback() || !address(self.socket, headers, &hub.config).is_loopback() {
                    return Err(Refusal::new(StatusCode::NOT_FOUND, "no such route"));
                }
                Said::Now(Ok(if route == Route::Status {
                    status::status(&hub)
                } else {
                    status::metrics(&hub)
                }))
            }
        })
    }
}

fn later(handler: impl Future<Output = Result<Answer, Refusal>> + 'static) -> Said {
    Said::Later(Box::pin(handler))
}

/// The answer to a call that is not carried out.
fn refused(hub: &Hub, refusal: &Refusal) -> Answer {
    count(&hub.counters.refused);
    tracing::debug!(status = refusal.status.as_u16(), reason = %refusal.reason, "refused");
    let mut answer = Response::new(AnswerBody::empty());
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
    if refusal.close {
        headers.insert(standard::CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}
