//! Transactions per CPU second: an app's request to its agent, and the agent's reply to the app.

use std::ops::RangeInclusive;

use crate::{
    effort::Effort,
    figures::{Series, Unit},
    load::{Expect, Turn},
    rows::{Scene, agents, answer_turn, app_head, given_turn, plain_turn, proxy_turn, tell},
    serve::Instance,
    table::{Bound, Line},
};

/// The bodies of a row, equal in both directions.
pub(crate) struct Size {
    name: &'static str,
    bytes: usize,
    /// Transactions under way at a time.
    pairs: u64,
    /// Whether the row is about calls rather than bytes.
    small: bool,
    /// How it is to stand to nginx: requests to `return 200` if the row is about calls, bytes to bytes proxied if not.
    goal: Option<Bound>,
}

/// 1 KiB.
pub(crate) const SMALL: Size =
    Size { name: "1 KiB", bytes: 1 << 10, pairs: 64, small: true, goal: Some(Bound::AtLeast(1.0)) };

/// 64 KiB.
pub(crate) const MIDDLE: Size = Size { name: "64 KiB", bytes: 64 << 10, pairs: 32, small: false, goal: None };

/// 4 MiB.
pub(crate) const LARGE: Size =
    Size { name: "4 MiB", bytes: 4 << 20, pairs: 4, small: false, goal: Some(Bound::AtLeast(1.0)) };

/// Poll, request and reply.
const REQUESTS: f64 = 3.0;
/// A transaction's bodies: one to the agent, one to the app.
const DIRECTIONS: f64 = 2.0;

/// What was done per CPU second, a sample a turn.
#[derive(Default)]
struct Done {
    /// Transactions.
    ours: Series,
    /// Requests that nginx proxied.
    proxied: Series,
    /// Requests that nginx answered by itself.
    answered: Series,
    /// The same with the bodies of a transaction.
    given: Series,
    /// Requests that hyper alone answered.
    plain: Series,
}

/// Lets the instance, nginx and hyper alone take turns.
pub(crate) async fn measure(scene: &Scene, size: &Size) -> anyhow::Result<Vec<Line>> {
    let mut done = Done::default();
    let instance = Instance::start()?;
    for round in 0..scene.effort.rounds as u64 {
        // Each turn has customers of its own: apps of the turn before may still be in line.
        let customers = round * size.pairs + 1..=(round + 1) * size.pairs;
        done.ours.push(turn(&instance, &scene.effort, size, customers).await?.per_cpu_second());
        if size.small {
            done.plain.push(plain_turn(scene, size.pairs, Expect::Done).await?.per_cpu_second());
        }
        let Some(nginx) = &scene.nginx else { continue };
        done.proxied.push(proxy_turn(nginx, &scene.effort, size.pairs, size.bytes).await?.per_cpu_second());
        if size.small {
            done.answered.push(answer_turn(nginx, &scene.effort, size.pairs).await?.per_cpu_second());
            done.given.push(given_turn(nginx, &scene.effort, size.pairs).await?.per_cpu_second());
        }
    }
    Ok(lines(size, &done))
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

fn lines(size: &Size, done: &Done) -> Vec<Line> {
    let what = format!("transactions of {} per CPU second; nginx: requests proxied", size.name);
    let calls = Line::new(what, &done.ours, Unit::PerSecond);
    let mut lines = vec![calls.beside(&done.ours, &done.proxied, Unit::PerSecond)];
    if size.small {
        let requests = done.ours.times(REQUESTS);
        let line = |other, series| {
            let what = format!("the same in requests, three to a transaction; {other}");
            Line::new(what, &requests, Unit::PerSecond).beside(&requests, series, Unit::PerSecond)
        };
        lines.push(line("nginx: `return 200`", &done.answered));
        lines.push(line("nginx: `return 200` to requests with the same bodies", &done.given));
        lines.push(line("hyper alone: 200 and no body", &done.plain));
    } else {
        let factor = DIRECTIONS * size.bytes as f64;
        let (ours, proxied) = (done.ours.times(factor), done.proxied.times(factor));
        let line = Line::new("the same in bytes of bodies, both directions", &ours, Unit::BytesPerSecond);
        lines.push(line.beside(&ours, &proxied, Unit::BytesPerSecond));
    }
    if let (Some(goal), Some(line)) = (size.goal, lines.get_mut(1)) {
        *line = line.clone().goal_ratio(goal);
    }
    lines
}
