//! "This customer is with me now", on its way to the rest of the fleet: the first at once, those that follow gathered for
//! a moment, one call for each peer. A slow peer holds up nobody but itself.
//!
//! Who comes here is written down once for all peers ([`News`]). What is for one peer alone, as it has just come, or for
//! siblings, as another server has told this instance, is kept for each of them.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    rc::Rc,
    time::Duration,
};

use bytes::Bytes;
use http::HeaderMap;
use switchboard_fleet::{CustomerId, InstanceName, header};
use tokio::{sync::Notify, task::spawn_local, time::sleep};

use crate::{
    announcement,
    hub::Hub,
    news::{News, write_line},
    outgoing::{Call, CallError},
    peers::Peer,
    route::FleetRoute,
};

/// After a call, how long announcements are gathered before the next one to the same peer, at least.
const GATHER_MIN: Duration = Duration::from_millis(20);
/// The same for each peer there is: so an instance makes at most a thousand calls a second, however large the fleet.
const GATHER_EACH: Duration = Duration::from_millis(1);
/// Announcements in one call of what is for one peer alone.
const BATCH_MAX: usize = 10_000;
/// Announcements kept for one peer alone; beyond it new ones are not sent to it, and its apps cost a question instead.
const PENDING_MAX: usize = 200_000;
/// Pause after a call that failed.
const RETRY_PAUSE: Duration = Duration::from_millis(300);

/// Announcements that have not been sent.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// Who has come here.
    own: RefCell<News>,
    /// What the last call took of that: most peers have been told equally much.
    cut: RefCell<Cut>,
    peers: RefCell<HashMap<Peer, Pending>>,
    grown: Notify,
}

/// Some of what is new.
#[derive(Debug, Default, Clone)]
struct Cut {
    from: u64,
    to: u64,
    text: Bytes,
}

/// What one peer is to be told.
#[derive(Debug, Default)]
struct Pending {
    /// It has been told so much of who has come here.
    told: u64,
    /// For it alone: the newest of each customer.
    news: HashMap<CustomerId, (InstanceName, u64)>,
    /// Whether a task is sending.
    sending: bool,
}

impl Outbox {
    /// Tells every server and sibling that listens that `id` has come here.
    pub(crate) fn announce_to_all(&self, id: CustomerId, since: u64) {
        self.own.borrow_mut().add(id, since);
        self.grown.notify_one();
    }

    /// Tells the siblings what a server-level call has told this instance.
    pub(crate) fn pass_on(&self, hub: &Hub, place: &InstanceName, id: CustomerId, since: u64) {
        let peers = hub.peers.borrow();
        let origin = peers.of(place);
        for peer in peers.listeners() {
            if matches!(peer, Peer::Sibling(_)) && Some(peer) != origin.as_ref() {
                self.announce(peer, place, id, since);
            }
        }
    }

    /// Tells one peer.
    pub(crate) fn announce(&self, peer: &Peer, place: &InstanceName, id: CustomerId, since: u64) {
        let mut peers = self.peers.borrow_mut();
        let pending = peers.entry(peer.clone()).or_default();
        let full = pending.news.len() >= PENDING_MAX && !pending.news.contains_key(&id);
        let newer = pending.news.get(&id).is_none_or(|(known, at)| (since, place) > (*at, known));
        if !full && newer {
            pending.news.insert(id, (place.clone(), since));
            self.grown.notify_one();
        }
    }

    /// A peer has come, and is told by [`Outbox::announce`] who is here: that replaces what it has missed.
    pub(crate) fn meet(&self, peer: &Peer) {
        let mut peers = self.peers.borrow_mut();
        let pending = peers.entry(peer.clone()).or_default();
        pending.told = self.own.borrow().end();
        pending.news.clear();
    }

    /// Whether a task is to be begun that sends `peer` what it has not been told.
    fn begin(&self, peer: &Peer) -> bool {
        let mut peers = self.peers.borrow_mut();
        let pending = peers.entry(peer.clone()).or_default();
        let begins = !pending.sending && pending.is_behind(&self.own.borrow());
        pending.sending |= begins;
        begins
    }

    /// The task has ended; what has come meanwhile is for the next.
    fn end(&self, peer: &Peer) {
        if let Some(pending) = self.peers.borrow_mut().get_mut(peer) {
            pending.sending = false;
            if pending.is_behind(&self.own.borrow()) {
                self.grown.notify_one();
            }
        }
    }

