//! Where is this customer's agent? Asked of the fleet, as `instance/src/lookup.rs` asks, and answered, as `between.rs` does.

use std::{rc::Rc, time::Duration};

use futures_util::stream::{FuturesUnordered, StreamExt};
use switchboard_fleet::CustomerId;
use switchboard_instance::{directory::Location, peers::Peer, verdict::Verdict};

use crate::{
    gossip::{Level, call, level},
    hub::Hub,
};

/// After the first certain answer the others get so long to say something newer.
const GRACE: Duration = Duration::from_millis(30);

/// Asks every server and sibling that answers, all at once; gives the newest place told in time.
pub(crate) async fn ask_fleet(hub: &Rc<Hub>, id: CustomerId) -> Option<Location> {
    let peers: Vec<Peer> = hub.peers.borrow().alive().cloned().collect();
    ask_all(hub, &peers, id, hub.world.timers.lookup).await
}

async fn ask_all(hub: &Rc<Hub>, peers: &[Peer], id: CustomerId, within: Duration) -> Option<Location> {
    let kernel = hub.world.kernel.clone();
    let mut questions: FuturesUnordered<_> =
        peers.iter().map(|peer| async move { (peer, find(hub, peer, id).await) }).collect();
    let mut deadline = kernel.now() + within;
    let mut verdict = Verdict::default();
    while let Some(Some((peer, told))) =
        kernel.timeout(deadline.saturating_sub(kernel.now()), questions.next()).await
    {
        let Some(told) = told else { continue };
        if verdict.hear(&hub.own, peer, told) {
            deadline = deadline.min(kernel.now() + GRACE);
        }
    }
    verdict.best()
}

/// Asks one peer.
async fn find(hub: &Rc<Hub>, peer: &Peer, id: CustomerId) -> Option<Location> {
    let to = level(peer);
    let told = call(hub, peer, move |there| async move { found(&there, to, id).await });
    told.await.ok().flatten().filter(|told| told.place != hub.own)
}

/// `/find`: asked for the server, an instance that does not have the agent asks its siblings.
async fn found(hub: &Rc<Hub>, level: Level, id: CustomerId) -> Option<Location> {
    if hub.is_here(id) {
        return hub.directory.borrow().get(id);
    }
    if level == Level::Instance {
        return hub.elsewhere(id);
    }
    let siblings: Vec<Peer> = hub.peers.borrow().ports().map(Peer::Sibling).collect();
    ask_all(hub, &siblings, id, hub.world.timers.lookup / 2).await.or_else(|| hub.elsewhere(id))
}
