//! What instances tell each other of ledgers, so that one from an older copy of a disk is found out.
//!
//! Two things: the newest [`Mark`] of the fleet's ledger, and how often each instance's own ledger has been written. Both are
//! believed only if signed.

use std::{collections::HashMap, rc::Rc};

use http::{HeaderMap, HeaderValue};
use switchboard_fleet::{InstanceName, header};
use switchboard_range::{Kind, LedgerError, Mark};

use crate::{
    caller::{Admission, number, text},
    grants::NoGrant,
    greeter,
    hub::Hub,
    peers::Peer,
    run::StartError,
    wire::name::Name,
};

/// Most instances whose ledger is remembered.
const LEDGERS_MAX: usize = 65_536;

/// How often the ledgers of others have been written, as far as they said.
#[derive(Debug, Default)]
pub(crate) struct Ledgers(HashMap<InstanceName, u64>);

impl Ledgers {
    /// `name` says that its ledger is at `generation`. Gives the greatest that it has ever said.
    fn hear(&mut self, name: &InstanceName, generation: u64) -> u64 {
        if self.0.len() >= LEDGERS_MAX && !self.0.contains_key(name) {
            return generation;
        }
        let known = self.0.entry(name.clone()).or_default();
        *known = generation.max(*known);
        *known
    }
}

/// Adds to a call or an answer what this instance knows of the fleet's ledger.
pub(crate) fn tell(hub: &Hub, headers: &mut HeaderMap) {
    if let Some(mark) = hub.ids.grants.newest()
        && let Ok(value) = HeaderValue::try_from(mark.to_string())
    {
        headers.insert(header::RANGE_MARK, value);
    }
}

/// Adds to a greeting how often this instance's own ledger has been written.
pub(crate) fn tell_own(hub: &Hub, headers: &mut HeaderMap) {
    headers.insert(header::LEDGER, hub.ids.vault.seen().generation.into());
}

/// The state of the fleet's ledger in a call or an answer.
pub(crate) fn mark(headers: &HeaderMap) -> Option<Mark> {
    text(headers, Name::RangeMark)?.parse().ok()
}

/// Takes in what a call or an answer says of the fleet's ledger.
pub(crate) fn hear(hub: &Hub, headers: &HeaderMap) {
    let Some(mark) = mark(headers) else { return };
    let grants = &hub.ids.grants;
    let had_none = grants.fault().is_none();
    if grants.hear(&mark)
        && had_none
        && let Some(fault) = grants.fault()
    {
        tracing::error!(%fault, "this master grants no customer IDs any more");
    }
}

/// Takes in what a greeting says of ledgers, and answers it.
pub(crate) fn greeted(
    hub: &Hub,
    admission: Admission,
    newcomer: &InstanceName,
    headers: &HeaderMap,
    told: &mut HeaderMap,
) {
    if admission == Admission::Signed {
        hear(hub, headers);
        if let Ok(Some(generation)) = number(headers, Name::Ledger) {
            let known = hub.ledgers.borrow_mut().hear(newcomer, generation);
            told.insert(header::LEDGER, known.into());
        }
    }
    tell(hub, told);
}

/// Takes in what the signed answer to a greeting says of ledgers.
pub(crate) fn answered(hub: &Rc<Hub>, answer: &HeaderMap) {
    hear(hub, answer);
    if let Ok(Some(known)) = number(answer, Name::Ledger) {
        hub.ids.known_at(known);
    }
}

/// Asks everyone who can be reached whether the ledgers here are the newest, and takes them into use.
///
/// # Errors
/// [`StartError::Ledger`] if one is not; nothing has been given from it.
pub(crate) async fn confirm(hub: &Rc<Hub>) -> Result<(), StartError> {
    let peers: Vec<Peer> = hub.peers.borrow().alive().cloned().collect();
    let greetings = peers.iter().map(|peer| greeter::greet(hub, peer));
    futures_util::future::join_all(greetings).await;
    let own = hub.ids.confirm();
    match (hub.ids.grants.claim().await, own) {
        (Ok(()), own) => Ok(own?),
        // It relays all the same, and tries again.
        (Err(NoGrant::Vault(error)), own) => {
            tracing::error!(%error, "this master grants no customer IDs yet");
            Ok(own?)
        }
        (Err(error), own) => {
            // Both are told at once: with one of them mended the other might not be found out.
            if let Err(own) = own {
                tracing::error!("{own}");
            }
            Err(older_master(hub, &error).into())
        }
    }
}

fn older_master(hub: &Hub, error: &NoGrant) -> LedgerError {
    let here = hub.ids.grants.vault().map(|vault| vault.seen().mark.to_string());
    let known = hub.ids.grants.newest().map_or_else(|| error.to_string(), |mark| mark.to_string());
    let path = hub.config.master_range_file(hub.own.port);
    LedgerError::Older { path, kind: Kind::Master, here: here.unwrap_or_default(), known }
}
