//! How long one transaction takes while nothing else happens.

use std::time::{Duration, Instant};

use crate::{
    cores::Placing,
    effort::Effort,
    figures::{Series, Unit, percentile},
    load::{Caller, Expect, Load},
    nginx::PROXIED,
    rows::{Scene, agents, app_head, nginx_address, proxied_head},
    serve::Instance,
    table::{Bound, Line},
};

/// Bytes of request and reply.
pub(super) const BODY_BYTES: usize = 1 << 10;
/// A transaction is two crossings, to the agent and back, where an echo is one.
const GOAL: Bound = Bound::AtMost(2.0);
/// How the rows call the two ways of [`Placing`].
pub(super) const APART: &str = "servers and callers on a core each";
const TOGETHER: &str = "all on one core";

/// Turns in which the calls of a round are done: so short that what else happens on the machine meets everyone.
const TURNS: usize = 10;

/// Times of calls one at a time, of all turns together.
#[derive(Default)]
pub(super) struct Times(Vec<Duration>);

/// Turns of so many calls each, as `effort` has it.
pub(super) fn turns(effort: &Effort) -> (usize, usize) {
    (effort.rounds * TURNS, effort.calls / TURNS)
}

/// What is timed.
struct Callers {
    ours: Caller,
    plain: Caller,
    proxied: Option<Caller>,
}

/// Lets the instance, hyper alone and nginx take turns: servers and callers on a core each, and all on one.
pub(crate) async fn measure(scene: &Scene) -> anyhow::Result<Vec<Line>> {
    let instance = Instance::start()?;
    let mut load = agents(&instance, 1..=1).await?;
    let expect = Expect::Echo(BODY_BYTES);
    let mut callers = Callers {
        ours: Caller::open(instance.address(), &app_head(&instance, 1), expect).await?,
        plain: Caller::open(scene.plain.address(), &proxied_head("/"), expect).await?,
        proxied: match nginx_address(scene) {
            Some(nginx) => Some(Caller::open(nginx, &proxied_head(PROXIED), expect).await?),
            None => None,
        },
    };
    let mut lines = Vec::new();
    for (placing, of) in [(Placing::Apart, APART), (Placing::Together, TOGETHER)] {
        let Some(_placed) = placing.place()? else { continue };
        let [ours, plain, proxied] = callers.turns(&mut load, &scene.effort).await?;
        let of = format!("of one transaction of 1 KiB, idle, {of}");
        let [middle, late] = ours.lines(&format!("{of}; hyper alone: one echo"), &plain);
        lines.push(if placing == Placing::Apart { middle.goal_ratio(GOAL) } else { middle });
        lines.push(late);
        lines.extend(ours.lines(&format!("{of}; nginx: one request proxied"), &proxied));
    }
    Ok(lines)
}

impl Callers {
    /// Samples of all turns: they are taken together, not by the turn.
    async fn turns(&mut self, load: &mut Load, effort: &Effort) -> anyhow::Result<[Times; 3]> {
        let (turns, calls) = turns(effort);
        let [mut ours, mut plain, mut proxied] = <[Times; 3]>::default();
        for _ in 0..turns {
            load.during(ours.take(calls, &mut self.ours, 1)).await?;
            plain.take(calls, &mut self.plain, 1).await?;
            if let Some(caller) = &mut self.proxied {
                proxied.take(calls, caller, 1).await?;
            }
        }
        Ok([ours, plain, proxied])
    }
}

impl Times {
    /// Takes `samples` more, of `calls` calls each, one after the other.
    pub(super) async fn take(
        &mut self,
        samples: usize,
        caller: &mut Caller,
        calls: usize,
    ) -> anyhow::Result<()> {
        for _ in 0..samples {
            let began = Instant::now();
            for _ in 0..calls {
                caller.call().await?;
            }
            self.0.push(began.elapsed());
        }
        Ok(())
    }

    /// Their p50 and p99 beside those of `other`.
    pub(super) fn lines(&self, what: &str, other: &Self) -> [Line; 2] {
        [(0.5, "p50"), (0.99, "p99")].map(|(share, name)| {
            let (own, other) = (self.percentile(share), other.percentile(share));
            Line::new(format!("{name} {what}"), &own, Unit::Seconds).beside(&own, &other, Unit::Seconds)
        })
    }

    fn percentile(&self, share: f64) -> Series {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        Series::of(percentile(&sorted, share))
    }
}
