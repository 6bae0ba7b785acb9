//! Greets the other servers and the siblings, again and again: that is how an instance learns who is there, and how
//! the others learn of it.

use std::{rc::Rc, time::Instant};

use http::{HeaderMap, HeaderValue};
use switchboard_fleet::{InstanceName, ServerName, header};
use tokio::time::{Duration, interval};

use crate::{
    caller::text,
    hub::Hub,
    marks,
    outgoing::{Call, CallError},
    peers::Peer,
    route::FleetRoute,
    wire::name::Name,
};

/// How often it is looked whether somebody is due to be greeted.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Most names taken from one answer.
const NAMES_MAX: usize = 4096;

/// Greets whoever is due, until the instance drains.
pub(crate) async fn greet_forever(hub: Rc<Hub>) {
    let mut looks = interval(LOOK_EVERY);
    while !hub.is_draining() {
        looks.tick().await;
        let due = hub.peers.borrow_mut().due(Instant::now());
        for peer in due {
            let hub = hub.clone();
            // Bounded: a peer is due once in GREET_EVERY, and a call ends within `timeouts.lookup`.
            tokio::task::spawn_local(async move { greet(&hub, &peer).await });
        }
    }
}

/// Greets one peer and takes in what it answers.
pub(crate) async fn greet(hub: &Rc<Hub>, peer: &Peer) {
    let answer =
        hub.outgoing.call(peer, FleetRoute::Hello, Call { headers: greeting(hub), ..Call::default() }).await;
    hub.judge(peer, &answer);
    let Ok(answer) = answer else { return };
    hub.peers.borrow_mut().shown_announce(peer, answer.contains_key(header::ANNOUNCE));
    // Names from an unsigned answer are not contacted, and a configured one is known already.
    let signed = answer.contains_key(header::SIGNATURE);
    if signed {
        marks::answered(hub, &answer);
    }
    let names = list(&answer, Name::Hosts).filter_map(|name| name.parse::<ServerName>().ok());
    for name in names.filter(|_| signed) {
        named(hub, Peer::Server(name));
    }
    let ports = list(&answer, Name::Ports).filter_map(|port| port.parse().ok()).filter(|port| *port > 0);
    match peer {
        Peer::Server(_) if answer.contains_key(header::PORTS) => {
            hub.peers.borrow_mut().shown_ports(peer, ports.collect());
        }
        Peer::Server(_) => {}
        Peer::Sibling(_) => ports.for_each(|port| named(hub, Peer::Sibling(port))),
    }
}

/// Takes in a name from a peer's answer.
fn named(hub: &Rc<Hub>, peer: Peer) {
    let news = hub.peers.borrow_mut().named(peer.clone(), Instant::now());
    if news {
        hub.peer_came(&peer);
    }
}

/// Tells everyone that this instance is about to end, so that nobody is sent here any more.
pub(crate) async fn say_goodbye(hub: &Rc<Hub>) {
    let peers: Vec<Peer> = hub.peers.borrow().alive().cloned().collect();
    let calls = peers.iter().map(|peer| {
        let mut headers = greeting(hub);
        headers.insert(header::LEAVING, HeaderValue::from_static("1"));
        hub.outgoing.call(peer, FleetRoute::Hello, Call { headers, ..Call::default() })
    });
    futures_util::future::join_all(calls).await;
}

/// Passes the greeting of `newcomer` on to the siblings.
pub(crate) fn pass_on(hub: &Rc<Hub>, newcomer: &InstanceName, leaving: bool) {
    let siblings: Vec<u16> = hub
        .peers
        .borrow()
        .ports()
        .filter(|port| *port != newcomer.port || newcomer.server != hub.own.server)
        .collect();
    for port in siblings {
        let hub = hub.clone();
        let on_behalf = Some(newcomer.clone());
        // Bounded: only news is passed on, and a call ends within `timeouts.lookup`.
        tokio::task::spawn_local(async move {
            let mut headers = HeaderMap::new();
            if leaving {
                headers.insert(header::LEAVING, HeaderValue::from_static("1"));
            }
            let peer = Peer::Sibling(port);
            let answer = hub
                .outgoing
                .call(&peer, FleetRoute::Hello, Call { on_behalf, headers, ..Call::default() })
                .await;
            hub.judge(&peer, &answer);
        });
    }
}

fn greeting(hub: &Hub) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::ANNOUNCE, HeaderValue::from_static("1"));
    marks::tell(hub, &mut headers);
    marks::tell_own(hub, &mut headers);
    headers
}

fn list<'a>(headers: &'a HeaderMap, name: Name) -> impl Iterator<Item = &'a str> + use<'a> {
    text(headers, name)
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .take(NAMES_MAX)
}

impl Hub {
    /// Notes how a call to a peer went.
    pub(crate) fn judge(self: &Rc<Self>, peer: &Peer, answer: &Result<HeaderMap, CallError>) {
        match answer {
            Ok(_) => {
                let back = self.peers.borrow_mut().answered(peer, Instant::now());
                if back {
                    self.peer_came(peer);
                }
            }
            Err(error) if error.is_unknown_route() => {}
            // A sibling is a process on this machine. Another server's front may be away for a moment only.
            Err(CallError::Ended) if matches!(peer, Peer::Sibling(_)) => self.peers.borrow_mut().gone(peer),
            Err(error) => {
                if self.peers.borrow_mut().failed(peer) {
                    tracing::warn!(?peer, %error, "peer dropped; it comes back when it calls or answers");
                } else {
                    tracing::debug!(?peer, %error, "call failed");
                }
            }
        }
    }

    /// Whether a place named by an answer or a call may be contacted or told to others.
    pub(crate) fn may_contact(&self, place: &InstanceName, told_by: &HeaderMap) -> bool {
        told_by.contains_key(header::SIGNATURE) || self.peers.borrow().is_configured(&place.server)
    }
}
