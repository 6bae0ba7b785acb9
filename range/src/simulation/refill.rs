//! New blocks and ranges; as `refill` of the instance.

use std::rc::Rc;

use super::{
    hub::{Hub, NoGrant},
    marks,
    network::{Answer, Question, call},
};
use crate::{Fence, IdRange, Ledger, LedgerError, Mark};

/// Fills up in the background, once at a time.
pub(super) fn soon(hub: &Rc<Hub>) {
    if hub.filling.replace(true) {
        return;
    }
    let hub = hub.clone();
    hub.world.clone().kernel.spawn(Some(hub.at), async move {
        fill(&hub).await;
        hub.filling.set(false);
    });
}

async fn fill(hub: &Rc<Hub>) {
    take_block(hub).await;
    if !hub.needs_range() {
        return;
    }
    if let Some(range) = acquire(hub).await {
        let (mark, told) = (hub.newest(), hub.told.get());
        let add = move |ledger: &mut Ledger| {
            ledger.advance(told);
            ledger.add(range, mark.as_ref())
        };
        let added = hub.change(&hub.vault, add).await;
        if let Err(error @ LedgerError::Add { .. }) = &added {
            hub.world.trace(|| format!("{}: {error}", hub.at));
        }
        if added.is_ok() {
            hub.sizing.borrow_mut().asked(hub.now());
            take_block(hub).await;
        }
    }
}

async fn take_block(hub: &Hub) {
    if !hub.needs_block() {
        return;
    }
    let (size, mark) = (hub.block_size(), hub.newest());
    let take = move |ledger: &mut Ledger| {
        if let Some(mark) = &mark {
            ledger.note(mark);
        }
        ledger.take(size)
    };
    if let Ok(Some(block)) = hub.change(&hub.vault, take).await {
        hub.add_block(block);
    }
}

/// Gives another instance, which knows `known`, a range, with the mark if it is of the fleet's.
pub(super) async fn grant(
    hub: &Hub,
    size: u64,
    for_server: bool,
    known: Option<Mark>,
) -> (Option<IdRange>, Option<Mark>) {
    let size = size.min(hub.world.rules.size_max);
    let patience = hub.world.rules.lookup / 2;
    let moved = match hub.take(size, patience, known).await {
        Ok(granted) => return (granted, hub.newest()),
        Err(NoGrant::Elsewhere) => hub.source.borrow().is_some(),
        Err(error) => {
            // It does not ask on behalf of an instance that can ask as well: two such would ask each other for ever.
            hub.world.trace(|| format!("{} grants nothing: {error:?}", hub.at));
            false
        }
    };
    if for_server || moved {
        let asked = hub.world.kernel.timeout(patience, ask_masters(hub, size)).await;
        if let Some(Some(granted)) = asked {
            return (granted, hub.newest());
        }
    }
    if !hub.is_usable() {
        return (None, None);
    }
    let tenth = (hub.vault.left() / 10).min(size);
    let cut = hub.change(&hub.vault, move |ledger| ledger.cut(tenth)).await;
    let cut = cut.ok().flatten();
    if let Some(range) = cut {
        hub.world.tally.count("tenths");
        hub.world.trace(|| format!("{} gives {range} of its own", hub.at));
    }
    (cut, None)
}

async fn acquire(hub: &Hub) -> Option<IdRange> {
    let size = hub.sizing.borrow().size();
    if let Ok(granted) = hub.take(size, 0, hub.newest()).await {
        return granted;
    }
    if let Some(Some(range)) = ask_masters(hub, size).await {
        return Some(range);
    }
    for peer in hub.world.all().filter(|peer| *peer != hub.at) {
        let for_server = hub.world.random.in_1000(700);
        if let Some(Some(range)) = ask(hub, peer, size, for_server).await {
            return Some(range);
        }
    }
    None
}

/// Asks the master that was heard of last, then the configured one. `None` if nobody answers, `Some(None)` if there is nothing.
async fn ask_masters(hub: &Hub, size: u64) -> Option<Option<IdRange>> {
    let heard = hub.newest().and_then(|mark| hub.world.at(&mark.place)).filter(|heard| *heard != hub.at);
    let configured = Some(hub.world.machines[hub.at].master.get());
    let configured = configured.filter(|master| *master != hub.at && heard != Some(*master));
    let mut outcome = Some(None);
    for master in heard.into_iter().chain(configured) {
        outcome = ask(hub, master, size, false).await;
        if let Some(Some(_)) = outcome {
            break;
        }
    }
    outcome
}

async fn ask(hub: &Hub, peer: usize, size: u64, for_server: bool) -> Option<Option<IdRange>> {
    let asked_with = hub.newest();
    let question = Question::Range { size, mark: asked_with.clone(), for_server };
    let answer = call(&hub.world, hub.at, peer, question, false).await?;
    let Answer::Range { range, mark } = answer else { return None };
    marks::hear(hub, mark.as_ref());
    if !Fence::accepts(asked_with.as_ref(), mark.as_ref()) {
        if range.is_some() {
            hub.world.tally.count("ranges not taken");
        }
        return Some(None);
    }
    Some(range)
}
