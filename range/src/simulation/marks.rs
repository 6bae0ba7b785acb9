//! Greetings and the start; as `marks` and `greeter` of the instance.

use std::{future::pending, rc::Rc};

use futures_util::future::join_all;

use super::{
    handover,
    hub::Hub,
    network::{Answer, Question, call},
    refill,
    world::World,
};
use crate::{Kind, Ledger, LedgerError, Mark};

/// How often everyone is greeted, in ms.
const GREET_EVERY: u64 = 2000;
/// How often it is looked whether more should be asked for, in ms.
const LOOK_EVERY: u64 = 500;

pub(super) fn hear(hub: &Hub, mark: Option<&Mark>) {
    if let Some(mark) = mark.filter(|_| !hub.world.machines[hub.at].deaf.get()) {
        hub.fence.borrow_mut().hear(mark);
    }
}

/// Takes in a greeting, and answers it.
pub(super) fn greeted(hub: &Hub, from: usize, mark: Option<&Mark>, generation: Option<u64>) -> Answer {
    hear(hub, mark);
    let known = generation.map(|generation| {
        let mut ledgers = hub.ledgers.borrow_mut();
        let known = ledgers.entry(from).or_default();
        *known = generation.max(*known);
        *known
    });
    Answer::Hello { mark: hub.newest(), known }
}

pub(super) async fn greet(hub: &Hub, peer: usize, sure: bool) {
    let question = Question::Hello { mark: hub.newest(), generation: Some(hub.vault.seen().generation) };
    if let Some(Answer::Hello { mark, known }) = call(&hub.world, hub.at, peer, question, sure).await {
        hear(hub, mark.as_ref());
        if let Some(known) = known {
            hub.known_at(known);
        }
    }
}

/// Runs the process from its start until it is killed.
pub(super) fn start(world: &Rc<World>, at: usize, sure: bool) {
    if world.machines[at].hub.borrow().is_some() {
        return;
    }
    let hub = match Hub::open(world, at) {
        Ok(hub) => Rc::new(hub),
        // The disk failed, or killed it: it is started again.
        Err(LedgerError::Write { .. }) => return world.machines[at].disk.restart(),
        Err(error) => return world.fault(format!("{at} does not start: {error}")),
    };
    world.trace(|| format!("{at} starts"));
    world.machines[at].hub.replace(Some(hub.clone()));
    world.kernel.spawn(Some(at), async move {
        if let Err(ledger) = confirm(&hub, sure).await {
            hub.world.trace(|| format!("{at} does not start: its {ledger} ledger is older"));
            hub.world.machines[at].refused.set(Some(ledger));
            return hub.world.kill(at, false);
        }
        hub.started.set(true);
        go_on(&hub);
    });
}

/// Asks everyone who can be reached, and takes the ledgers into use. Fails with the one that is older.
async fn confirm(hub: &Rc<Hub>, sure: bool) -> Result<(), Kind> {
    join_all(hub.world.all().filter(|peer| *peer != hub.at).map(|peer| greet(hub, peer, sure))).await;
    if hub.is_older() {
        return Err(Kind::Instance);
    }
    hub.confirmed.set(true);
    if let Some(vault) = hub.master() {
        hub.fence.borrow().may_claim(&vault.seen().mark).map_err(|_| Kind::Master)?;
        if hub.change(&vault, Ledger::claim).await.is_err() {
            // It ends, and is started again.
            hub.world.kill(hub.at, false);
            return pending().await;
        }
        hub.written(&vault);
    }
    hub.fence.borrow_mut().confirm();
    Ok(())
}

fn go_on(hub: &Rc<Hub>) {
    let (greeter, looker) = (hub.clone(), hub.clone());
    hub.world.kernel.spawn(Some(hub.at), async move {
        loop {
            for peer in greeter.world.all().filter(|peer| *peer != greeter.at) {
                let greeter_ = greeter.clone();
                greeter
                    .world
                    .kernel
                    .spawn(Some(greeter.at), async move { greet(&greeter_, peer, false).await });
            }
            greeter.world.kernel.sleep(GREET_EVERY).await;
        }
    });
    hub.world.kernel.spawn(Some(hub.at), async move {
        loop {
            if looker.needs_block() || looker.needs_range() {
                refill::soon(&looker);
            }
            handover::finish(&looker).await;
            looker.world.kernel.sleep(LOOK_EVERY).await;
        }
    });
}
