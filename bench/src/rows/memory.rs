//! What waiting agents and remembered ones cost in memory.

use anyhow::bail;

use crate::{
    figures::{Series, Unit, grouped},
    load::{Agent, Caller, Expect},
    rows::Scene,
    serve::Instance,
    table::Line,
};

const GOAL_PARKED_BYTES: f64 = 13.0 * 1024.0;
const GOAL_LOCATION_BYTES: f64 = 32.0;

/// Resident memory of the instance for each parked poll, a connection each.
pub(crate) async fn parked(scene: &Scene) -> anyhow::Result<Vec<Line>> {
    let polls = scene.effort.parked;
    let instance = Instance::start()?;
    instance.until_parked(0).await?;
    let before = instance.resident_bytes()?;
    let mut agents = Vec::with_capacity(polls);
    for id in 1..=polls as u64 {
        let mut agent = Agent::open(instance.address(), &instance.agent_headers(id)?).await?;
        agent.park().await?;
        agents.push(agent);
    }
    instance.until_parked(polls).await?;
    let grown = instance.resident_bytes()?.saturating_sub(before);
    let mut each = Series::default();
    each.push(grown as f64 / polls as f64);
    let what = format!("resident memory for each of {} parked agents", grouped(polls as u64));
    Ok(vec![Line::new(what, &each, Unit::KibiBytes).goal(GOAL_PARKED_BYTES, Unit::KibiBytes)])
}

/// What the instance says of its table after so many agents have said hello.
pub(crate) async fn locations(scene: &Scene) -> anyhow::Result<Vec<Line>> {
    let customers = scene.effort.located;
    let instance = Instance::start()?;
    let head =
        |id| Ok::<_, anyhow::Error>(format!("POST /connect HTTP/1.1\r\n{}", instance.agent_headers(id)?));
    let mut caller = Caller::open(instance.address(), &head(1)?, Expect::Done).await?;
    for id in 1..=customers {
        caller.set_head(&head(id)?);
        caller.call().await?;
    }
    let table = instance.status().await?.locations;
    if table.entries != customers {
        bail!("{} of {customers} customers are in the table", table.entries);
    }
    let mut each = Series::default();
    each.push(table.bytes_per_entry);
    let what = format!("location table for each of {} customers", grouped(customers));
    Ok(vec![Line::new(what, &each, Unit::Bytes).goal(GOAL_LOCATION_BYTES, Unit::Bytes)])
}
