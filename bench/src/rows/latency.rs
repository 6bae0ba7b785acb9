//! How long one transaction takes while nothing else happens.

use std::time::{Duration, Instant};

use crate::{
    figures::{Series, Unit, percentile},
    load::{Caller, Expect},
    nginx::PROXIED,
    rows::{Scene, agents, app_head, nginx_address, proxied_head},
    serve::Instance,
    table::Line,
};

/// Bytes of request and reply.
const BODY_BYTES: usize = 1 << 10;
const GOAL_SECONDS: f64 = 0.000_3;

/// Lets the instance and nginx take turns; their samples are taken together, not by the turn.
pub(crate) async fn measure(scene: &Scene) -> anyhow::Result<Vec<Line>> {
    let effort = &scene.effort;
    let (mut ours, mut proxied) = (Vec::new(), Vec::new());
    let instance = Instance::start()?;
    let mut load = agents(&instance, 1..=1).await?;
    let mut app = Caller::open(instance.address(), &app_head(&instance, 1), Expect::Echo(BODY_BYTES)).await?;
    let mut caller = match nginx_address(scene) {
        Some(nginx) => Some(Caller::open(nginx, &proxied_head(PROXIED), Expect::Echo(BODY_BYTES)).await?),
        None => None,
    };
    for _ in 0..effort.rounds {
        load.during(time_calls(&mut app, effort.calls, &mut ours)).await?;
        if let Some(caller) = &mut caller {
            time_calls(caller, effort.calls, &mut proxied).await?;
        }
    }
    ours.sort_unstable();
    proxied.sort_unstable();
    let line = |share, name| {
        let (ours, proxied) = (one(percentile(&ours, share)), one(percentile(&proxied, share)));
        let what = format!("{name} of one transaction of 1 KiB, idle; nginx: one request proxied");
        Line::new(what, &ours, Unit::Seconds).beside(&ours, &proxied, Unit::Seconds)
    };
    Ok(vec![line(0.5, "p50").goal(GOAL_SECONDS, Unit::Seconds), line(0.99, "p99")])
}

async fn time_calls(caller: &mut Caller, calls: usize, times: &mut Vec<Duration>) -> anyhow::Result<()> {
    for _ in 0..calls {
        let began = Instant::now();
        caller.call().await?;
        times.push(began.elapsed());
    }
    Ok(())
}

fn one(time: Option<Duration>) -> Series {
    let mut series = Series::default();
    time.into_iter().for_each(|time| series.push(time.as_secs_f64()));
    series
}
