//! One request answered: from the poll that brought it to `/agentreply`.

use std::sync::Arc;

use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
};
use hyper::body::Incoming;
use switchboard_fleet::{InstanceName, header};
use tracing::debug;

use super::{STALL, Service, forward, identity::Identity};
use crate::{
    body::{self, Body},
    http::Http,
    meter::{Limits, Meter},
    wire,
};

/// The instance acknowledges a whole reply within this.
const REPLY: Limits = Limits { stall: STALL, answer: std::time::Duration::from_secs(30) };

/// What the app is to get.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    /// End-to-end headers.
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
}

impl Reply {
    /// An error of this agent's own; `reason` is for a person.
    pub(crate) fn error(status: StatusCode, reason: &str) -> Self {
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::try_from(wire::printable(reason.as_bytes())) {
            headers.insert(header::REASON, value);
        }
        Self { status, headers, body: body::empty() }
    }
}

/// Answers requests.
pub(crate) struct Replier {
    http: Http,
    identity: Arc<Identity>,
    service: Service,
}

impl Replier {
    pub(crate) fn new(http: Http, identity: Arc<Identity>, service: Service) -> Self {
        Self { http, identity, service }
    }

    /// Answers the request that came with a poll at `at`. The request's body is held to the end, so that an
    /// answer given before it was read does not look like an agent that broke off.
    pub(crate) async fn answer(self: Arc<Self>, at: InstanceName, request: Response<Incoming>) {
        let (mut head, incoming) = request.into_parts();
        let Some(request_id) = head.headers.remove(header::REQUEST_ID) else { return };
        let (meter, request_body) = Meter::lend(body::incoming(incoming));
        let reply = match &self.service {
            Service::Echo => echo(&head.headers, request_body),
            Service::Forward(base) => {
                forward::ask(&self.http, base, head.headers, &meter, request_body).await
            }
        };
        self.send(&at, request_id, reply).await;
    }

    /// POST /agentreply/PORT, at the instance that brought the request.
    async fn send(&self, at: &InstanceName, request_id: HeaderValue, reply: Reply) {
        let Some(status) = self.post(at, request_id.clone(), reply).await else { return };
        if matches!(status, StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE) {
            // The app still waits where the front or the guard refused the reply unseen; elsewhere this is refused as a second one.
            let reason = HeaderValue::from_static("the reply is larger than the fleet takes");
            let headers = HeaderMap::from_iter([(header::REASON, reason)]);
            self.post(
                at,
                request_id,
                Reply { status: StatusCode::BAD_GATEWAY, headers, body: body::empty() },
            )
            .await;
        }
    }

    /// One reply; gives the status of the answer, if there is one.
    async fn post(&self, at: &InstanceName, request_id: HeaderValue, reply: Reply) -> Option<StatusCode> {
        let mut headers = reply.headers;
        headers.extend(self.identity.headers());
        headers.insert(header::REQUEST_ID, request_id);
        headers.insert(header::RESPONSE_CODE, HeaderValue::from(reply.status.as_u16()));
        let (meter, body) = Meter::lend(reply.body);
        let path = format!("/agentreply/{}", at.port);
        let call = self.http.post(&at.server, &path, headers, body);
        let mut status = None;
        match meter.watch(REPLY, call).await {
            Ok(Ok(answer)) if answer.status().is_success() => return Some(answer.status()),
            Ok(Ok(answer)) => {
                debug!(%at, status = %answer.status(), "reply refused");
                status = Some(answer.status());
            }
            Ok(Err(trouble)) => debug!(%at, %trouble, "reply broken off"),
            Err(_stalled) => debug!(%at, "reply stalled"),
        }
        // Nobody wants the rest.
        meter.revoke();
        status
    }
}

/// The body comes back as it arrives.
fn echo(request: &HeaderMap, body: Body) -> Reply {
    let mut headers = HeaderMap::new();
    for name in [CONTENT_TYPE, CONTENT_ENCODING] {
        if let Some(value) = request.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    Reply { status: StatusCode::OK, headers, body }
}

/// What of a service's answer goes back: end-to-end headers, and none that only the fleet may set.
pub(crate) fn reply_headers(mut headers: HeaderMap) -> HeaderMap {
    header::keep_end_to_end(&mut headers);
    wire::without_protocol(&mut headers);
    headers
}
