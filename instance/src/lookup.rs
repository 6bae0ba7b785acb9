//! Where is this customer's agent? Asked of the whole fleet at once.

use std::{rc::Rc, time::Duration};

use futures_util::stream::{FuturesUnordered, StreamExt};
use http::HeaderMap;
use switchboard_fleet::{CustomerId, header};
use tokio::time::{Instant, timeout_at};

use crate::{
    caller::{number, sender},
    directory::Location,
    hub::{Hub, now_ms},
    outgoing::Call,
    peers::Peer,
    route::FleetRoute,
    verdict::Verdict,
    wire::name::Name,
};

/// After the first answer from the place itself the others get so long to say something newer.
const GRACE: Duration = Duration::from_millis(30);

/// Asks every server and sibling that answers, all at once, for at most `timeouts.lookup`. `None` also if this instance
/// has too many questions under way.
pub(crate) async fn ask_fleet(hub: &Rc<Hub>, id: CustomerId) -> Option<Location> {
    let peers: Vec<Peer> = hub.peers.borrow().alive().cloned().collect();
    ask_all(hub, &peers, id, hub.config.timeouts.lookup.get()).await
}

/// Asks every sibling on behalf of an instance of another server, which waits for `timeouts.lookup`.
pub(crate) async fn ask_siblings(hub: &Rc<Hub>, id: CustomerId) -> Option<Location> {
    let peers: Vec<Peer> = hub.peers.borrow().ports().map(Peer::Sibling).collect();
    ask_all(hub, &peers, id, hub.config.timeouts.lookup.get() / 2).await
}

async fn ask_all(hub: &Rc<Hub>, peers: &[Peer], id: CustomerId, within: Duration) -> Option<Location> {
    let _under_way = hub.lookups.try_acquire().ok()?;
    let mut questions: FuturesUnordered<_> =
        peers.iter().map(|peer| async move { (peer, ask(hub, peer, id).await) }).collect();
    let mut deadline = Instant::now() + within;
    let mut verdict = Verdict::default();
    while let Ok(Some((peer, told))) = timeout_at(deadline, questions.next()).await {
        let Some(told) = told else { continue };
        if verdict.hear(&hub.own, peer, told) {
            deadline = deadline.min(Instant::now() + GRACE);
        }
    }
    verdict.best()
}

async fn ask(hub: &Rc<Hub>, peer: &Peer, id: CustomerId) -> Option<Location> {
    let mut headers = HeaderMap::new();
    headers.insert(header::PRODUCT_UNIV_ID, id.get().into());
    let call = Call { headers, ..Call::default() };
    let answer = hub.outgoing.call(peer, FleetRoute::Find, call).await;
    hub.judge(peer, &answer);
    let answer = answer.ok()?;
    if !answer.contains_key(header::HOST) {
        return None;
    }
    let place = sender(&answer).ok()?;
    let since = number(&answer, Name::Since).ok()?.unwrap_or_else(now_ms);
    let known = place != hub.own && hub.may_contact(&place, &answer);
    known.then_some(Location { place, since })
}
