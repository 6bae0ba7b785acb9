//! What instances say to each other, as `instance/src/between.rs`, `greeter.rs` and `outbox.rs` say it.

use std::{cell::RefCell, collections::BTreeMap, future::Future, rc::Rc, time::Duration};

use switchboard_fleet::{CustomerId, InstanceName, SIGNATURE_MAX_AGE, ServerName};
use switchboard_instance::peers::Peer;

use crate::{
    hub::Hub,
    network::{self, Caller},
    world::World,
};

/// As in the files named above.
const LOOK_EVERY: Duration = Duration::from_millis(200);
const GATHER: Duration = Duration::from_millis(20);
const RETRY_PAUSE: Duration = Duration::from_millis(300);

/// Whom a call is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Server,
    Instance,
}

pub(crate) fn level(peer: &Peer) -> Level {
    if matches!(peer, Peer::Server(_)) { Level::Server } else { Level::Instance }
}

/// The call brought nothing, or nothing that can be believed.
#[derive(Debug)]
pub(crate) struct Failed;

/// Calls a peer, signed by this instance's clock; notes how it went.
pub(crate) async fn call<T: 'static, F: Future<Output = T> + 'static>(
    hub: &Rc<Hub>,
    peer: &Peer,
    work: impl Fn(Rc<Hub>) -> F + Clone + 'static,
) -> Result<T, Failed> {
    let (world, signed) = (&hub.world, hub.now_ms());
    let checked = move |there: Rc<Hub>| {
        let fresh = u128::from(there.now_ms().abs_diff(signed)) <= SIGNATURE_MAX_AGE.as_millis();
        let work = work(there.clone());
        async move { if fresh { Some((work.await, there.now_ms())) } else { None } }
    };
    let caller = Caller::Machine(hub.machine);
    let called = async {
        match peer {
            Peer::Server(name) => {
                network::call_server(world, caller, server_number(world, name), checked).await
            }
            Peer::Sibling(port) => {
                let place = InstanceName { server: hub.own.server.clone(), port: *port };
                network::call(world, caller, world.machine(&place), checked).await
            }
        }
    };
    let told = match world.kernel.timeout(world.timers.lookup, called).await {
        Some(Ok(Some((told, at))))
            if u128::from(hub.now_ms().abs_diff(at)) <= SIGNATURE_MAX_AGE.as_millis() =>
        {
            Ok(told)
        }
        _ => Err(Failed),
    };
    match &told {
        Ok(_) => {
            let back = hub.peers.borrow_mut().answered(peer, hub.now());
            if back {
                hub.outbox.tell_all_here(hub, peer);
            }
        }
        Err(Failed) => {
            if hub.peers.borrow_mut().failed(peer) {
                world.trace(|| format!("{} drops {peer:?}", hub.own));
            }
        }
    }
    told
}

/// A peer has called, or was `named` by another: if that is news, it is told who is here.
fn heard(hub: &Rc<Hub>, peer: Peer, named: bool) -> bool {
    let mut peers = hub.peers.borrow_mut();
    let news =
        if named { peers.named(peer.clone(), hub.now()) } else { peers.heard(peer.clone(), hub.now()) };
    if news {
        peers.greet_soon(&peer);
        drop(peers);
        hub.outbox.tell_all_here(hub, &peer);
    }
    news
}

fn server_number(world: &World, name: &ServerName) -> usize {
    world.servers.iter().position(|server| server.name == *name).expect("only names of this fleet are told")
}

/// Greets whoever is due, until the instance drains.
pub(crate) async fn greet_forever(hub: Rc<Hub>) {
    while !hub.is_draining() && !hub.world.ending.get() {
        let due = hub.peers.borrow_mut().due(hub.now());
        for peer in due {
            let here = hub.clone();
            hub.world.spawn_at(hub.machine, async move { greet(&here, &peer).await });
        }
        hub.world.kernel.sleep(LOOK_EVERY).await;
    }
}

