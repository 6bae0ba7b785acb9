//! An operator switches a backend: from the order to the answer that it is so.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use switchboard_fleet::front::{Change, Order, Place};
use switchboard_nginx::UPSTREAM;

use crate::{
    figures::{Series, Unit, grouped},
    load::{Backend, Load, Wire},
    rows::{
        Scene,
        front::{Stage, at_any_moment},
    },
    table::Line,
};

const BACKENDS: [usize; 2] = [10, 1000];
/// New connections on which it is seen that the switch is so: enough to meet every worker of nginx.
const WITNESSES: usize = 32;

/// Switches a backend off and on, again and again.
pub(crate) async fn measure(scene: &Scene) -> anyhow::Result<Vec<Line>> {
    let mut lines = Vec::new();
    for backends in BACKENDS {
        let Some(stage) = Stage::set(scene, backends).await? else { break };
        let times = times(&stage, scene.effort.switches).await?;
        let what = format!(
            "from an order to switch a backend to the answer that it is so, on disk and in all of nginx, {} backends, under load",
            grouped(backends as u64)
        );
        lines.push(Line::new(what, &times, Unit::Seconds));
    }
    Ok(lines)
}

async fn times(stage: &Stage, switches: usize) -> anyhow::Result<Series> {
    let mut load = stage.load().await?;
    let port = stage.backends.first().map(Backend::port).context("no backend")?;
    let mut times = Series::default();
    for number in 0..switches {
        for (change, status) in [(Change::Off, 503), (Change::On, 200)] {
            at_any_moment(&mut load).await?;
            times.push(switch(stage, &mut load, port, change, number).await?.as_secs_f64());
            load.during(witness(stage.front.address()?, port, status)).await?;
        }
    }
    stage.assert_no_reload()?;
    Ok(times)
}

async fn switch(
    stage: &Stage,
    load: &mut Load,
    port: u16,
    change: Change,
    number: usize,
) -> anyhow::Result<Duration> {
    let order = Order {
        id: format!("bench-{number}-{}", change.word()),
        place: Place { upstream: UPSTREAM.into(), backend: format!("127.0.0.1:{port}") },
        change,
        who: "bench".into(),
        why: String::new(),
        until_ms: None,
        force: false,
        seen: None,
    };
    let began = Instant::now();
    load.during(stage.front.order(&order)).await?;
    Ok(began.elapsed())
}

/// Whoever names the port of the backend gets this status.
async fn witness(front: SocketAddr, port: u16, status: u16) -> anyhow::Result<()> {
    for _ in 0..WITNESSES {
        let mut wire = Wire::open(front).await?;
        wire.send(format!("GET /client/{port} HTTP/1.1\r\nHost: bench\r\n\r\n").as_bytes(), &[]).await?;
        let answer = wire.answer().await?;
        if answer.status != status {
            bail!("after a switch of {port} nginx answers {} and not {status}", answer.status);
        }
    }
    Ok(())
}
