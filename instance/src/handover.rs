//! The fleet's range moves to another master: sealed here for good before it is used there.
//!
//! Two signed calls. `/movemaster/PORT` (from the command) asks this instance, the master, to hand its range over.
//! `/master/PORT` asks the other whether it would take it (empty body), then hands it over (the handover as body).

use std::{rc::Rc, time::Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use switchboard_fleet::{InstanceName, header};
use switchboard_range::{Handover, Ledger, LedgerError};

use crate::{
    caller::text,
    grants::Source,
    hub::Hub,
    marks,
    outgoing::Call,
    refusal::Refusal,
    route::FleetRoute,
    vault::{Vault, VaultError},
    wire::name::Name,
};

/// `/movemaster/PORT`: hands the fleet's range to the instance named in `X-IWP-To`. Asked again, it goes on where it stopped.
///
/// # Errors
/// 400 for no such name, 409 if the range is not here, is going elsewhere, or the other would not take it, 502 if it is sealed
/// but has not arrived yet.
pub(crate) async fn give(hub: &Rc<Hub>, headers: &HeaderMap) -> Result<HeaderMap, Refusal> {
    let to = destination(headers)?;
    let Source::Ledger(vault) = hub.ids.grants.source() else {
        return Err(conflict("the fleet's range is not at this instance: ask the master"));
    };
    if to == hub.own {
        return Err(conflict("the fleet's range is here already"));
    }
    match vault.seen().moved {
        Some(moved) if moved.to != to => {
            return Err(conflict(format!("the fleet's range has moved to {} already", moved.to)));
        }
        Some(moved) if !moved.pending => return Ok(HeaderMap::new()),
        Some(_) => {}
        None => {
            hub.ids
                .grants
                .allowed(&vault)
                .map_err(|fenced| conflict(format!("nothing was changed: {fenced}")))?;
            let mut question = HeaderMap::new();
            if let Ok(name) = HeaderValue::try_from(to.to_string()) {
                question.insert(header::TO, name);
            }
            let call = Call { headers: question, ..Call::default() };
            let asked = hub.outgoing.call_instance(&to, FleetRoute::Master, call).await;
            asked.map_err(|error| {
                conflict(format!("{to} does not take it, and nothing was changed: {error}"))
            })?;
        }
    }
    deliver(hub, &vault, to).await?;
    Ok(HeaderMap::new())
}

/// Seals the ledger and hands its content over.
async fn deliver(hub: &Rc<Hub>, vault: &Rc<Vault>, to: InstanceName) -> Result<(), Refusal> {
    let target = to.clone();
    let handover = vault.change(move |ledger| ledger.seal(&target)).await.map_err(broken)?;
    hub.ids.grants.written(vault);
    let call = Call { body: Bytes::from(handover.encode()), ..Call::default() };
    let answer = hub.outgoing.call_instance(&to, FleetRoute::Master, call).await.map_err(|error| {
        let reason = format!(
            "the fleet's range is sealed for {to}, which has not confirmed it: {error}; this instance goes on trying"
        );
        Refusal::new(StatusCode::BAD_GATEWAY, reason)
    })?;
    vault.change(|ledger| ledger.handed_over()).await.map_err(broken)?;
    marks::hear(hub, &answer);
    tracing::info!(%to, "the fleet's range of customer IDs has moved");
    Ok(())
}

/// Hands over what was sealed and has not arrived, if there is such.
pub(crate) async fn finish(hub: &Rc<Hub>) {
    let Source::Ledger(vault) = hub.ids.grants.source() else { return };
    let Some(moved) = vault.seen().moved.filter(|moved| moved.pending) else { return };
    if let Err(refusal) = deliver(hub, &vault, moved.to).await
        && hub.ids.grants.moving.is_due(Instant::now())
    {
        tracing::warn!(reason = %refusal.reason, "the fleet's range waits for its new master");
    }
}

/// `/master/PORT`: whether this instance would take the fleet's range (empty body), or takes it.
///
/// # Errors
/// 400 if it is no handover, 409 if it is for another instance or this one has a range that never left it, 503 if it cannot
/// be written.
pub(crate) async fn take(hub: &Rc<Hub>, headers: &HeaderMap, body: &[u8]) -> Result<HeaderMap, Refusal> {
    if matches!(hub.ids.grants.source(), Source::Store(_)) {
        return Err(conflict("the fleet's range is in the database of `range.store`"));
    }
    if !hub.ids.grants.is_confirmed() {
        return Err(Refusal::busy("this instance has just been started: ask again"));
    }
    if body.is_empty() {
        let to = destination(headers)?;
        if to != hub.own {
            return Err(conflict(format!("this instance calls itself {}, not {to}", hub.own)));
        }
        return match hub.ids.grants.vault() {
            Some(_) => Err(conflict("this instance has a range of the fleet already")),
            None => Ok(HeaderMap::new()),
        };
    }
    let text = std::str::from_utf8(body).map_err(|_| Refusal::bad("the handover is no text"))?;
    let handover = Handover::decode(text).map_err(|reason| Refusal::bad(format!("no handover: {reason}")))?;
    if handover.to != hub.own {
        return Err(conflict(format!("the handover is for {}", handover.to)));
    }
    if let Some(newer) = hub.ids.grants.newest().filter(|newest| newest.epoch > handover.epoch) {
        return Err(conflict(format!(
            "the handover is of epoch {}, and the fleet knows {newer}",
            handover.epoch
        )));
    }
    let vault = written_down(hub, handover).await.map_err(broken)?;
    hub.ids.grants.received(vault);
    tracing::info!("this instance is the fleet's master now");
    let mut told = HeaderMap::new();
    marks::tell(hub, &mut told);
    Ok(told)
}

async fn written_down(hub: &Rc<Hub>, handover: Handover) -> Result<Rc<Vault>, VaultError> {
    if let Source::Ledger(vault) = hub.ids.grants.source() {
        vault.change(move |ledger| ledger.take_over(&handover)).await?;
        return Ok(vault);
    }
    let path = hub.config.master_range_file(hub.own.port);
    let made = tokio::task::spawn_blocking(move || Ledger::receive(&path, &handover)).await??;
    Ok(Rc::new(Vault::new(made, hub.own.clone())))
}

fn destination(headers: &HeaderMap) -> Result<InstanceName, Refusal> {
    let to = text(headers, Name::To).ok_or_else(|| Refusal::bad("X-IWP-To is missing"))?;
    to.parse().map_err(|error| Refusal::bad(format!("X-IWP-To is {error}")))
}

fn conflict(reason: impl Into<String>) -> Refusal {
    Refusal::new(StatusCode::CONFLICT, reason.into())
}

fn broken(error: VaultError) -> Refusal {
    match error {
        VaultError::Ledger(LedgerError::Write { .. }) | VaultError::BrokenOff(_) => {
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
        }
        _ => conflict(error.to_string()),
    }
}