async fn greet(hub: &Rc<Hub>, peer: &Peer) {
    let (newcomer, to) = (hub.own.clone(), level(peer));
    let told = call(hub, peer, move |there| {
        let newcomer = newcomer.clone();
        async move { hello(&there, to, &newcomer, false) }
    });
    let Ok((servers, ports)) = told.await else { return };
    hub.peers.borrow_mut().shown_announce(peer, true);
    for server in servers {
        heard(hub, Peer::Server(server), true);
    }
    match peer {
        Peer::Server(_) => {
            hub.peers.borrow_mut().shown_ports(peer, ports.into_iter().collect());
        }
        Peer::Sibling(_) => {
            for port in ports {
                heard(hub, Peer::Sibling(port), true);
            }
        }
    }
}

/// `/hello`: gives the servers known here, and the ports of this one.
fn hello(hub: &Rc<Hub>, level: Level, newcomer: &InstanceName, leaving: bool) -> (Vec<ServerName>, Vec<u16>) {
    hub.peers.borrow_mut().shown_port(newcomer, leaving);
    let peer = hub.peers.borrow().of(newcomer);
    if let Some(peer) = peer {
        let news = meet_newcomer(hub, peer, leaving);
        if news && level == Level::Server {
            pass_on(hub, newcomer, leaving);
        }
    }
    let peers = hub.peers.borrow();
    let own = (!hub.is_draining()).then_some(hub.own.port);
    (peers.servers().cloned().collect(), peers.ports().chain(own).collect())
}

fn meet_newcomer(hub: &Rc<Hub>, peer: Peer, leaving: bool) -> bool {
    if leaving {
        let sibling = matches!(peer, Peer::Sibling(_));
        if sibling {
            hub.peers.borrow_mut().left(&peer, hub.now());
        }
        return sibling;
    }
    let news = heard(hub, peer.clone(), false);
    hub.peers.borrow_mut().shown_announce(&peer, true);
    news
}

fn pass_on(hub: &Rc<Hub>, newcomer: &InstanceName, leaving: bool) {
    let own_port = |port: &u16| newcomer.server == hub.own.server && newcomer.port == *port;
    let siblings: Vec<u16> = hub.peers.borrow().ports().filter(|port| !own_port(port)).collect();
    for port in siblings {
        let (here, newcomer) = (hub.clone(), newcomer.clone());
        hub.world.spawn_at(hub.machine, async move {
            let peer = Peer::Sibling(port);
            let told = call(&here, &peer, move |there| {
                let newcomer = newcomer.clone();
                async move { drop(hello(&there, Level::Instance, &newcomer, leaving)) }
            });
            // A sibling that does not hear it is told by the newcomer's own greeting.
            let _ = told.await;
        });
    }
}

/// Tells everyone that this instance is about to end.
pub(crate) async fn say_goodbye(hub: &Rc<Hub>) {
    let peers: Vec<Peer> = hub.peers.borrow().alive().cloned().collect();
    let calls = peers.iter().map(|peer| {
        let (leaver, to) = (hub.own.clone(), level(peer));
        call(hub, peer, move |there| {
            let leaver = leaver.clone();
            async move { drop(hello(&there, to, &leaver, true)) }
        })
    });
    futures_util::future::join_all(calls).await;
}

/// Announcements that have not been sent: for each peer the newest of each customer, and whether a task is sending.
#[derive(Debug, Default)]
pub(crate) struct Outbox(RefCell<BTreeMap<Peer, News>>);

/// The newest place of each customer, and since when.
type News = BTreeMap<CustomerId, (InstanceName, u64)>;

impl Outbox {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    /// Tells every server and sibling that listens.
    pub(crate) fn announce_to_all(&self, hub: &Rc<Hub>, place: &InstanceName, id: CustomerId, since: u64) {
        let peers: Vec<Peer> = hub.peers.borrow().listeners().cloned().collect();
        for peer in peers {
            self.announce(hub, peer, place, id, since);
        }
    }

