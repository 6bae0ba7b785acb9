//! The fleet's range moves; as `handover` of the instance.

use std::rc::Rc;

use super::{
    hub::{Hub, Vault, slow},
    marks,
    network::{Answer, Question, call},
    world::master_path,
};
use crate::{Handover, Ledger, LedgerError};

/// Hands the fleet's range to `to`. Asked again, it goes on where it stopped.
pub(super) async fn give(hub: &Rc<Hub>, to: usize) -> Answer {
    let Some(vault) = hub.source.borrow().clone() else { return Answer::Refused };
    let target = &hub.world.machines[to].name;
    match vault.seen().moved {
        Some(moved) if moved.to != *target => return Answer::Refused,
        Some(moved) if !moved.pending => return Answer::Done { mark: None },
        Some(_) => hub.world.tally.count("moves asked for again"),
        // What an older copy holds must not come into a new epoch.
        None if hub.may_grant(&vault).is_err() => return Answer::Refused,
        None => {
            let offered = call(&hub.world, hub.at, to, Question::Offer, false).await;
            if !matches!(offered, Some(Answer::Done { .. })) {
                return Answer::Refused;
            }
        }
    }
    if deliver(hub, &vault, to).await { Answer::Done { mark: None } } else { Answer::Refused }
}

/// Seals the ledger and hands its content over.
async fn deliver(hub: &Hub, vault: &Rc<Vault>, to: usize) -> bool {
    let target = hub.world.machines[to].name.clone();
    let sealed = hub.change(vault, move |ledger| ledger.seal(&target)).await;
    let Ok(handover) = sealed else { return false };
    hub.written(vault);
    hub.world.trace(|| format!("{} hands the range over to {to}: epoch {}", hub.at, handover.epoch));
    let question = Question::Handover(handover.encode());
    let answer = call(&hub.world, hub.at, to, question, false).await;
    let Some(Answer::Done { mark }) = answer else { return false };
    if hub.change(vault, Ledger::handed_over).await.is_err() {
        return false;
    }
    marks::hear(hub, mark.as_ref());
    hub.world.tally.count("moves");
    true
}

/// Hands over what was sealed and has not arrived.
pub(super) async fn finish(hub: &Hub) {
    let Some(vault) = hub.source.borrow().clone() else { return };
    let Some(moved) = vault.seen().moved.filter(|moved| moved.pending) else { return };
    let Some(to) = hub.world.at(&moved.to) else { return };
    if deliver(hub, &vault, to).await {
        hub.world.tally.count("moves resumed");
    }
}

/// Whether this instance would take the fleet's range.
pub(super) fn offered(hub: &Hub) -> Answer {
    if hub.master().is_some() { Answer::Refused } else { Answer::Done { mark: None } }
}

/// Takes the fleet's range.
pub(super) async fn take(hub: &Hub, text: &str) -> Answer {
    let Ok(handover) = Handover::decode(text) else { return Answer::Refused };
    // As long as it does not know what is newest, it must not become the master by what somebody goes on trying to hand over.
    if handover.to != hub.world.machines[hub.at].name || !hub.started.get() {
        return Answer::Refused;
    }
    let Ok(vault) = written_down(hub, handover).await else { return Answer::Refused };
    hub.written(&vault);
    *hub.source.borrow_mut() = Some(vault);
    hub.fence.borrow_mut().confirm();
    Answer::Done { mark: hub.newest() }
}

async fn written_down(hub: &Hub, handover: Handover) -> Result<Rc<Vault>, LedgerError> {
    let there = hub.source.borrow().clone();
    if let Some(vault) = there {
        hub.change(&vault, move |ledger| ledger.take_over(&handover)).await?;
        return Ok(vault);
    }
    let machine = &hub.world.machines[hub.at];
    slow(&hub.world).await;
    let made = Ledger::receive_on(Box::new(machine.disk.clone()), &master_path(), &handover);
    hub.world.end_if_dead(hub.at).await;
    let made = made?;
    slow(&hub.world).await;
    Ok(Vault::new(made, machine.name.clone()))
}
