//! An instance joins: from its word to its first request.

use std::time::{Duration, Instant};

use crate::{
    figures::{Series, Unit, grouped},
    load::{Backend, Load},
    rows::{
        Scene,
        front::{Stage, at_any_moment},
    },
    table::Line,
};

/// Behind the front already.
const BACKENDS: [usize; 2] = [10, 1000];
/// The first request is there within this.
const PATIENCE: Duration = Duration::from_secs(30);

/// Lets instances join, one after the other.
pub(crate) async fn measure(scene: &Scene) -> anyhow::Result<Vec<Line>> {
    let mut lines = Vec::new();
    for backends in BACKENDS {
        let Some(stage) = Stage::set(scene, backends).await? else { break };
        let times = times(&stage, scene.effort.joins).await?;
        let what = format!(
            "from an instance's word that it is there to its first request, {} others, under load, without a reload",
            grouped(backends as u64)
        );
        lines.push(Line::new(what, &times, Unit::Seconds));
    }
    Ok(lines)
}

async fn times(stage: &Stage, joins: usize) -> anyhow::Result<Series> {
    let mut load = stage.load().await?;
    let (mut times, mut joined) = (Series::default(), Vec::new());
    for _ in 0..joins {
        at_any_moment(&mut load).await?;
        let mut backend = Backend::start().await?;
        times.push(join(stage, &mut load, &mut backend).await?.as_secs_f64());
        joined.push(backend);
    }
    stage.assert_no_reload()?;
    Ok(times)
}

async fn join(stage: &Stage, load: &mut Load, backend: &mut Backend) -> anyhow::Result<Duration> {
    let began = Instant::now();
    let first = load.during(async {
        stage.front.join(backend.port()).await?;
        backend.first_request(PATIENCE).await
    });
    Ok(first.await?.duration_since(began))
}