    /// What `peer` is to be told next of who has come here.
    fn next(&self, peer: &Peer) -> Cut {
        let from = self.peers.borrow().get(peer).map_or(0, |pending| pending.told);
        let (own, mut cut) = (self.own.borrow(), self.cut.borrow_mut());
        let (text, to) = own.from(from);
        if (cut.from, cut.to) != (from, to) {
            *cut = Cut { from, to, text: Bytes::copy_from_slice(text.as_bytes()) };
        }
        cut.clone()
    }

    fn has_told(&self, peer: &Peer, told: u64) {
        if let Some(pending) = self.peers.borrow_mut().get_mut(peer) {
            pending.told = pending.told.max(told);
        }
    }

    /// Takes what is for `peer` alone, by the instance that it is about.
    fn take(&self, peer: &Peer) -> BTreeMap<InstanceName, String> {
        let mut batch = BTreeMap::<_, String>::new();
        let mut peers = self.peers.borrow_mut();
        let Some(pending) = peers.get_mut(peer) else { return batch };
        let ids: Vec<CustomerId> = pending.news.keys().take(BATCH_MAX).copied().collect();
        for id in ids {
            if let Some((place, since)) = pending.news.remove(&id) {
                write_line(batch.entry(place).or_default(), id, since);
            }
        }
        batch
    }

    /// Forgets all but those who listen, and those whose task forgets them itself.
    fn keep(&self, listeners: &[Peer]) {
        let mut peers = self.peers.borrow_mut();
        if peers.len() > listeners.len() {
            peers.retain(|peer, pending| pending.sending || listeners.contains(peer));
        }
    }

    fn drop_all(&self, peer: &Peer) {
        self.peers.borrow_mut().remove(peer);
    }
}

impl Pending {
    fn is_behind(&self, own: &News) -> bool {
        self.told < own.end() || !self.news.is_empty()
    }
}

/// Tells the peers whatever is new, for ever.
pub(crate) async fn tell_forever(hub: Rc<Hub>) {
    loop {
        hub.outbox.grown.notified().await;
        let peers: Vec<Peer> = hub.peers.borrow().listeners().cloned().collect();
        let gathering = gathering(peers.len());
        hub.outbox.keep(&peers);
        for peer in peers {
            if hub.outbox.begin(&peer) {
                let hub = hub.clone();
                spawn_local(async move { send_all(&hub, &peer).await });
            }
        }
        sleep(gathering).await;
    }
}

/// How long announcements are gathered where so many peers are told.
fn gathering(peers: usize) -> Duration {
    GATHER_EACH.saturating_mul(u32::try_from(peers).unwrap_or(u32::MAX)).max(GATHER_MIN)
}

/// Sends a peer what there is for it now.
async fn send_all(hub: &Rc<Hub>, peer: &Peer) {
    let goal = hub.outbox.own.borrow().end();
    let mut told = 0;
    while told < goal {
        let next = hub.outbox.next(peer);
        if !next.text.is_empty() && !send(hub, peer, &hub.own, next.text).await {
            return;
        }
        hub.outbox.has_told(peer, next.to);
        told = next.to;
    }
    for (place, text) in hub.outbox.take(peer) {
        if !send(hub, peer, &place, Bytes::from(text)).await {
            return;
        }
    }
    hub.outbox.end(peer);
}

/// Sends one batch, again and again until it has arrived or the peer is dropped; whether it has arrived.
async fn send(hub: &Rc<Hub>, peer: &Peer, place: &InstanceName, text: Bytes) -> bool {
    while hub.peers.borrow().listeners().any(|listener| listener == peer) {
        let announces = hub.peers.borrow().announces(peer);
        let sent = if announces {
            send_batch(hub, peer, place, text.clone()).await
        } else {
            send_each(hub, peer, place, &text).await
        };
        match sent {
            Ok(()) => return true,
            Err(error) if error.is_unknown_route() && announces => {
                hub.peers.borrow_mut().shown_announce(peer, false)
            }
            Err(error) if error.is_unknown_route() => break,
            Err(_) => sleep(RETRY_PAUSE).await,
        }
    }
    hub.outbox.drop_all(peer);
    false
}

