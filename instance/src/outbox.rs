//! "This customer is with me now", on its way to the rest of the fleet: the first at once, those that follow gathered for
//! a moment, one call for each peer. A slow peer holds up nobody but itself.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    rc::Rc,
    time::Duration,
};

use bytes::Bytes;
use http::HeaderMap;
use switchboard_fleet::{CustomerId, InstanceName, header};
use tokio::time::sleep;

use crate::{
    hub::Hub,
    outgoing::{Call, CallError},
    peers::Peer,
    route::FleetRoute,
};

/// After a call, how long announcements are gathered before the next one to the same peer, at least.
const GATHER_MIN: Duration = Duration::from_millis(20);
/// The same for each peer there is: so an instance makes at most a thousand calls a second, however large the fleet.
const GATHER_EACH: Duration = Duration::from_millis(1);
/// Announcements in one call.
const BATCH_MAX: usize = 10_000;
/// Announcements kept for one peer; beyond it new ones are not sent to it, and its apps cost a question instead.
const PENDING_MAX: usize = 200_000;
/// Pause after a call that failed.
const RETRY_PAUSE: Duration = Duration::from_millis(300);

/// Announcements that have not been sent.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    pending: RefCell<HashMap<Peer, Pending>>,
}

/// What one peer is to be told: the newest of each customer.
#[derive(Debug, Default)]
struct Pending {
    news: HashMap<CustomerId, (InstanceName, u64)>,
    /// Whether a task is sending.
    sending: bool,
}

impl Outbox {
    /// Tells every server and sibling that listens.
    pub(crate) fn announce_to_all(&self, hub: &Rc<Hub>, place: &InstanceName, id: CustomerId, since: u64) {
        let peers: Vec<Peer> = hub.peers.borrow().listeners().cloned().collect();
        for peer in peers {
            self.announce(hub, peer, place, id, since);
        }
    }

    /// Tells the siblings what a server-level call has told this instance.
    pub(crate) fn pass_on(&self, hub: &Rc<Hub>, place: &InstanceName, id: CustomerId, since: u64) {
        let origin = hub.peers.borrow().of(place);
        let peers: Vec<Peer> = hub.peers.borrow().listeners().cloned().collect();
        for peer in
            peers.into_iter().filter(|peer| matches!(peer, Peer::Sibling(_)) && Some(peer) != origin.as_ref())
        {
            self.announce(hub, peer, place, id, since);
        }
    }

    pub(crate) fn announce(
        &self,
        hub: &Rc<Hub>,
        peer: Peer,
        place: &InstanceName,
        id: CustomerId,
        since: u64,
    ) {
        let mut all = self.pending.borrow_mut();
        let pending = all.entry(peer.clone()).or_default();
        let full = pending.news.len() >= PENDING_MAX && !pending.news.contains_key(&id);
        let newer = pending.news.get(&id).is_none_or(|(known, at)| (since, place) > (*at, known));
        if full || !newer {
            return;
        }
        pending.news.insert(id, (place.clone(), since));
        if !pending.sending {
            pending.sending = true;
            let hub = hub.clone();
            // One task a peer; it ends when nothing is left to send.
            tokio::task::spawn_local(async move { send_all(&hub, &peer).await });
        }
    }

    /// Takes the next batch for `peer`, by the instance that it is about. Without one the sending task ends.
    fn take(&self, peer: &Peer) -> BTreeMap<InstanceName, Vec<(CustomerId, u64)>> {
        let mut batch = BTreeMap::<_, Vec<_>>::new();
        let mut all = self.pending.borrow_mut();
        let Some(pending) = all.get_mut(peer) else { return batch };
        let ids: Vec<CustomerId> = pending.news.keys().take(BATCH_MAX).copied().collect();
        for id in ids {
            if let Some((place, since)) = pending.news.remove(&id) {
                batch.entry(place).or_default().push((id, since));
            }
        }
        if batch.is_empty() {
            all.remove(peer);
        }
        batch
    }

    fn drop_all(&self, peer: &Peer) {
        if let Some(pending) = self.pending.borrow_mut().get_mut(peer) {
            pending.news.clear();
        }
    }
}

async fn send_all(hub: &Rc<Hub>, peer: &Peer) {
    loop {
        let batch = hub.outbox.take(peer);
        if batch.is_empty() {
            return;
        }
        for (place, news) in batch {
            send(hub, peer, &place, news).await;
        }
        let peers = hub.peers.borrow().listeners().count();
        sleep(gathering(peers)).await;
    }
}

/// How long announcements are gathered where so many peers are told.
fn gathering(peers: usize) -> Duration {
    GATHER_EACH.saturating_mul(u32::try_from(peers).unwrap_or(u32::MAX)).max(GATHER_MIN)
}

/// Sends one batch, again and again until it has arrived or the peer is dropped.
async fn send(hub: &Rc<Hub>, peer: &Peer, place: &InstanceName, news: Vec<(CustomerId, u64)>) {
    while hub.peers.borrow().listeners().any(|listener| listener == peer) {
        let announces = hub.peers.borrow().announces(peer);
        let sent = if announces {
            send_batch(hub, peer, place, &news).await
        } else {
            send_each(hub, peer, place, &news).await
        };
        match sent {
            Ok(()) => return,
            Err(error) if error.is_unknown_route() && announces => {
                hub.peers.borrow_mut().shown_announce(peer, false)
            }
            Err(error) if error.is_unknown_route() => break,
            Err(_) => sleep(RETRY_PAUSE).await,
        }
    }
    hub.outbox.drop_all(peer);
}

async fn send_batch(
    hub: &Rc<Hub>,
    peer: &Peer,
    place: &InstanceName,
    news: &[(CustomerId, u64)],
) -> Result<(), CallError> {
    let body: String = news.iter().map(|(id, since)| format!("{id} {since}\n")).collect();
    let call = Call { on_behalf: Some(place.clone()), body: Bytes::from(body), ..Call::default() };
    let answer = hub.outgoing.call(peer, FleetRoute::Announce, call).await;
    hub.judge(peer, &answer);
    answer.map(drop)
}

async fn send_each(
    hub: &Rc<Hub>,
    peer: &Peer,
    place: &InstanceName,
    news: &[(CustomerId, u64)],
) -> Result<(), CallError> {
    for (id, since) in news {
        let mut headers = HeaderMap::new();
        headers.insert(header::PRODUCT_UNIV_ID, id.get().into());
        headers.insert(header::SINCE, (*since).into());
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

    #[test]
    fn calls_in_a_second_do_not_grow_with_the_fleet() {
        for peers in [1, 20, 21, 1_000, 100_000] {
            let calls = peers as f64 / gathering(peers).as_secs_f64();
            assert!(calls <= 1_001.0, "{calls} calls a second to {peers} peers");
        }
        assert_eq!(gathering(3), GATHER_MIN);
    }
}
