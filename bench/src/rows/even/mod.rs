//! Whether an instance serves its ordinary callers as soon when others take their time: a thousand apps that read slowly and a
//! thousand that send slowly, or ten thousand apps in line for one customer.
//!
//! What makes the comparison fair: on two cores, a time below a millisecond says as much about who else wants a core as about
//! the instance. So nothing is compared with an idle machine. Of several instances in the same state one stays quiet, and the
//! slow ones, or the line, are at another; all of that goes on all the time. The same ordinary callers take turns at the two, at
//! a rate that neither finds hard, and have polls parked at both. So the machine does the same in each turn, callers and kernel
//! included, and the ratio is what the *instance* makes of the order of its work. The slow apps and their agents are in a process
//! of their own: in that of the ordinary callers they would delay exactly those. A time counts from the moment at which a call was
//! to begin, not from when it did. The ratios are those of two turns that follow each other within seconds, and shown is their
//! median. What it is like with nothing else on the machine is measured before all else, and told for comparison.
//!
//! Should the slow ones take much of a core, the instance is near what it can do, and the ratio tells of that: so their share is
//! shown too.
//!
//! Neither the slow ones nor the line are there for a whole minute. The kernel asks silent connections after 30 s whether the peer is still there, all of
//! ten thousand that began together at one moment. Loopback's queue (`net.core.netdev_max_backlog`) does not take as many; those
//! whose questions were lost each time are given up after a minute, and then the row would be about that.

mod line;

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::time::timeout;

use crate::{
    cpu,
    effort::Even,
    figures::{Figure, Series, Unit, grouped, percentile},
    kernel,
    load::{Expect, Load, Pace},
    rows::{POLLS, Scene, add_agents, app_head},
    serve::{Instance, Settings},
    slow,
    table::{Bound, Line},
};

use line::{Queue, Served};

/// Ordinary customers.
const PAIRS: u64 = 32;
/// Bytes of their requests and replies.
const BODY_BYTES: usize = 1 << 10;
/// The customer whom so many wait for, and the first of the slow ones; both above the ordinary.
const ONE: u64 = 1_000;
const FIRST_SLOW: u64 = 10_000;
/// Files of this process besides those of the line.
const FILES_SPARE: u64 = 2_000;
/// Between two looks at an instance.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Until the instances have done what they do at their start, and until the buffers of the slow ones are as full as they get.
const SETTLE: Duration = Duration::from_secs(2);
/// A ninety-ninth percentile.
const SHARE: f64 = 0.99;

const GOAL: Bound = Bound::AtMost(1.5);

/// A sample for each turn: p99 in seconds.
#[derive(Default)]
struct Turns {
    quiet: Series,
    busy: Series,
}

struct BesideSlow {
    turns: Turns,
    /// Share of a core that the instance used.
    cores: f64,
    /// Bytes of a slow transaction in the instance's memory, and in the kernel's, all its sockets together.
    resident: f64,
    in_kernel: f64,
}

struct BesideLine {
    turns: Turns,
    served: Served,
}

/// Lets the instances take turns.
pub(crate) async fn measure(scene: &Scene) -> anyhow::Result<Vec<Line>> {
    let plan = &scene.effort.even;
    let lines = timeout(plan.patience, see(plan));
    lines.await.with_context(|| format!("not done within {:?}, given up", plan.patience))?
}

async fn see(plan: &Even) -> anyhow::Result<Vec<Line>> {
    cpu::raise_file_limit(plan.in_line as u64 + FILES_SPARE)?;
    let settings = Settings {
        // The agent is expected for as long as the row can last.
        cache_s: plan.patience.as_secs(),
        client_s: plan.window_s,
        waiting: plan.in_line + 1,
        ..Settings::default()
    };
    let start = || Instance::start_with(settings);
    let (quiet, slow, line) = (start()?, start()?, start()?);
    let mut load = Load::new();
    for instance in [&quiet, &slow, &line] {
        add_agents(&mut load, instance.address(), instance, 1..=PAIRS).await?;
    }
    load.run(SETTLE).await?;
    let alone = load.during(turn(plan, &quiet)).await?;
    let beside_slow = see_slow(plan, &mut load, &quiet, &slow).await?;
    let beside_line = see_line(plan, &mut load, &quiet, &line).await?;
    Ok(lines(plan, alone, &beside_slow, &beside_line))
}

