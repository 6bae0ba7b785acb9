//! What it costs a program to report: the same program with and without the library, at the same time.

use std::time::Instant;

use tokio::time::sleep;

use crate::{
    figures::{Series, Unit},
    load::{StandIn, take},
    rows::Scene,
    table::Line,
    talker::Talker,
};

const GOAL_SHARE: f64 = 0.005;
const GOAL_BYTES: f64 = 1024.0 * 1024.0;

/// Lets both log, and looks at them turn by turn.
pub(crate) async fn measure(scene: &Scene) -> anyhow::Result<Vec<Line>> {
    let effort = &scene.effort;
    let folder = tempfile::tempdir()?;
    let taker = StandIn::start(take).await?;
    let with = Talker::start(Some(taker.address()), folder.path())?;
    let without = Talker::start(None, folder.path())?;
    let (mut shares, mut bytes) = (Series::default(), Series::default());
    // What the start costs is over then.
    sleep(effort.idle_window / 4).await;
    for _ in 0..effort.rounds {
        let (began, with_before, without_before) = (Instant::now(), with.cpu()?, without.cpu()?);
        sleep(effort.idle_window).await;
        let (with_cpu, without_cpu) = (with.cpu()? - with_before, without.cpu()? - without_before);
        let elapsed = began.elapsed().as_secs_f64();
        let share = (with_cpu.as_secs_f64() - without_cpu.as_secs_f64()) / elapsed;
        eprintln!("worker library: {:.3} % of a core", share * 100.0);
        shares.push(share);
        bytes.push(with.own_bytes()? as f64 - without.own_bytes()? as f64);
    }
    let what = "a core's share that reporting takes in a program that logs ten lines a second";
    let share = Line::new(what, &shares, Unit::Share).goal(GOAL_SHARE, Unit::Share);
    let memory = Line::new("its memory", &bytes, Unit::KibiBytes).goal(GOAL_BYTES, Unit::KibiBytes);
    Ok(vec![share, memory])
}
