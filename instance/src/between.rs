//! Calls from other instances of the fleet.

use std::{rc::Rc, time::Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use switchboard_fleet::{InstanceName, KeyRing, ServerName, header};

use crate::{
    announcement,
    caller::{Admission, address, admit, customer, number, sender, text},
    exchange::Found,
    greeter, handover,
    hub::{Answer, Hub, now_ms},
    lookup, marks,
    outgoing::sign_answer,
    peers::Peer,
    refill,
    refusal::Refusal,
    route::{FleetRoute, Level},
    wire::{carry::Intake, head::Head, line::Line, name::Name},
};

/// Answers a call from another instance.
///
/// # Errors
/// 401 if it is not let in, 400 if it is no such call, 403 if an unsigned one names a server that is not configured.
pub(crate) async fn answer(
    hub: Rc<Hub>,
    route: FleetRoute,
    level: Level,
    line: Rc<Line>,
    head: Box<Head>,
) -> Result<Answer, Refusal> {
    let headers = head.to_map();
    let path = head.path();
    let caller = address(line.peer, &*head, &hub.config);
    let admission = admit(&head.method, path, &headers, caller, &hub.keys, &hub.config.admit)?;
    let body = Intake::new(line, announcement::BODY_MAX as u64);
    let mut told = match route {
        FleetRoute::Hello => hello(&hub, level, admission, &headers)?,
        FleetRoute::Connected => connected(&hub, level, admission, &headers)?,
        FleetRoute::Announce => announce(&hub, level, admission, &headers, body).await?,
        FleetRoute::Find => find(&hub, level, &headers).await?,
        FleetRoute::Range => range(&hub, level, admission, &headers).await?,
        FleetRoute::Master => {
            let body = signed_body(admission, &headers, body).await?;
            handover::take(&hub, &headers, &body).await?
        }
        FleetRoute::MoveMaster => {
            signed_body(admission, &headers, body).await?;
            handover::give(&hub, &headers).await?
        }
    };
    if admission == Admission::Signed {
        sign_answer(&hub.keys, path, &headers, &mut told);
    }
    let mut answer = Answer::default();
    *answer.headers_mut() = told;
    Ok(answer)
}

fn hello(
    hub: &Rc<Hub>,
    level: Level,
    admission: Admission,
    headers: &HeaderMap,
) -> Result<HeaderMap, Refusal> {
    let newcomer = admitted_sender(hub, admission, headers)?;
    let leaving = text(headers, Name::Leaving) == Some("1");
    hub.peers.borrow_mut().shown_port(&newcomer, leaving);
    let peer = hub.peers.borrow().of(&newcomer);
    if let Some(peer) = peer {
        let news = meet_newcomer(hub, peer, leaving, headers);
        if news && level == Level::Server {
            greeter::pass_on(hub, &newcomer, leaving);
        }
    }
    let mut told = HeaderMap::new();
    told.insert(header::ANNOUNCE, HeaderValue::from_static("1"));
    marks::greeted(hub, admission, &newcomer, headers, &mut told);
    let peers = hub.peers.borrow();
    insert_list(&mut told, header::HOSTS, peers.servers().map(ServerName::to_string));
    match level {
        Level::Instance => insert_list(&mut told, header::PORTS, peers.ports().map(|port| port.to_string())),
        // An instance of the original service would take another server's ports for its siblings.
        Level::Server if headers.contains_key(header::ANNOUNCE) => {
            let own = (!hub.is_draining()).then_some(hub.own.port);
            insert_list(&mut told, header::PORTS, peers.ports().chain(own).map(|port| port.to_string()));
        }
        Level::Server => {}
    }
    Ok(told)
}

/// Takes a greeting in. Gives whether the others of this server should hear of it.
fn meet_newcomer(hub: &Rc<Hub>, peer: Peer, leaving: bool, headers: &HeaderMap) -> bool {
    if leaving {
        // Of another server only one instance ends: the rest of it still answers.
        let sibling = matches!(peer, Peer::Sibling(_));
        if sibling {
            hub.peers.borrow_mut().left(&peer, Instant::now());
        }
        return sibling;
    }
    let news = hub.peers.borrow_mut().heard(peer.clone(), Instant::now());
    if headers.contains_key(header::ANNOUNCE) {
        hub.peers.borrow_mut().shown_announce(&peer, true);
    }
    if news {
        hub.peer_came(&peer);
    }
    news
}

fn connected(
    hub: &Rc<Hub>,
    level: Level,
    admission: Admission,
    headers: &HeaderMap,
) -> Result<HeaderMap, Refusal> {
    let id = customer(headers)?;
    let since = number(headers, Name::Since)?.unwrap_or_else(now_ms);
    let place = admitted_sender(hub, admission, headers)?;
    add_sender(hub, &place);
    hub.heard_of(id, &place, since);
    if level == Level::Server {
        hub.outbox.pass_on(hub, &place, id, since);
    }
    Ok(HeaderMap::new())
}

async fn announce(
    hub: &Rc<Hub>,
    level: Level,
    admission: Admission,
    headers: &HeaderMap,
    body: Intake,
) -> Result<HeaderMap, Refusal> {
    let place = admitted_sender(hub, admission, headers)?;
    let body = whole_body(admission, headers, body).await?;
    let news = announcement::parse(&body)?;
    add_sender(hub, &place);
    let peer = hub.peers.borrow().of(&place);
    if let (Some(peer), Level::Instance) = (peer, level) {
        hub.peers.borrow_mut().shown_announce(&peer, true);
    }
    for (id, since) in news {
        hub.heard_of(id, &place, since);
        if level == Level::Server {
            hub.outbox.pass_on(hub, &place, id, since);
        }
    }
    Ok(HeaderMap::new())
}

/// The whole body of a call; one that is signed must have signed it.
async fn whole_body(admission: Admission, headers: &HeaderMap, body: Intake) -> Result<Bytes, Refusal> {
    let body = body.whole().await?;
    let digest = text(headers, Name::Digest);
    let covered = digest.map_or(body.is_empty(), |digest| digest == KeyRing::digest(&body));
    if admission == Admission::Signed && !covered {
        return Err(Refusal::new(StatusCode::UNAUTHORIZED, "X-IWP-Digest is not the body's"));
    }
    Ok(body)
}

/// As [`whole_body`], of a call that must be signed whoever makes it.
async fn signed_body(admission: Admission, headers: &HeaderMap, body: Intake) -> Result<Bytes, Refusal> {
    if admission != Admission::Signed {
        return Err(Refusal::new(StatusCode::UNAUTHORIZED, "this call must be signed"));
    }
    whole_body(admission, headers, body).await
}

/// Asked for the server, an instance that does not have the agent asks its siblings; a question to one instance never
/// leads to another.
async fn find(hub: &Rc<Hub>, level: Level, headers: &HeaderMap) -> Result<HeaderMap, Refusal> {
    let id = customer(headers)?;
    let place = if hub.is_here(id) {
        hub.directory.borrow().get(id)
    } else {
        let told = if level == Level::Server { lookup::ask_siblings(hub, id).await } else { None };
        told.or_else(|| hub.elsewhere(id))
    };
    let mut told = HeaderMap::new();
    if let Some(place) = place
        && let Ok(host) = HeaderValue::try_from(place.place.server.as_str())
    {
        told.insert(header::HOST, host);
        told.insert(header::PORT, place.place.port.into());
        told.insert(header::SINCE, place.since.into());
    }
    Ok(told)
}

async fn range(
    hub: &Rc<Hub>,
    level: Level,
    admission: Admission,
    headers: &HeaderMap,
) -> Result<HeaderMap, Refusal> {
    let size =
        number(headers, Name::RangeSize)?.ok_or_else(|| Refusal::bad("X-IWP-Range-Size is missing"))?;
    if size == 0 {
        return Err(Refusal::bad("X-IWP-Range-Size is 0"));
    }
    if admission == Admission::Signed {
        marks::hear(hub, headers);
    }
    // An instance of the original does not hear that the master has moved; one of this fleet asks the new one itself.
    let forward = level == Level::Server || (admission == Admission::Legacy && hub.ids.grants.has_moved());
    let (granted, of_the_fleet) = refill::grant(hub, size, forward).await;
    let mut told = HeaderMap::new();
    if let Some(granted) = granted {
        told.insert(header::RANGE_FROM, granted.first().get().into());
        told.insert(header::RANGE_TO, granted.last().get().into());
    }
    if of_the_fleet {
        marks::tell(hub, &mut told);
    }
    Ok(told)
}

/// The instance a call speaks for, if it may be contacted and named to others.
fn admitted_sender(hub: &Hub, admission: Admission, headers: &HeaderMap) -> Result<InstanceName, Refusal> {
    let place = sender(headers)?;
    if admission == Admission::Signed || hub.peers.borrow().is_configured(&place.server) {
        return Ok(place);
    }
    Err(Refusal::new(StatusCode::FORBIDDEN, "X-IWP-Host is not configured here, and the call is not signed"))
}

fn add_sender(hub: &Rc<Hub>, place: &InstanceName) {
    hub.peers.borrow_mut().shown_port(place, false);
    let Some(peer) = hub.peers.borrow().of(place) else { return };
    let news = hub.peers.borrow_mut().heard(peer.clone(), Instant::now());
    if news {
        hub.peer_came(&peer);
    }
}

fn insert_list(headers: &mut HeaderMap, name: http::HeaderName, items: impl Iterator<Item = String>) {
    if let Ok(value) = HeaderValue::try_from(items.collect::<Vec<_>>().join(",")) {
        headers.insert(name, value);
    }
}

impl Hub {
    /// Whether the agent of `id` is at this instance: a poll is parked, or expected back.
    pub(crate) fn is_here(&self, id: switchboard_fleet::CustomerId) -> bool {
        !self.is_draining()
            && self.is_settled(id)
            && self.exchange.borrow().look(id, Instant::now()) != Found::Nobody
    }
}
