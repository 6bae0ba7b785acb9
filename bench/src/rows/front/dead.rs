//! A backend dies under load: for how long nginx still tries it, and whether a caller notices.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::time::sleep;

use crate::{
    figures::{Series, Unit, grouped},
    front::Front,
    load::{Backend, Expect, Load},
    rows::{
        Scene,
        front::{ANYONE, CALLERS, Stage, at_any_moment},
    },
    table::Line,
};

/// At most half of them are ever taken out.
const BACKENDS: usize = 10;
/// So often it is looked whether nginx has sent another request there.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// One that is out, and to which nothing was sent for so long, gets no more.
const STILL: Duration = Duration::from_millis(500);
/// It is out within this, or never.
const PATIENCE: Duration = Duration::from_secs(30);

/// What came of a death.
struct Death {
    /// From it to the last request that was sent there.
    tried_for: Duration,
    /// Connections that were refused.
    refused: u64,
}

/// Lets backends die, one after the other.
pub(crate) async fn measure(scene: &Scene) -> anyhow::Result<Vec<Line>> {
    let Some(Stage { mut backends, front, .. }) = Stage::set(scene, BACKENDS).await? else {
        return Ok(Vec::new());
    };
    let mut load = Load::new();
    for _ in 0..CALLERS {
        load.call_on(front.address()?, ANYONE, Expect::Done).await?;
    }
    let (mut times, mut refused) = (Series::default(), 0);
    for _ in 0..scene.effort.deaths {
        let backend = backends.pop().context("no backend is left to die")?;
        at_any_moment(&mut load).await?;
        let death = load.during(die(&front, backend)).await?;
        eprintln!("a backend died: {} connections refused within {:?}", death.refused, death.tried_for);
        times.push(death.tried_for.as_secs_f64());
        refused += death.refused;
    }
    let (failed, calls) = (load.failed(), load.calls());
    let tried = format!(
        "from a backend's death to the last request that nginx sends there, one of {BACKENDS}, under load"
    );
    let lost = format!("requests that failed; {} met a dead backend and went to another", grouped(refused));
    let of = format!("{} of {}", grouped(failed), grouped(calls));
    Ok(vec![Line::new(tried, &times, Unit::Seconds), Line::told(lost, of).goal(0.0, Unit::Count)])
}

async fn die(front: &Front, backend: Backend) -> anyhow::Result<Death> {
    let port = backend.port();
    let mut counts = front.counts().await?;
    let before = counts.of(port).await?;
    let died = Instant::now();
    drop(backend);
    let (mut sent, mut last) = (before.requests, died);
    loop {
        let now = counts.of(port).await?;
        if now.requests > sent {
            (sent, last) = (now.requests, Instant::now());
        }
        if now.state == "out" && last.elapsed() > STILL {
            let refused = now.connect_errors - before.connect_errors;
            return Ok(Death { tried_for: last - died, refused });
        }
        if died.elapsed() > PATIENCE {
            bail!("a backend that died is not out after {PATIENCE:?}: {now:?}");
        }
        sleep(LOOK_EVERY).await;
    }
}
