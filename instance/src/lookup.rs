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
};

/// After the first "here" the others get so long to say something newer.
const GRACE: Duration = Duration::from_millis(30);

/// Asks every server and sibling that answers, all at once; gives the newest place told within `timeouts.lookup`.
/// `None` also if this instance has too many questions under way.
pub(crate) async fn ask_fleet(hub: &Rc<Hub>, id: CustomerId) -> Option<Location> {
    let _under_way = hub.lookups.try_acquire().ok()?;
    let peers: Vec<Peer> = hub.peers.borrow().alive().cloned().collect();
    let mut questions: FuturesUnordered<_> = peers.iter().map(|peer| ask(hub, peer, id)).collect();
    let mut deadline = Instant::now() + hub.config.timeouts.lookup.get();
    let mut newest: Option<Location> = None;
    while let Ok(Some(told)) = timeout_at(deadline, questions.next()).await {
        let Some(told) = told else { continue };
        if newest.is_none() {
            deadline = deadline.min(Instant::now() + GRACE);
        }
        if newest.as_ref().is_none_or(|known| (told.since, &told.place) > (known.since, &known.place)) {
            newest = Some(told);
        }
    }
    newest
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
    let since = number(&answer, &header::SINCE).ok()?.unwrap_or_else(now_ms);
    let known = place != hub.own && hub.may_contact(&place, &answer);
    known.then_some(Location { place, since })
}