    /// Tells a peer that came, or came back, of every agent that is here.
    fn tell_all_here(&self, hub: &Rc<Hub>, peer: &Peer) {
        let ids: Vec<CustomerId> = hub.exchange.borrow().present(hub.now()).collect();
        for id in ids.into_iter().filter(|id| hub.is_settled(*id)) {
            let Some(location) = hub.directory.borrow().get(id) else { continue };
            self.announce(hub, peer.clone(), &hub.own, id, location.since);
        }
    }

    fn pass_on(&self, hub: &Rc<Hub>, place: &InstanceName, id: CustomerId, since: u64) {
        let origin = hub.peers.borrow().of(place);
        let peers: Vec<Peer> = hub.peers.borrow().listeners().cloned().collect();
        for peer in peers {
            if matches!(peer, Peer::Sibling(_)) && Some(&peer) != origin.as_ref() {
                self.announce(hub, peer, place, id, since);
            }
        }
    }

    fn announce(&self, hub: &Rc<Hub>, peer: Peer, place: &InstanceName, id: CustomerId, since: u64) {
        let mut all = self.0.borrow_mut();
        let sending = all.contains_key(&peer);
        let pending = all.entry(peer.clone()).or_default();
        if pending.get(&id).is_none_or(|(known, at)| (since, place) > (*at, known)) {
            pending.insert(id, (place.clone(), since));
        }
        if !sending {
            let here = hub.clone();
            hub.world.spawn_at(hub.machine, async move { send_all(&here, &peer).await });
        }
    }

    fn take(&self, peer: &Peer) -> BTreeMap<InstanceName, Vec<(CustomerId, u64)>> {
        let mut batch = BTreeMap::<_, Vec<_>>::new();
        let mut all = self.0.borrow_mut();
        let Some(pending) = all.get_mut(peer) else { return batch };
        for (id, (place, since)) in std::mem::take(pending) {
            batch.entry(place).or_default().push((id, since));
        }
        if batch.is_empty() {
            all.remove(peer);
        }
        batch
    }
}

async fn send_all(hub: &Rc<Hub>, peer: &Peer) {
    loop {
        hub.world.kernel.sleep(GATHER).await;
        let batch = hub.outbox.take(peer);
        if batch.is_empty() {
            return;
        }
        for (place, news) in batch {
            send(hub, peer, &place, news).await;
        }
    }
}

/// Sends one batch, again and again until it has arrived or the peer is dropped.
async fn send(hub: &Rc<Hub>, peer: &Peer, place: &InstanceName, news: Vec<(CustomerId, u64)>) {
    while hub.peers.borrow().listeners().any(|listener| listener == peer) {
        // One call for all, or to a peer that has not shown that it takes that, a call each.
        let each = if hub.peers.borrow().announces(peer) { news.len() } else { 1 };
        let mut sent = true;
        for some in news.chunks(each) {
            let (place, some, to) = (place.clone(), some.to_vec(), level(peer));
            let told = call(hub, peer, move |there| {
                let (place, some) = (place.clone(), some.clone());
                async move { announced(&there, to, &place, &some) }
            });
            sent = told.await.is_ok();
            if !sent {
                break;
            }
        }
        if sent {
            return;
        }
        hub.world.kernel.sleep(RETRY_PAUSE).await;
    }
    if let Some(pending) = hub.outbox.0.borrow_mut().get_mut(peer) {
        pending.clear();
    }
}

/// `/announce` and `/connected`.
fn announced(hub: &Rc<Hub>, level: Level, place: &InstanceName, news: &[(CustomerId, u64)]) {
    hub.peers.borrow_mut().shown_port(place, false);
    let peer = hub.peers.borrow().of(place);
    if let Some(peer) = peer {
        heard(hub, peer, false);
    }
    for (id, since) in news {
        hub.heard_of(*id, place, *since);
        if level == Level::Server {
            hub.outbox.pass_on(hub, place, *id, *since);
        }
    }
}
