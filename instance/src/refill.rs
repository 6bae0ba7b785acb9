//! Keeps the customer IDs coming: blocks from the instance's own ledger, and new ranges for it before it is empty.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use http::HeaderMap;
use switchboard_fleet::{InstanceName, header};
use switchboard_range::{Fence, IdRange, LedgerError, Mark};
use tokio::time::interval;

use crate::{
    caller::number,
    grants::{NoGrant, Source},
    handover,
    hub::Hub,
    marks,
    outgoing::{Call, CallError},
    peers::Peer,
    route::FleetRoute,
    vault::VaultError,
    wire::name::Name,
};

/// How often it is looked whether more should be asked for.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// After nobody had a range to give, or the ledger could not be written, it is not tried for so long, however many customers come.
const PAUSE: Duration = Duration::from_millis(400);

/// Keeps the IDs coming until the instance ends.
pub(crate) async fn forever(hub: Rc<Hub>) {
    let mut looks = interval(LOOK_EVERY);
    loop {
        looks.tick().await;
        if hub.ids.needs_block() || hub.ids.needs_range() {
            soon(&hub);
        }
        handover::finish(&hub).await;
        claim_again(&hub).await;
    }
}

/// Fills up in the background, once at a time.
pub(crate) fn soon(hub: &Rc<Hub>) {
    let pausing = hub.ids.failed.get().is_some_and(|at| at.elapsed() < PAUSE);
    if pausing || !hub.ids.is_usable() || hub.ids.filling.replace(true) {
        return;
    }
    let hub = hub.clone();
    // One at a time; it ends when every peer has been asked once.
    tokio::task::spawn_local(async move {
        fill(&hub).await;
        hub.ids.filling.set(false);
        hub.ids.filled.notify_waiters();
    });
}

async fn fill(hub: &Rc<Hub>) {
    let ids = &hub.ids;
    ids.failed.set(None);
    take_block(hub).await;
    ids.filled.notify_waiters();
    if !ids.needs_range() || ids.failed.get().is_some() {
        return;
    }
    let range = match ids.kept.take() {
        Some(kept) => Some(kept),
        None => acquire(hub).await,
    };
    match range {
        Some(range) => {
            ids.dry.over();
            take_in(hub, range).await;
        }
        None => {
            ids.failed.set(Some(Instant::now()));
            if ids.dry.is_due(Instant::now()) {
                tracing::warn!(
                    left = ids.left(),
                    "nobody has a range of customer IDs to give; it is asked on"
                );
            }
        }
    }
}

async fn take_in(hub: &Rc<Hub>, range: IdRange) {
    let ids = &hub.ids;
    if !ids.is_usable() {
        return;
    }
    let (mark, told) = (ids.grants.newest(), ids.told());
    let added = ids.vault.change(move |ledger| {
        if ledger.left() == 0 {
            // Begun anew, it must not be taken for an older copy of what it was.
            ledger.advance(told);
        }
        ledger.add(range, mark.as_ref())
    });
    let added = added.await;
    if matches!(added, Err(VaultError::Ledger(LedgerError::Write { .. }))) {
        // Asked for another one, a full disk here would use up the fleet's range.
        ids.kept.set(Some(range));
    }
    if written(hub, added).is_some() {
        ids.sizing.borrow_mut().asked(Instant::now());
        take_block(hub).await;
    }
}

async fn take_block(hub: &Rc<Hub>) {
    let ids = &hub.ids;
    if ids.needs_block() {
        let (size, mark) = (ids.block_size(), ids.grants.newest());
        let block = ids.vault.change(move |ledger| {
            if let Some(mark) = &mark {
                ledger.note(mark);
            }
            ledger.take(size)
        });
        if let Some(Some(block)) = written(hub, block.await) {
            ids.add_block(block);
        }
    }
}

/// A master whose disk was full when it started takes its ledger into use as soon as it can.
async fn claim_again(hub: &Rc<Hub>) {
    if !hub.ids.grants.is_confirmed()
        && let Err(error) = hub.ids.grants.claim().await
        && hub.ids.unwritten.is_due(Instant::now())
    {
        tracing::error!(%error, "this master grants no customer IDs yet");
    }
}

