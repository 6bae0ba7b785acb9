//! Transactions per CPU second: an app's request to its agent, and the agent's reply to the app.

use std::ops::RangeInclusive;

use crate::{
    effort::Effort,
    figures::{Series, Unit},
    load::{Expect, Turn},
    rows::{Scene, agents, answer_turn, app_head, proxy_turn, tell},
    serve::Instance,
    table::Line,
};

/// The bodies of a row, equal in both directions.
pub(crate) struct Size {
    name: &'static str,
    bytes: usize,
    /// Transactions under way at a time.
    pairs: u64,
    goal_per_second: Option<f64>,
    goal_bytes_per_second: Option<f64>,
    /// Whether the row is about calls rather than bytes.
    small: bool,
}

/// 1 KiB.
pub(crate) const SMALL: Size = Size {
    name: "1 KiB",
    bytes: 1 << 10,
    pairs: 64,
    goal_per_second: Some(20_000.0),
    goal_bytes_per_second: None,
    small: true,
};

/// 64 KiB.
pub(crate) const MIDDLE: Size = Size {
    name: "64 KiB",
    bytes: 64 << 10,
    pairs: 32,
    goal_per_second: None,
    goal_bytes_per_second: None,
    small: false,
};

/// 4 MiB.
pub(crate) const LARGE: Size = Size {
    name: "4 MiB",
    bytes: 4 << 20,
    pairs: 4,
    goal_per_second: None,
    goal_bytes_per_second: Some(1.5e9),
    small: false,
};

/// Poll, request and reply.
const REQUESTS: f64 = 3.0;
/// A transaction's bodies: one to the agent, one to the app.
const DIRECTIONS: f64 = 2.0;

/// Lets the instance and nginx take turns.
pub(crate) async fn measure(scene: &Scene, size: &Size) -> anyhow::Result<Vec<Line>> {
    let (mut ours, mut proxied, mut answered) = (Series::default(), Series::default(), Series::default());
    let instance = Instance::start()?;
    for round in 0..scene.effort.rounds as u64 {
        // Each turn has customers of its own: apps of the turn before may still be in line.
        let customers = round * size.pairs + 1..=(round + 1) * size.pairs;
        ours.push(turn(&instance, &scene.effort, size, customers).await?.per_cpu_second());
        let Some(nginx) = &scene.nginx else { continue };
        proxied.push(proxy_turn(nginx, &scene.effort, size.pairs, size.bytes).await?.per_cpu_second());
        if size.small {
            answered.push(answer_turn(nginx, &scene.effort, size.pairs).await?.per_cpu_second());
        }
    }
    Ok(lines(size, &ours, &proxied, &answered))
}

async fn turn(
    instance: &Instance,
    effort: &Effort,
    size: &Size,
    customers: RangeInclusive<u64>,
) -> anyhow::Result<Turn> {
    // The polls of an earlier turn are gone when their connections are seen to be.
    instance.until_parked(0).await?;
    let mut load = agents(instance, customers.clone()).await?;
    for id in customers {
        load.call(instance.address(), &app_head(instance, id), Expect::Echo(size.bytes)).await?;
    }
    let turn = load.turn(effort, || instance.cpu()).await?;
    tell(&format!("Switchboard, {}", size.name), turn);
    Ok(turn)
}

fn lines(size: &Size, ours: &Series, proxied: &Series, answered: &Series) -> Vec<Line> {
    let what = format!("transactions of {} per CPU second; nginx: requests proxied", size.name);
    let mut calls = Line::new(what, ours, Unit::PerSecond).beside(ours, proxied, Unit::PerSecond);
    if let Some(goal) = size.goal_per_second {
        calls = calls.goal(goal, Unit::PerSecond);
    }
    if size.small {
        let what = "the same in requests, three to a transaction; nginx: `return 200`";
        let requests = ours.times(REQUESTS);
        let line = Line::new(what, &requests, Unit::PerSecond);
        return vec![calls, line.beside(&requests, answered, Unit::PerSecond)];
    }
    let factor = DIRECTIONS * size.bytes as f64;
    let (ours, proxied) = (ours.times(factor), proxied.times(factor));
    let bytes = Line::new("the same in bytes of bodies, both directions", &ours, Unit::BytesPerSecond);
    let mut bytes = bytes.beside(&ours, &proxied, Unit::BytesPerSecond);
    if let Some(goal) = size.goal_bytes_per_second {
        bytes = bytes.goal(goal, Unit::BytesPerSecond);
    }
    vec![calls, bytes]
}
