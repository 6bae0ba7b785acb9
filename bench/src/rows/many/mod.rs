//! Very many agents at the instances of one server: what they cost while they wait, and how long transactions take among them.
//!
//! Each instance has a process of agents to itself (`herd`), as both need nearly all the files that a process may open; the apps
//! are in this one. Each agent says `/connect` once, which its instance tells the siblings, and polls over the same connection
//! from then on. Everything is on one machine: the kernel has both ends of each connection, and callers and instances
//! share its cores. Apps call at random agents, so that what is under way at one instance is seldom more than one.

mod limits;
mod look;

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use tokio::time::{sleep, timeout};

use crate::{
    effort::Many,
    figures::{Figure, Series, Unit, grouped, percentile},
    herd,
    load::{Expect, Load, Pace},
    rows::{Scene, app_head},
    serve::{Instance, Settings},
    table::Line,
};

use look::Look;

/// Bytes of request and reply.
const BODY_BYTES: usize = 1 << 10;
/// Connections of an instance besides its agents': their replies', apps', siblings'.
const CONNECTIONS_SPARE: usize = 750;
/// Between two looks at an instance; often enough, and far less work than that of the agents.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// All agents are there within this.
const RAMP_MAX: Duration = Duration::from_secs(90);
/// For what is told between instances.
const PATIENCE: Duration = Duration::from_secs(20);
/// CPU time is told for so many agents.
const AGENTS_SHOWN: f64 = 10_000.0;

const GOAL_P99_SECONDS: f64 = 0.02;
const GOAL_RESIDENT_BYTES: f64 = 1.2 * 1024.0;

/// What was seen.
struct Seen {
    agents: u64,
    /// From the first connection to the last parked poll.
    ramp: Duration,
    /// Before the first agent, and at the end.
    empty: Look,
    full: Look,
    /// Shares of a core that all instances together used, for [`AGENTS_SHOWN`] agents.
    waiting: f64,
    working: f64,
    /// In ascending order.
    times: Vec<Duration>,
}

/// Lets all agents come, watches them while they wait, and then while apps call.
pub(crate) async fn measure(scene: &Scene) -> anyhow::Result<Vec<Line>> {
    let plan = &scene.effort.many;
    let seen = timeout(plan.patience, see(plan));
    let seen = seen.await.with_context(|| format!("not done within {:?}, given up", plan.patience))??;
    Ok(lines(plan, &seen))
}

async fn see(plan: &Many) -> anyhow::Result<Seen> {
    let connections = plan.agents_each as usize + CONNECTIONS_SPARE;
    let settings = Settings { poll_s: plan.poll_s, connections, ..Settings::default() };
    let instances = Instance::start_siblings(plan.instances, settings)?;
    acquainted(&instances).await?;
    limits::check(plan)?;
    let empty = Look::at(&instances)?;

    let agents = plan.instances as u64 * plan.agents_each;
    let mut load = Load::new();
    let began = Instant::now();
    for (number, instance) in instances.iter().enumerate() {
        herd::start(&mut load, instance, &customers(plan, number), 1 + number as u8)?;
    }
    load.during(all_come(plan, &instances)).await?;
    let ramp = began.elapsed();
    load.during(all_known(&instances, agents)).await?;
    tell("all are parked", &instances, &empty, agents)?;

    let idle = async {
        sleep(plan.window).await;
        Ok(())
    };
    let (waiting, ()) = load.during(share(&instances, agents, idle)).await?;
    tell("each has polled again", &instances, &empty, agents)?;
    let calls = Pace::new(plan.per_second, Expect::Echo(BODY_BYTES)).run(plan.window, || {
        let instance = rand::random_range(0..instances.len());
        let id = rand::random_range(customers(plan, instance));
        (instances[instance].address(), app_head(&instances[instance], id))
    });
    let (working, times) = load.during(share(&instances, agents, calls)).await?;
    let full = tell("after transactions", &instances, &empty, agents)?;
    // That nobody was lost without a word.
    load.during(all_parked(plan, &instances)).await?;
    Ok(Seen { agents, ramp, empty, full, waiting, working, times })
}

/// Who is at the instance of this number.
fn customers(plan: &Many, instance: usize) -> Range<u64> {
    let first = 1 + instance as u64 * plan.agents_each;
    first..first + plan.agents_each
}

/// Waits until every instance knows all its siblings.
async fn acquainted(instances: &[Instance]) -> anyhow::Result<()> {
    for instance in instances {
        let all = instance.until(LOOK_EVERY, |status| status.peers.ports.len() + 1 == instances.len());
        let all = timeout(PATIENCE, all).await;
        all.with_context(|| format!("the instance at port {} does not find its siblings", instance.port()))??;
    }
    Ok(())
}

