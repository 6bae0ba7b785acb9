//! Reports per CPU second, on disk when they are answered.

use std::{sync::Arc, time::Duration};

use anyhow::bail;
use tokio::{sync::Mutex, time::sleep};

use crate::{
    effort::Effort,
    figures::{Series, Unit},
    load::{Load, Sender, Turn},
    monitor::Monitor,
    rows::{Scene, answer_turn, tell},
    table::Line,
};

const GOAL_PER_SECOND: f64 = 5000.0;
/// Workers that report at a time.
const WORKERS: u64 = 64;
/// Reports of a batch, in the second line.
const BATCH: usize = 20;
/// What was taken is to be seen in `/status` within this.
const LOOKS: u32 = 50;
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Workers outlive a turn, so that their numbers go on.
type Workers = Vec<Arc<Mutex<Sender>>>;

/// Lets the monitor take reports one by one and in batches, and nginx answer, in turns.
pub(crate) async fn measure(scene: &Scene) -> anyhow::Result<Vec<Line>> {
    let effort = &scene.effort;
    let (mut single, mut batched, mut answered) = (Series::default(), Series::default(), Series::default());
    let mut monitor = Monitor::new()?;
    monitor.start().await?;
    let mut workers = Workers::new();
    for number in 0..WORKERS {
        let sender = Sender::open(monitor.address(), monitor.keys(), &format!("bench/{number}")).await?;
        workers.push(Arc::new(Mutex::new(sender)));
    }
    for _ in 0..effort.rounds {
        single.push(turn(&monitor, effort, &workers, 1).await?);
        batched.push(turn(&monitor, effort, &workers, BATCH).await?);
        if let Some(nginx) = &scene.nginx {
            answered.push(answer_turn(nginx, effort, WORKERS).await?.per_cpu_second());
        }
    }
    each_once(&monitor, &workers).await?;
    let what =
        "reports that a monitor takes per CPU second, signed and on disk, one in a call; nginx: `return 200`";
    let one = Line::new(what, &single, Unit::PerSecond).goal(GOAL_PER_SECOND, Unit::PerSecond);
    let what = format!("the same, {BATCH} in a call");
    let many = Line::new(what, &batched, Unit::PerSecond).goal(GOAL_PER_SECOND, Unit::PerSecond);
    Ok(vec![one.beside(&single, &answered, Unit::PerSecond), many])
}

/// Reports for each CPU second of one turn.
async fn turn(monitor: &Monitor, effort: &Effort, workers: &Workers, count: usize) -> anyhow::Result<f64> {
    let mut load = Load::new();
    for worker in workers {
        load.report(worker.clone(), count);
    }
    let turn: Turn = load.turn(effort, || monitor.cpu()).await?;
    drop(load);
    tell(&format!("monitor, {count} reports in a call"), turn);
    for worker in workers {
        // The end of the turn has cut the last call off. Its reports are taken now, or were.
        worker.lock().await.repeat().await?;
    }
    Ok(turn.per_cpu_second() * count as f64)
}

/// Whether the monitor has each report once.
async fn each_once(monitor: &Monitor, workers: &Workers) -> anyhow::Result<()> {
    for worker in workers {
        let sender = worker.lock().await;
        let mut looks = 0;
        loop {
            let heard = monitor.workers().await?.remove(sender.worker()).unwrap_or_default();
            if (heard.reports, heard.missing) == (sender.last(), 0) {
                break;
            }
            looks += 1;
            if looks > LOOKS {
                let (name, last) = (sender.worker(), sender.last());
                bail!(
                    "{name}: of {last} reports {} were taken and {} are missing",
                    heard.reports,
                    heard.missing
                );
            }
            sleep(LOOK_EVERY).await;
        }
    }
    Ok(())
}
