//! What waiting agents, and connections that wait for nothing, cost in memory.

use crate::{
    figures::{Series, Unit, grouped},
    load::{Agent, Caller, Expect},
    rows::Scene,
    serve::Instance,
    table::Line,
};

const GOAL_BYTES: f64 = 1.2 * 1024.0;

/// Resident memory of the instance for each parked poll, a connection each, and for each connection that is kept after a request.
pub(crate) async fn parked(scene: &Scene) -> anyhow::Result<Vec<Line>> {
    let count = scene.effort.parked;
    let line = |what: String, each: f64| {
        let line = Line::new(what, &Series::one(each), Unit::KibiBytes);
        line.goal(GOAL_BYTES, Unit::KibiBytes)
    };
    Ok(vec![
        line(
            format!("resident memory for each of {} parked agents", grouped(count as u64)),
            parked_agents(count).await?,
        ),
        line(
            format!("resident memory for each of {} connections kept after a request", grouped(count as u64)),
            kept_connections(count).await?,
        ),
    ])
}

async fn parked_agents(count: usize) -> anyhow::Result<f64> {
    let instance = Instance::start()?;
    instance.until_parked(0).await?;
    let before = instance.resident_bytes()?;
    let mut agents = Vec::with_capacity(count);
    for id in 1..=count as u64 {
        let mut agent = Agent::open(instance.address(), &instance.agent_headers(id)?).await?;
        agent.park().await?;
        agents.push(agent);
    }
    instance.until_parked(count).await?;
    each(&instance, before, count)
}

/// Each has asked how far away the instance is, as apps and agents do before they choose one.
async fn kept_connections(count: usize) -> anyhow::Result<f64> {
    let instance = Instance::start()?;
    instance.until_parked(0).await?;
    let before = instance.resident_bytes()?;
    let mut callers = Vec::with_capacity(count);
    for _ in 0..count {
        let mut caller = Caller::open(instance.address(), "POST /ping HTTP/1.1\r\n", Expect::Done).await?;
        caller.call().await?;
        callers.push(caller);
    }
    each(&instance, before, count)
}

fn each(instance: &Instance, before: u64, count: usize) -> anyhow::Result<f64> {
    Ok(instance.resident_bytes()?.saturating_sub(before) as f64 / count as f64)
}
