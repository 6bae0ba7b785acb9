//! How long a chart takes that was not drawn before.

use std::time::Instant;

use switchboard_archive::{Archives, ChartRequest, Charts, Program};

use crate::{
    DRAW,
    figures::{Series, Unit},
    rows::{
        Scene,
        samples::{STEP_S, newest_s, write},
    },
    rrdtool::Rrdtool,
    table::Line,
};

const GOAL_SECONDS: f64 = 0.03;
/// Lines of the chart.
const INSTANCES: usize = 8;
/// What is drawn: a day, of size M.
const CHART: &str = "cpu.1day.png";
const DAY_S: i64 = 24 * 3600;
const WHAT: &str = "a chart of 8 instances, a day in size M as PNG; rrdtool: `graph` with the same lines, by its standard input";
/// How rrdtool is to draw it, so that both have the same to do: size with the legend, fonts, colours.
const STYLE: &str = "--imgformat PNG --full-size-mode --width 547 --height 404 --slope-mode --border 0 \
    --title \"CPU loading, 1 day\" --vertical-label \"Percent (%)\" --lower-limit 0 --upper-limit 100 --rigid --units-exponent 0 \
    --font \"TITLE:10:DejaVu Sans\" --font \"AXIS:7:DejaVu Sans\" --font \"UNIT:7:DejaVu Sans\" \
    --font \"LEGEND:8:DejaVu Sans Mono\" --color BACK#1c2128 --color CANVAS#12161c --color GRID#3a424c --color MGRID#59636f \
    --color FONT#d7dde4 --color AXIS#d7dde4 --color FRAME#1c2128 --color ARROW#d7dde4";
/// Its lines.
const COLORS: [&str; INSTANCES] =
    ["56b4e9", "e69f00", "2fc48d", "f0e442", "dd6fa8", "ff7f50", "b0b7ff", "d0d0d0"];
/// Of one line after the other, again and again.
const DASHES: [&str; 4] = ["", ":dashes=6,2", ":dashes=2,2", ":dashes=9,2,2,2"];

/// Lets the drawing process and rrdtool take turns, a chart each, of the same archives.
pub(crate) async fn measure(scene: &Scene) -> anyhow::Result<Vec<Line>> {
    let folder = tempfile::tempdir()?;
    let archives = Archives::open(folder.path())?;
    let workers: Vec<_> = (0..INSTANCES).map(|number| format!("bench.example.net/{number}")).collect();
    let until_s = newest_s()?;
    fill(&archives, &workers, until_s, scene.effort.charts as i64).await?;
    let charts = Charts::new(&archives, Program::this([DRAW])?);
    let mut rrdtool = match &scene.rrdtool {
        Some(program) => Some(Rrdtool::start(program, archives.folder())?),
        None => None,
    };
    let (mut ours, mut other) = (Series::default(), Series::default());
    for number in 0..=scene.effort.charts as i64 {
        // No two are of the same minute, as those of one minute are drawn once.
        let end_s = until_s - STEP_S * number;
        let request = ChartRequest::new(CHART.parse()?, workers.clone(), end_s);
        let began = Instant::now();
        charts.draw(&request).await?;
        let took = began.elapsed();
        let mut rrdtool_took = None;
        if let Some(rrdtool) = &mut rrdtool {
            let order = graph(&archives, &workers, end_s)?;
            let began = Instant::now();
            rrdtool.obey(&[order]).await?;
            rrdtool_took = Some(began.elapsed());
        }
        // The first starts the process, and both read their fonts.
        if number > 0 {
            ours.push(took.as_secs_f64());
            rrdtool_took.into_iter().for_each(|took| other.push(took.as_secs_f64()));
        }
    }
    let line = Line::new(WHAT, &ours, Unit::Seconds).goal(GOAL_SECONDS, Unit::Seconds);
    Ok(vec![line.beside(&ours, &other, Unit::Seconds)])
}

/// Gives each worker a day of samples, and `more` minutes before.
async fn fill(archives: &Archives, workers: &[String], until_s: i64, more: i64) -> anyhow::Result<()> {
    let minutes = DAY_S / STEP_S + more;
    for (index, worker) in workers.iter().enumerate() {
        // CPU seconds used so far: so many more in each minute, by hour and worker, and never quite the same.
        let mut used = 0;
        for minute in 0..minutes {
            let at_s = until_s - STEP_S * (minutes - 1 - minute);
            used += 5 + (index as i64 * 7 + minute / 60) % 30 + minute * minute % 11;
            write(archives, worker, at_s, used as usize).await?;
        }
    }
    Ok(())
}

/// The order by which rrdtool draws the same: lines, and a legend with three numbers each.
fn graph(archives: &Archives, workers: &[String], end_s: i64) -> anyhow::Result<String> {
    let mut order = format!("graph chart.png --start {} --end {end_s} {STYLE}", end_s - DAY_S);
    order += &format!(" \"COMMENT:{:>49}\\l\"", "min      max     last");
    for (index, worker) in workers.iter().enumerate() {
        let path = archives.path(worker)?;
        let file = path.strip_prefix(archives.folder())?.display();
        let (color, dashes) = (COLORS[index], DASHES[index % DASHES.len()]);
        order += &format!(
            " \"DEF:r{index}={file}:cpu:AVERAGE\" \"CDEF:v{index}=r{index},0.0001,*\" \
             \"LINE1.5:v{index}#{color}:{worker}{dashes}\""
        );
        for (number, function) in ["MINIMUM", "MAXIMUM", "LAST"].iter().enumerate() {
            let end = if number == 2 { "\\l" } else { "" };
            order += &format!(
                " \"VDEF:v{index}_{number}=v{index},{function}\" \"GPRINT:v{index}_{number}:%9.1lf{end}\""
            );
        }
    }
    Ok(order)
}