/// Waits until all agents are there, but not for ever.
async fn all_come(plan: &Many, instances: &[Instance]) -> anyhow::Result<()> {
    if let Ok(done) = timeout(RAMP_MAX, all_parked(plan, instances)).await {
        return done;
    }
    let mut parked = 0;
    for instance in instances {
        parked += instance.status().await?.agents.parked;
    }
    bail!("after {RAMP_MAX:?} {parked} of {} agents are parked", instances.len() as u64 * plan.agents_each)
}

/// Waits until every instance has been seen with all its agents at once: one that polls again is missing for a moment.
async fn all_parked(plan: &Many, instances: &[Instance]) -> anyhow::Result<()> {
    for instance in instances {
        instance.until(LOOK_EVERY, |status| status.agents.parked == plan.agents_each).await?;
    }
    Ok(())
}

/// Waits until every instance knows where every agent is.
async fn all_known(instances: &[Instance], agents: u64) -> anyhow::Result<()> {
    for instance in instances {
        let known = instance.until(LOOK_EVERY, |status| status.locations.entries == agents);
        let known = timeout(PATIENCE, known).await;
        let port = instance.port();
        known.with_context(|| format!("the instance at port {port} was not told where all agents are"))??;
    }
    Ok(())
}

/// What share of a core the instances use while `work` is done, and what `work` gives.
async fn share<T>(
    instances: &[Instance],
    agents: u64,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<(f64, T)> {
    let (began, before) = (Instant::now(), Look::at(instances)?);
    let done = work.await?;
    let used = Look::at(instances)?.cpu - before.cpu;
    let cores = used.as_secs_f64() / began.elapsed().as_secs_f64();
    Ok((cores * AGENTS_SHOWN / agents as f64, done))
}

/// Shows that something happens, and what is used for each agent by now.
fn tell(when: &str, instances: &[Instance], empty: &Look, agents: u64) -> anyhow::Result<Look> {
    let now = Look::at(instances)?;
    let each = |bytes: u64| Figure(bytes as f64 / agents as f64, Unit::Bytes);
    eprintln!(
        "{when}: for each agent {} resident, {} of slab, {} in sockets; {:.1} s of CPU so far",
        each(now.resident.saturating_sub(empty.resident)),
        each(now.slab.saturating_sub(empty.slab)),
        each(now.in_sockets.saturating_sub(empty.in_sockets)),
        now.cpu.as_secs_f64()
    );
    Ok(now)
}

fn lines(plan: &Many, seen: &Seen) -> Vec<Line> {
    let each = |bytes: u64| Series::one(bytes as f64 / seen.agents as f64);
    let resident = each(seen.full.resident.saturating_sub(seen.empty.resident));
    let kernel = each(seen.full.slab.saturating_sub(seen.empty.slab));
    let (agents, window) = (grouped(seen.agents), plan.window.as_secs());
    let ramp = format!(
        "agents that come: connect, `/connect`, park; until {agents} are parked at {} instances",
        plan.instances
    );
    let calls = format!(
        "of transactions of 1 KiB with agents at random among them, {} a second for {window} s",
        plan.per_second
    );
    let time = |share| Series::of(percentile(&seen.times, share));
    vec![
        Line::told(
            ramp,
            format!(
                "{} ({})",
                Figure(seen.ramp.as_secs_f64(), Unit::Seconds),
                Figure(seen.agents as f64 / seen.ramp.as_secs_f64(), Unit::PerSecond)
            ),
        ),
        Line::new(format!("p50 {calls}"), &time(0.5), Unit::Seconds),
        Line::new(format!("p99 {calls}"), &time(0.99), Unit::Seconds).goal(GOAL_P99_SECONDS, Unit::Seconds),
        Line::new("the slowest of them", &time(1.0), Unit::Seconds),
        // One that failed would have ended the row.
        Line::told("errors of them", format!("0 of {}", grouped(seen.times.len() as u64)))
            .goal(0.0, Unit::Count),
        Line::new(
            "resident memory of the instance for each of its agents, the places of all agents included",
            &resident,
            Unit::KibiBytes,
        )
        .goal(GOAL_RESIDENT_BYTES, Unit::KibiBytes),
        Line::new(
            "the kernel's memory (growth of `Slab` in /proc/meminfo) for each agent's connection: both ends, half of it the instance's",
            &kernel,
            Unit::KibiBytes,
        ),
        Line::new(
            "share of a core that 10,000 agents cost their instance while they only wait and poll again",
            &Series::one(seen.waiting),
            Unit::Share,
        ),
        Line::new("the same with the transactions", &Series::one(seen.working), Unit::Share),
    ]
}
