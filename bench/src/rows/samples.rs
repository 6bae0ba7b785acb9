//! How long a minute's samples of many instances take into their archives.

use std::{
    fs,
    path::Path,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::bail;
use switchboard_archive::{Archives, Written};
use switchboard_fleet::report::Sample;

use crate::{
    figures::{Series, Unit, grouped},
    rows::Scene,
    rrdtool::Rrdtool,
    table::Line,
};

const GOAL_SECONDS: f64 = 5.0;
/// Seconds from one sample to the next.
pub(crate) const STEP_S: i64 = 60;

/// Lets the archives and rrdtool take turns, a minute each, on files that are there.
pub(crate) async fn measure(scene: &Scene) -> anyhow::Result<Vec<Line>> {
    let (count, minutes) = (scene.effort.archives, scene.effort.minutes);
    let folder = tempfile::tempdir()?;
    let archives = Archives::open(&folder.path().join("archives"))?;
    let first_s = newest_s()? - STEP_S * minutes as i64;
    for number in 0..count {
        write(&archives, &worker(number), first_s, number).await?;
    }
    let theirs = folder.path().join("rrdtool");
    let mut rrdtool = None;
    if let Some(program) = &scene.rrdtool {
        copies(&archives, count, &theirs)?;
        rrdtool = Some(Rrdtool::start(program, &theirs)?);
    }
    let (mut ours, mut other) = (Series::default(), Series::default());
    for minute in 1..=minutes as i64 {
        let at_s = first_s + STEP_S * minute;
        ours.push(ours_turn(&archives, count, at_s).await?);
        if let Some(rrdtool) = &mut rrdtool {
            let orders: Vec<_> = (0..count).map(|number| update(number, at_s)).collect();
            let began = Instant::now();
            rrdtool.obey(&orders).await?;
            other.push(began.elapsed().as_secs_f64());
        }
    }
    let what = format!(
        "a minute's samples of {} instances into their archives; rrdtool: as many `update` by its standard input",
        grouped(count as u64)
    );
    let line = Line::new(what, &ours, Unit::Seconds).goal(GOAL_SECONDS, Unit::Seconds);
    Ok(vec![line.beside(&ours, &other, Unit::Seconds)])
}

async fn ours_turn(archives: &Archives, count: usize, at_s: i64) -> anyhow::Result<f64> {
    let began = Instant::now();
    for number in 0..count {
        write(archives, &worker(number), at_s, number).await?;
    }
    let took = began.elapsed();
    eprintln!("archives: {count} samples in {took:?}");
    Ok(took.as_secs_f64())
}

/// The end of the last full minute, seconds since 1970.
pub(crate) fn newest_s() -> anyhow::Result<i64> {
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs().cast_signed();
    Ok(now_s - now_s % STEP_S)
}

/// Writes one sample, which goes into its archive at once.
pub(crate) async fn write(archives: &Archives, worker: &str, at_s: i64, number: usize) -> anyhow::Result<()> {
    match archives.write(worker, at_s, &sample(number as u64)).await? {
        Written::Added => Ok(()),
        other => bail!("{worker}: the sample of {at_s} is {other:?} and not in its archive"),
    }
}

fn worker(number: usize) -> String {
    format!("bench.example.net/{number}")
}

fn sample(number: u64) -> Sample {
    Sample {
        agents_u: number % 50,
        t_unique: number % 40,
        t_started: number % 70,
        t_completed: number % 69,
        t_failed: number % 3,
        bytes: number * 10_000,
        duration: number * 9,
        cpu: number * 1_000_000,
        duration_avg: number as f64 / 7.0,
    }
}

/// The archives under names of their own, for rrdtool.
fn copies(archives: &Archives, count: usize, folder: &Path) -> anyhow::Result<()> {
    fs::create_dir(folder)?;
    for number in 0..count {
        fs::copy(archives.path(&worker(number))?, folder.join(format!("{number}.rrd")))?;
    }
    Ok(())
}

/// The order by which rrdtool writes what [`sample`] gives.
fn update(number: usize, at_s: i64) -> String {
    let Sample { agents_u, t_unique, t_started, t_completed, t_failed, bytes, duration, cpu, duration_avg } =
        sample(number as u64);
    format!(
        "update {number}.rrd --template \
         agents_u:t_unique:t_started:t_completed:t_failed:bytes:duration:cpu:duration_avg \
         {at_s}:{agents_u}:{t_unique}:{t_started}:{t_completed}:{t_failed}:{bytes}:{duration}:{cpu}:{duration_avg}"
    )
}