/// The turns beside the slow ones.
async fn see_slow(
    plan: &Even,
    load: &mut Load,
    quiet: &Instance,
    slow: &Instance,
) -> anyhow::Result<BesideSlow> {
    let (before, in_kernel_before) = (slow.resident_bytes()?, kernel::tcp_bytes()?);
    let both = 2 * plan.slow;
    let mut crew = Load::new();
    slow::start(&mut crew, slow, FIRST_SLOW, plan.slow, plan.slow_bytes)?;
    let all = slow.until(LOOK_EVERY, |status| status.transactions.started >= both);
    crew.during(all).await?;
    crew.run(SETTLE).await?;
    let (began, cpu_before) = (Instant::now(), slow.cpu()?);
    let turns = crew.during(load.during(take_turns(plan, quiet, slow))).await?;
    let cores = (slow.cpu()? - cpu_before).as_secs_f64() / began.elapsed().as_secs_f64();
    let each = |grown: u64| grown as f64 / both as f64;
    let resident = each(slow.resident_bytes()?.saturating_sub(before));
    let in_kernel = each(kernel::tcp_bytes()?.saturating_sub(in_kernel_before));
    let failed = slow.status().await?.transactions.failed;
    if failed > 0 {
        bail!("{failed} transactions have failed at the instance of the slow apps");
    }
    Ok(BesideSlow { turns, cores, resident, in_kernel })
}

/// The turns beside the line, and how that ends.
async fn see_line(
    plan: &Even,
    load: &mut Load,
    quiet: &Instance,
    line: &Instance,
) -> anyhow::Result<BesideLine> {
    let parked = PAIRS as usize * POLLS;
    let mut queue = load.during(Queue::form(line, ONE, plan.in_line, parked)).await?;
    let turns = load.during(take_turns(plan, quiet, line)).await?;
    queue.check()?;
    let served = queue.serve(load, line).await?;
    Ok(BesideLine { turns, served })
}

/// The ordinary callers at a quiet instance and at a busy one, again and again.
async fn take_turns(plan: &Even, quiet: &Instance, busy: &Instance) -> anyhow::Result<Turns> {
    let mut turns = Turns::default();
    for _ in 0..plan.rounds {
        turns.quiet.push(turn(plan, quiet).await?);
        turns.busy.push(turn(plan, busy).await?);
    }
    Ok(turns)
}

/// One turn of the ordinary callers: their p99 in seconds.
async fn turn(plan: &Even, instance: &Instance) -> anyhow::Result<f64> {
    let mut calls = 0;
    let pace = Pace::new(plan.per_second, Expect::Echo(BODY_BYTES));
    let times = pace.run(Duration::from_secs(plan.window_s), || {
        calls += 1;
        (instance.address(), app_head(instance, 1 + calls % PAIRS))
    });
    let p99 = percentile(&times.await?, SHARE).context("no calls in a turn")?;
    eprintln!("p99 at port {}: {}", instance.port(), Figure(p99.as_secs_f64(), Unit::Seconds));
    Ok(p99.as_secs_f64())
}

fn lines(plan: &Even, alone: f64, beside_slow: &BesideSlow, beside_line: &BesideLine) -> Vec<Line> {
    let served = &beside_line.served;
    let (slow, in_line) = (grouped(plan.slow), grouped(plan.in_line as u64));
    let what =
        format!("p99 of {} transactions of 1 KiB a second, {PAIRS} customers, nothing else", plan.per_second);
    let beside = |who: String, turns: &Turns| {
        let what = format!(
            "the same beside {who} at the instance; to compare: at one without them, at the same time on the machine"
        );
        let line = Line::new(what, &turns.busy, Unit::Seconds).goal_ratio(GOAL);
        line.beside(&turns.busy, &turns.quiet, Unit::Seconds)
    };
    let answered = format!(
        "{} of {in_line} in {}, {} told that nobody is there",
        grouped(served.answered as u64),
        Figure(served.took.as_secs_f64(), Unit::Seconds),
        grouped(served.told as u64)
    );
    vec![
        Line::new(what, &Series::one(alone), Unit::Seconds),
        beside(format!("{slow} apps that read slowly and {slow} that send slowly"), &beside_slow.turns),
        beside(format!("{in_line} apps in line for one customer"), &beside_line.turns),
        Line::new(
            "share of a core that the instance with the slow apps uses",
            &Series::one(beside_slow.cores),
            Unit::Share,
        ),
        Line::new(
            "resident memory of the instance for each slow transaction",
            &Series::one(beside_slow.resident),
            Unit::KibiBytes,
        ),
        Line::new(
            "the kernel's memory (growth of TCP's in /proc/net/sockstat) for each of them: all ends of its connections",
            &Series::one(beside_slow.in_kernel),
            Unit::KibiBytes,
        ),
        Line::told("apps of the line that are answered when the agent is back", answered)
            .goal(plan.in_line as f64, Unit::Count),
    ]
}
