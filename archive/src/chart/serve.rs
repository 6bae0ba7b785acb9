//! The process that draws: requests come in on its standard input, a line of JSON each; each answer is a line of JSON that says how
//! many bytes follow, or why none do. It works in the folder of the archives, so that no path that an admin chose reaches librrd.

use std::{
    io::{self, BufRead as _, Write as _},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use rrd::{
    ConsolidationFn,
    error::{RrdError, RrdResult},
    ops::{
        fetch,
        graph::{self, props::ImageFormat},
    },
};
use serde::{Deserialize, Serialize};

use crate::{
    chart::{
        name::{Format, Source},
        plan::{self, Known},
        request::ChartRequest,
        table::{self, Fetched, Row, Table},
    },
    error::ArchiveError,
    file_name, rrd_file,
};

/// The first line of an answer stream. What comes before it is somebody else's.
pub(crate) const GREETING: &str = "switchboard-draw 1";
/// Attempts at a chart while the writer has a file locked, 20 ms apart.
const ATTEMPTS: u32 = 100;

/// What is asked for.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Ask {
    /// A picture.
    Draw(ChartRequest),
    /// A [`Table`] as JSON.
    Numbers(ChartRequest),
}

/// The line that comes before the bytes.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// So many bytes follow.
    Bytes(usize),
    /// None of the workers has an archive that can be read.
    Nothing,
    /// What went wrong.
    Failed(String),
}

/// Draws until standard input ends: what the program of [`Program`](crate::Program) does with its arguments.
///
/// # Errors
/// Standard input or output broke.
pub fn serve_drawing() -> io::Result<()> {
    let mut out = io::stdout().lock();
    write!(out, "\n{GREETING}\n")?;
    out.flush()?;
    for line in io::stdin().lock().lines() {
        let answer = match serde_json::from_str(&line?) {
            Ok(Ask::Draw(request)) => draw(&request),
            Ok(Ask::Numbers(request)) => numbers(&request),
            Err(error) => Err(RrdError::InvalidArgument(error.to_string())),
        };
        let (head, bytes) = match answer {
            Ok(Some(bytes)) => (Answer::Bytes(bytes.len()), bytes),
            Ok(None) => (Answer::Nothing, Vec::new()),
            Err(error) => (Answer::Failed(error.to_string()), Vec::new()),
        };
        serde_json::to_writer(&mut out, &head)?;
        out.write_all(b"\n")?;
        out.write_all(&bytes)?;
        out.flush()?;
    }
    Ok(())
}

fn draw(request: &ChartRequest) -> RrdResult<Option<Vec<u8>>> {
    let workers: Vec<Known> =
        request.workers.iter().map(|worker| (worker.clone(), archive(worker))).collect();
    let (props, elements) = plan::plan(request, &workers)?;
    if elements.is_empty() {
        return Ok(None);
    }
    let format = match request.name.format {
        Format::Png => ImageFormat::Png,
        Format::Svg => ImageFormat::Svg,
    };
    patiently(|| graph::graph(format, &props, &elements)).map(|(picture, _)| Some(picture))
}

fn numbers(request: &ChartRequest) -> RrdResult<Option<Vec<u8>>> {
    let mut rows = Vec::new();
    for worker in &request.workers {
        rows.push(match archive(worker) {
            Ok(archive) => row(request, worker, &archive)?,
            Err(_) => Row { worker: worker.clone(), ..Row::default() },
        });
    }
    let table = Table { unit: request.name.kind.unit(), rows };
    serde_json::to_vec(&table).map(Some).map_err(|error| RrdError::Internal(error.to_string()))
}

fn row(request: &ChartRequest, worker: &str, archive: &Path) -> RrdResult<Row> {
    let kind = request.name.kind;
    let cf = if kind.peaks { ConsolidationFn::Max } else { ConsolidationFn::Avg };
    let (shown, _) = column(request, archive, cf, table::source(kind))?;
    let completed = match (kind.source, kind.peaks) {
        (Source::Duration, false) => column(request, archive, cf, "t_completed")?.0,
        _ => Vec::new(),
    };
    let (summed, step_s) = match plan::summed(kind.source) {
        Some((source, _)) => column(request, archive, ConsolidationFn::Avg, source)?,
        None => (Vec::new(), 0.0),
    };
    Ok(table::row(kind, worker.into(), &Fetched { shown, completed, summed, step_s }))
}

/// The numbers of one source in the period, and the seconds between two.
fn column(
    request: &ChartRequest,
    archive: &Path,
    cf: ConsolidationFn,
    source: &str,
) -> RrdResult<(Vec<f64>, f64)> {
    let (start, end) = (rrd_file::time(request.start_s()), rrd_file::time(request.until_s));
    let data = patiently(|| fetch::fetch(archive, cf, start, end, Duration::from_secs(1)))?;
    let index = data.ds_names().iter().position(|name| name == source);
    let index = index.ok_or_else(|| RrdError::Internal(format!("no source {source}")))?;
    // librrd adds the row that the end falls into, which is of the time after it.
    let rows = data.rows().into_iter().filter(|row| row.timestamp() <= end);
    Ok((rows.map(|row| row.as_slice()[index]).collect(), data.step().as_secs_f64()))
}

/// A worker's archive, relative to the folder, if it can be read.
fn archive(worker: &str) -> Result<PathBuf, &'static str> {
    let archive = file_name::of_worker(worker).map_err(|_| "no archive")?;
    if !archive.exists() {
        return Err("no archive");
    }
    match rrd_file::last_s(&archive) {
        Ok(_) => Ok(archive),
        Err(ArchiveError::Foreign { .. }) => Err("archive of another layout"),
        Err(ArchiveError::Damaged { .. }) => Err("archive damaged"),
        Err(_) => Err("archive unreadable"),
    }
}

/// Tries again while the writer has a file locked.
fn patiently<T>(call: impl Fn() -> RrdResult<T>) -> RrdResult<T> {
    let mut result = call();
    for _ in 1..ATTEMPTS {
        match &result {
            Err(error) if rrd_file::is_lock(error) => thread::sleep(Duration::from_millis(20)),
            _ => break,
        }
        result = call();
    }
    result
}