/// Gives another instance a range: from the fleet's if it is here; else, if `forward`, what the master grants when asked; else a
/// tenth of what is left here, once that is known to be no older copy. Gives what there is, and whether it is the fleet's.
pub(crate) async fn grant(hub: &Rc<Hub>, size: u64, forward: bool) -> (Option<IdRange>, bool) {
    let size = size.min(hub.config.range.size_max);
    let patience = hub.config.timeouts.lookup.get() / 2;
    match hub.ids.grants.take(size, patience).await {
        // A database tells no mark.
        Ok(granted) => return (granted, !matches!(hub.ids.grants.source(), Source::Store(_))),
        Err(error) => tracing::debug!(%error, "nothing is granted from the fleet's range"),
    }
    if forward {
        let asked = tokio::time::timeout(patience, ask_masters(hub, size)).await;
        if let Ok(Ok(granted)) = asked {
            return (granted, true);
        }
    }
    if !hub.ids.is_usable() {
        return (None, false);
    }
    let tenth = (hub.ids.vault.left() / 10).min(size);
    (written(hub, hub.ids.vault.change(move |ledger| ledger.cut(tenth)).await).flatten(), false)
}

/// Asks for a range, in the protocol's order: the master, each other server, each sibling.
async fn acquire(hub: &Rc<Hub>) -> Option<IdRange> {
    let size = hub.ids.sizing.borrow().size();
    match hub.ids.grants.take(size, Duration::ZERO).await {
        Ok(granted) => return granted,
        Err(NoGrant::Elsewhere) => {}
        Err(error) => tracing::debug!(%error, "nothing is granted from the fleet's range"),
    }
    match ask_masters(hub, size).await {
        Ok(Some(range)) => return Some(range),
        Ok(None) => tracing::debug!("the master has no customer IDs to give"),
        Err(error) => tracing::debug!(%error, "the master does not answer"),
    }
    let (mut servers, siblings): (Vec<Peer>, Vec<Peer>) =
        hub.peers.borrow().alive().cloned().partition(|peer| matches!(peer, Peer::Server(_)));
    servers.extend(siblings);
    for peer in servers {
        let asked_with = hub.ids.grants.newest();
        let answer = hub.outgoing.call(&peer, FleetRoute::Range, asking(hub, size)).await;
        hub.judge(&peer, &answer);
        if let Some(range) = answer.ok().and_then(|answer| believed(hub, asked_with.as_ref(), &answer)) {
            return Some(range);
        }
    }
    None
}

/// Asks the master that was heard of last, then the configured one; `None` if it has nothing left.
async fn ask_masters(hub: &Rc<Hub>, size: u64) -> Result<Option<IdRange>, CallError> {
    let heard = hub.ids.grants.master(&hub.own);
    let configured =
        Some(&hub.config.master).filter(|master| **master != hub.own && heard.as_ref() != Some(master));
    let mut outcome = Ok(None);
    for master in heard.iter().chain(configured) {
        outcome = ask_master(hub, master, size).await;
        if let Ok(Some(_)) = outcome {
            break;
        }
    }
    outcome
}

async fn ask_master(hub: &Rc<Hub>, master: &InstanceName, size: u64) -> Result<Option<IdRange>, CallError> {
    let asked_with = hub.ids.grants.newest();
    let answer = hub.outgoing.call_instance(master, FleetRoute::Range, asking(hub, size)).await?;
    Ok(believed(hub, asked_with.as_ref(), &answer))
}

/// The range in an answer to a question that was asked with the mark `asked_with`.
fn believed(hub: &Hub, asked_with: Option<&Mark>, answer: &HeaderMap) -> Option<IdRange> {
    let granted = granted(answer);
    if answer.contains_key(header::SIGNATURE) {
        marks::hear(hub, answer);
        if granted.is_some() && !Fence::accepts(asked_with, marks::mark(answer).as_ref()) {
            if hub.ids.grants.stale.is_due(Instant::now()) {
                tracing::error!(
                    "a range from an older ledger than the fleet's newest is not taken: its IDs may have been granted already"
                );
            }
            return None;
        }
    }
    granted
}

fn asking(hub: &Hub, size: u64) -> Call {
    let mut headers = HeaderMap::new();
    headers.insert(header::RANGE_SIZE, size.into());
    marks::tell(hub, &mut headers);
    Call { headers, ..Call::default() }
}

fn granted(answer: &HeaderMap) -> Option<IdRange> {
    let from = number(answer, Name::RangeFrom).ok()??;
    let to = number(answer, Name::RangeTo).ok()??;
    IdRange::from_numbers(from, to)
}

/// A change of the ledger that fails is logged, and nothing is given.
fn written<T>(hub: &Hub, done: Result<T, VaultError>) -> Option<T> {
    let ids = &hub.ids;
    match done {
        Ok(done) => {
            if ids.unwritten.over() {
                tracing::info!("the ledger of customer IDs can be written again");
            }
            Some(done)
        }
        Err(error) => {
            ids.failed.set(Some(Instant::now()));
            if ids.unwritten.is_due(Instant::now()) {
                tracing::error!(%error, "customer IDs cannot be taken");
            }
            None
        }
    }
}
