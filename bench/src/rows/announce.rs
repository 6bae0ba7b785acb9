//! What it costs to tell every other server where agents are: agents connect to one instance, evenly, and others hear of it.
//!
//! The other servers are stood in for. They, and those who connect, are this process: so all moments are of one clock, and the time
//! until an agent is heard of everywhere has in it what this process needs to take that in.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::bail;
use switchboard_fleet::KeyRing;
use tokio::{
    task::{JoinSet, spawn_blocking},
    time::{interval_at, sleep},
};

use crate::{
    figures::{Series, Unit, grouped, percentile},
    load::{Caller, Expect, Hearers},
    rows::Scene,
    serve::Instance,
    table::Line,
};

/// Other servers.
const SERVERS: usize = 20;
/// Agents that connect in a second.
const PER_SECOND: u64 = 10_000;
/// Connections on which they do.
const CONNECTIONS: u64 = 100;
/// The customer by whom it is seen that all servers are told; the others follow.
const FIRST: u64 = 1;
/// All servers hear within this, at the beginning and at the end.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked whether they have.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What was seen while agents connected.
struct Seen {
    /// When each of them said so.
    connects: Vec<(u64, Instant)>,
    /// Agents that connected in a second.
    per_second: f64,
    /// How much of a core the instance used.
    cores: f64,
    elapsed: Duration,
}

/// The same agents without other servers, and with them.
pub(crate) async fn measure(scene: &Scene) -> anyhow::Result<Vec<Line>> {
    let time = scene.effort.connecting;
    let key: [u8; 32] = rand::random();
    let alone = connect(&Arc::new(Instance::start()?), time).await?;
    let customers = FIRST + PER_SECOND * time.as_secs();
    let hearers = Hearers::start(SERVERS, &KeyRing::new([key]), usize::try_from(customers)?).await?;
    let names = hearers.names()?;
    // Elsewhere: it greets the others before it serves, and they are here.
    let instance = Arc::new(spawn_blocking(move || Instance::start_among(&names, key)).await??);
    until_all_are_told(&instance, &hearers).await?;
    let (calls, bytes) = told(&hearers);
    let seen = connect(&instance, time).await?;
    let (calls, bytes) = (told(&hearers).0 - calls, told(&hearers).1 - bytes);
    eprintln!(
        "{:.0} agents connected per second; {:.3} of a core, {:.3} without other servers",
        seen.per_second, seen.cores, alone.cores
    );
    let delays = delays(&hearers, &seen.connects).await?;
    let mut lines = spent(&seen, &alone, calls, bytes);
    lines.extend([(0.5, "p50"), (0.99, "p99")].map(|(share, name)| {
        let time = Series::of(percentile(&delays, share));
        let what = format!("{name} from an agent's hello to the last server's hearing of it; {}", of());
        Line::new(what, &time, Unit::Seconds)
    }));
    Ok(lines)
}

/// What is behind each figure.
fn of() -> String {
    format!("{} agents connect per second, {SERVERS} other servers", grouped(PER_SECOND))
}

/// What it took.
fn spent(seen: &Seen, alone: &Seen, calls: u64, bytes: u64) -> Vec<Line> {
    let each = |count: u64| Series::one(count as f64 / seen.elapsed.as_secs_f64());
    let (cores, cores_alone) = (Series::one(seen.cores), Series::one(alone.cores));
    let reached = "agents that connected per second, all servers told";
    let cpu = format!("a core's share that the instance uses; {}; to compare: without other servers", of());
    let calls_are = format!("announcing calls to all servers together; {}", of());
    let bytes_are = format!("bytes of those calls, heads and bodies; {}", of());
    vec![
        Line::new(reached, &Series::one(seen.per_second), Unit::PerSecond)
            .goal(PER_SECOND as f64, Unit::PerSecond),
        Line::new(cpu, &cores, Unit::Share).beside(&cores, &cores_alone, Unit::Share),
        Line::new(calls_are, &each(calls), Unit::PerSecond),
        Line::new(bytes_are, &each(bytes), Unit::BytesPerSecond),
    ]
}

/// One agent connects until all servers have heard of it: then they have been greeted, and take announcements.
async fn until_all_are_told(instance: &Instance, hearers: &Hearers) -> anyhow::Result<()> {
    let mut caller = Caller::open(instance.address(), &head(instance, FIRST)?, Expect::Done).await?;
    let deadline = Instant::now() + PATIENCE;
    while hearers.heard().by_all_at(FIRST).is_none() {
        if Instant::now() > deadline {
            bail!("not all of {SERVERS} servers hear of an agent within {PATIENCE:?}");
        }
        caller.call().await?;
        sleep(LOOK_EVERY).await;
    }
    Ok(())
}

/// Calls and their bytes until now.
fn told(hearers: &Hearers) -> (u64, u64) {
    let heard = hearers.heard();
    (heard.calls, heard.bytes)
}

/// Agents connect for so long, each once, each connection at its own beat.
async fn connect(instance: &Arc<Instance>, time: Duration) -> anyhow::Result<Seen> {
    let beat = Duration::from_secs(1) * u32::try_from(CONNECTIONS)? / u32::try_from(PER_SECOND)?;
    let each = PER_SECOND * time.as_secs() / CONNECTIONS;
    let mut tasks = JoinSet::new();
    for n in 0..CONNECTIONS {
        let (instance, offset) =
            (Arc::clone(instance), beat * u32::try_from(n)? / u32::try_from(CONNECTIONS)?);
        tasks.spawn(async move {
            let first = FIRST + 1 + n;
            let mut caller = Caller::open(instance.address(), &head(&instance, first)?, Expect::Done).await?;
            let mut beats = interval_at(tokio::time::Instant::now() + LOOK_EVERY + offset, beat);
            let mut connects = Vec::new();
            for id in (first..).step_by(CONNECTIONS as usize).take(each as usize) {
                beats.tick().await;
                caller.set_head(&head(&instance, id)?);
                connects.push((id, Instant::now()));
                caller.call().await?;
            }
            anyhow::Ok(connects)
        });
    }
    let (began, cpu) = (Instant::now() + LOOK_EVERY, instance.cpu()?);
    let mut connects = Vec::new();
    while let Some(done) = tasks.join_next().await {
        connects.extend(done??);
    }
    let elapsed = began.elapsed();
    let cores = (instance.cpu()? - cpu).as_secs_f64() / elapsed.as_secs_f64();
    let per_second = connects.len() as f64 / elapsed.as_secs_f64();
    Ok(Seen { connects, per_second, cores, elapsed })
}

fn head(instance: &Instance, id: u64) -> anyhow::Result<String> {
    Ok(format!("POST /connect HTTP/1.1\r\n{}", instance.agent_headers(id)?))
}

/// How long it took until everyone had heard of each, shortest first.
async fn delays(hearers: &Hearers, connects: &[(u64, Instant)]) -> anyhow::Result<Vec<Duration>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut delays = Vec::with_capacity(connects.len());
        {
            let heard = hearers.heard();
            let all = connects.iter().filter_map(|(id, at)| Some(heard.by_all_at(*id)? - *at));
            delays.extend(all);
        }
        if delays.len() == connects.len() {
            delays.sort_unstable();
            return Ok(delays);
        }
        if Instant::now() > deadline {
            let missing = connects.len() - delays.len();
            bail!("of {missing} agents not all servers have heard {PATIENCE:?} after the last one connected");
        }
        sleep(LOOK_EVERY).await;
    }
}
