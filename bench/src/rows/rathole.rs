//! Beside rathole, which carries bytes of TCP to a program behind NAT: calls of 1 KiB that are sent back, over kept connections
//! and over new ones.
//!
//! rathole's server does what an instance does, and its client what an agent does, whose time is not counted here; so it stands
//! there twice, without its client and with it. It knows nothing of HTTP, of tokens or of where an agent is.

use std::{net::SocketAddr, ops::RangeInclusive, path::Path};

use crate::{
    figures::{Series, Unit},
    load::{Expect, Load, Turn},
    rathole::Rathole,
    rows::{Scene, agents, app_head, proxied_head, tell},
    serve::Instance,
    table::Line,
};

/// Bytes of request and answer.
const BODY_BYTES: usize = 1 << 10;
/// Calls under way at a time.
const CALLERS: u64 = 64;

/// Whether a caller keeps its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Connections {
    Kept,
    New,
}

/// What was done per CPU second, a sample a turn.
#[derive(Default)]
struct Done {
    ours: Series,
    server: Series,
    both: Series,
}

/// Lets the instance and rathole take turns.
pub(crate) async fn measure(scene: &Scene) -> anyhow::Result<Vec<Line>> {
    let mut lines = Vec::new();
    for connections in [Connections::Kept, Connections::New] {
        lines.extend(side_by_side(scene, connections).await?);
    }
    Ok(lines)
}

async fn side_by_side(scene: &Scene, connections: Connections) -> anyhow::Result<[Line; 2]> {
    let mut done = Done::default();
    let instance = Instance::start()?;
    for round in 0..scene.effort.rounds as u64 {
        let customers = round * CALLERS + 1..=(round + 1) * CALLERS;
        done.ours.push(instance_turn(scene, &instance, connections, customers).await?.per_cpu_second());
        let Some(program) = &scene.rathole else { continue };
        let [server, both] = rathole_turn(scene, program, connections).await?;
        done.server.push(server.per_cpu_second());
        done.both.push(both.per_cpu_second());
    }
    let how = match connections {
        Connections::Kept => "over kept connections",
        Connections::New => "a new connection of the app's for each",
    };
    Ok([("server", &done.server), ("server and client together", &done.both)].map(|(who, other)| {
        let what = format!(
            "transactions of 1 KiB per CPU second, {how}; rathole: HTTP carried as TCP, CPU time of its {who}"
        );
        Line::new(what, &done.ours, Unit::PerSecond).beside(&done.ours, other, Unit::PerSecond)
    }))
}

async fn instance_turn(
    scene: &Scene,
    instance: &Instance,
    connections: Connections,
    customers: RangeInclusive<u64>,
) -> anyhow::Result<Turn> {
    // The polls of an earlier turn are gone when their connections are seen to be.
    instance.until_parked(0).await?;
    let mut load = agents(instance, customers.clone()).await?;
    for id in customers {
        call(&mut load, connections, instance.address(), &app_head(instance, id)).await?;
    }
    let turn = load.turn(&scene.effort, || instance.cpu()).await?;
    tell(&format!("Switchboard, {connections:?} connections"), turn);
    Ok(turn)
}

async fn rathole_turn(scene: &Scene, program: &Path, connections: Connections) -> anyhow::Result<[Turn; 2]> {
    let rathole = Rathole::start(program, scene.echo.address()).await?;
    let mut load = Load::new();
    for _ in 0..CALLERS {
        call(&mut load, connections, rathole.address(), &proxied_head("/")).await?;
    }
    let turns = load.turn_of(&scene.effort, || rathole.cpu()).await?;
    tell(&format!("rathole's server, {connections:?} connections"), turns[0]);
    Ok(turns)
}

async fn call(
    load: &mut Load,
    connections: Connections,
    address: SocketAddr,
    head: &str,
) -> anyhow::Result<()> {
    match connections {
        Connections::Kept => load.call(address, head, Expect::Echo(BODY_BYTES)).await,
        Connections::New => load.call_anew(address, head, Expect::Echo(BODY_BYTES)).await,
    }
}
