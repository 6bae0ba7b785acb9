//! Transactions in which the agent and the app both go through nginx, as they do in service.
//!
//! nginx is as rendered for a server, without its module. What cannot be avoided is that it proxies two messages, the app's
//! request and the agent's reply; so to compare is the same nginx that proxies two requests to a bare server of hyper, one
//! after the other. The agent's poll is a third message, which crosses while nobody waits for it.

use std::time::Duration;

use crate::{
    cores::Placing,
    figures::{Series, Unit},
    front::{Front, Plan},
    load::{Caller, Expect, Load, Turn},
    rows::{
        Scene, agents_through, app_head,
        latency::{self, APART, BODY_BYTES, Times},
        proxied_head, tell,
    },
    serve::Instance,
    table::{Bound, Line},
};

const GOAL: Bound = Bound::AtMost(1.0);
/// Requests that stand for a transaction.
const REQUESTS: usize = 2;
/// Calls under way at a time.
const CALLERS: u64 = 64;
/// The customer whose transactions are timed, besides those of the turns.
const TIMED: u64 = 1_000_000;

/// A front before the instance, and another before hyper alone.
struct Stage<'a> {
    scene: &'a Scene,
    instance: Instance,
    front: Front,
    bare: Front,
}

/// Lets both take turns.
pub(crate) async fn measure(scene: &Scene) -> anyhow::Result<Vec<Line>> {
    if scene.nginx.is_none() {
        return Ok(Vec::new());
    }
    let instance = Instance::start()?;
    let (front, bare) = (before(instance.port()).await?, before(scene.plain.address().port()).await?);
    let stage = Stage { scene, instance, front, bare };
    let mut lines = stage.latency().await?;
    lines.push(stage.throughput().await?);
    Ok(lines)
}

/// nginx before what listens at `port`.
async fn before(port: u16) -> anyhow::Result<Front> {
    Front::start(&Plan { ports: &[port], spare: 0, module: None }).await
}

impl Stage<'_> {
    async fn latency(&self) -> anyhow::Result<Vec<Line>> {
        let (turns, calls) = latency::turns(&self.scene.effort);
        let (mut ours, mut twice) = (Times::default(), Times::default());
        let address = self.front.address()?;
        let mut load = agents_through(address, &self.instance, TIMED..=TIMED).await?;
        let expect = Expect::Echo(BODY_BYTES);
        let mut app = Caller::open(address, &app_head(&self.instance, TIMED), expect).await?;
        let mut caller = Caller::open(self.bare.address()?, &proxied_head("/echo"), expect).await?;
        let Some(_placed) = Placing::Apart.place()? else { return Ok(Vec::new()) };
        for _ in 0..turns {
            load.during(ours.take(calls, &mut app, 1)).await?;
            twice.take(calls, &mut caller, REQUESTS).await?;
        }
        let what = format!(
            "of one transaction of 1 KiB, idle, {APART}, agent and app through nginx; \
             nginx twice: two requests proxied to hyper alone"
        );
        let lines = ours.lines(&what, &twice);
        Ok(lines.map(|line| line.goal_ratio(GOAL)).into())
    }

    async fn throughput(&self) -> anyhow::Result<Line> {
        let effort = &self.scene.effort;
        let (mut ours, mut pairs) = (Series::default(), Series::default());
        for round in 0..effort.rounds as u64 {
            ours.push(self.transactions(round).await?.per_cpu_second());
            pairs.push(self.requests().await?.per_cpu_second() / REQUESTS as f64);
        }
        let what = "transactions of 1 KiB per CPU second of nginx and instance together; \
                    nginx twice: pairs of requests proxied to hyper alone, of both together";
        Ok(Line::new(what, &ours, Unit::PerSecond).beside(&ours, &pairs, Unit::PerSecond))
    }

    async fn transactions(&self, round: u64) -> anyhow::Result<Turn> {
        // The polls of an earlier turn are gone when their connections are seen to be.
        self.instance.until_parked(0).await?;
        let customers = round * CALLERS + 1..=(round + 1) * CALLERS;
        let address = self.front.address()?;
        let mut load = agents_through(address, &self.instance, customers.clone()).await?;
        for id in customers {
            load.call(address, &app_head(&self.instance, id), Expect::Echo(BODY_BYTES)).await?;
        }
        let cpu = || Ok(self.front.cpu()? + self.instance.cpu()?);
        self.turn(load, "Switchboard through nginx", cpu).await
    }

    async fn requests(&self) -> anyhow::Result<Turn> {
        let mut load = Load::new();
        for _ in 0..CALLERS {
            load.call(self.bare.address()?, &proxied_head("/echo"), Expect::Echo(BODY_BYTES)).await?;
        }
        let cpu = || Ok(self.bare.cpu()? + self.scene.plain.cpu()?);
        self.turn(load, "hyper alone through nginx", cpu).await
    }

    async fn turn(
        &self,
        mut load: Load,
        who: &str,
        cpu: impl Fn() -> anyhow::Result<Duration>,
    ) -> anyhow::Result<Turn> {
        let turn = load.turn(&self.scene.effort, cpu).await?;
        tell(who, turn);
        Ok(turn)
    }
}