async fn send_batch(hub: &Rc<Hub>, peer: &Peer, place: &InstanceName, text: Bytes) -> Result<(), CallError> {
    let call = Call { on_behalf: Some(place.clone()), body: text, ..Call::default() };
    let answer = hub.outgoing.call(peer, FleetRoute::Announce, call).await;
    hub.judge(peer, &answer);
    answer.map(drop)
}

async fn send_each(hub: &Rc<Hub>, peer: &Peer, place: &InstanceName, text: &[u8]) -> Result<(), CallError> {
    // Our own lines are what they should be.
    for (id, since) in announcement::parse(text).unwrap_or_default() {
        let mut headers = HeaderMap::new();
        headers.insert(header::PRODUCT_UNIV_ID, id.get().into());
        headers.insert(header::SINCE, since.into());
        let call = Call { on_behalf: Some(place.clone()), headers, ..Call::default() };
        let answer = hub.outgoing.call(peer, FleetRoute::Connected, call).await;
        hub.judge(peer, &answer);
        answer?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> CustomerId {
        CustomerId::new(number).unwrap()
    }

    fn text(outbox: &Outbox, peer: &Peer) -> String {
        String::from_utf8(outbox.next(peer).text.to_vec()).unwrap()
    }

    #[test]
    fn every_peer_is_told_everything_once_at_its_own_pace() {
        let (outbox, [a, b]) = (Outbox::default(), [8081, 8082].map(Peer::Sibling));
        assert!(!outbox.begin(&a), "there is nothing to tell");
        outbox.announce_to_all(id(1), 5);
        assert!(outbox.begin(&a));
        assert!(!outbox.begin(&a), "it is being told");
        assert_eq!(text(&outbox, &a), "1 5\n");
        let told = outbox.next(&a).to;
        outbox.announce_to_all(id(2), 6);
        outbox.has_told(&a, told);
        outbox.end(&a);
        assert!(outbox.begin(&a));
        assert_eq!((text(&outbox, &a), text(&outbox, &b)), ("2 6\n".into(), "1 5\n2 6\n".into()));
        let told = outbox.next(&a).to;
        outbox.has_told(&a, told);
        outbox.end(&a);
        assert!(!outbox.begin(&a) && outbox.begin(&b));
    }

    #[test]
    fn who_comes_late_is_told_who_is_here_and_not_who_was() {
        let (outbox, peer) = (Outbox::default(), Peer::Sibling(8081));
        let place = |port| InstanceName { server: "eu.example.net".parse().unwrap(), port };
        outbox.announce_to_all(id(1), 5);
        outbox.meet(&peer);
        assert!(!outbox.begin(&peer));
        for (port, number, since) in [(8083, 7, 1), (8082, 8, 2), (8083, 8, 3), (8082, 8, 1)] {
            outbox.announce(&peer, &place(port), id(number), since);
        }
        assert!(outbox.begin(&peer) && text(&outbox, &peer).is_empty());
        let mut all = outbox.take(&peer);
        let mut lines: Vec<_> = all.get(&place(8083)).unwrap().lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["7 1", "8 3"], "the newest of each");
        assert_eq!(all.remove(&place(8082)), None);
        outbox.end(&peer);
        assert!(!outbox.begin(&peer));
    }

    #[test]
    fn who_listens_no_more_is_forgotten() {
        let (outbox, [a, b]) = (Outbox::default(), [8081, 8082].map(Peer::Sibling));
        outbox.announce_to_all(id(1), 5);
        assert!(outbox.begin(&a));
        outbox.meet(&b);
        outbox.keep(std::slice::from_ref(&b));
        assert_eq!(outbox.peers.borrow().len(), 2, "a task tells one of them");
        outbox.end(&a);
        outbox.keep(std::slice::from_ref(&b));
        assert_eq!(outbox.peers.borrow().len(), 1);
    }

    #[test]
    fn calls_in_a_second_do_not_grow_with_the_fleet() {
        for peers in [1, 20, 21, 1_000, 100_000] {
            let calls = peers as f64 / gathering(peers).as_secs_f64();
            assert!(calls <= 1_001.0, "{calls} calls a second to {peers} peers");
        }
        assert_eq!(gathering(3), GATHER_MIN);
    }
}
