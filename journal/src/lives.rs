//! What is known of the lives of workers: starts, gaps, numbers; and samples that are not in the archives yet.

use rusqlite::{Connection, OptionalExtension};
use switchboard_fleet::report::Sample;

use crate::{
    error::JournalError,
    gap::Why,
    journal::Journal,
    kind::{int, uint},
    memory::{json, unreadable},
    rows::holes,
    seen::Missing,
    spans,
};

/// Lives of a worker that are shown: the newest.
pub const LIVES_SHOWN: usize = 100;
/// Ranges of missing numbers that are shown of each life: the first.
pub const MISSING_SHOWN: usize = 100;
/// Starts and stops that are given of each worker: the newest.
const MARKS_MAX: u32 = 1000;

/// A start or a stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Whose.
    pub worker: String,
    /// When, ms since 1970.
    pub at_ms: u64,
    /// Whether it is a start.
    pub start: bool,
}

/// A time without samples, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// Whose samples.
    pub worker: String,
    /// The time of the sample before, ms since 1970.
    pub from_ms: u64,
    /// The time of the sample after, ms since 1970.
    pub to_ms: u64,
    /// Why.
    pub why: Why,
}

/// One life of a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Life {
    /// When it began, ms since 1970.
    pub boot: u64,
    /// When the report with the lowest number happened, ms since 1970.
    pub first_ms: u64,
    /// When the report with the greatest number happened, ms since 1970.
    pub last_ms: u64,
    /// The greatest number taken.
    pub upto: u64,
    /// How many reports were taken.
    pub taken: u64,
    /// How many with a lower number than the greatest are missing.
    pub missing: u64,
    /// Which: the first [`MISSING_SHOWN`] ranges.
    pub holes: Vec<Missing>,
    /// Reports that the worker itself counted as lost. They are among the missing ones, or are yet to come.
    pub lost: u64,
}

/// A sample that is not in the archives yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Pending {
    /// Its place among all.
    pub id: PendingId,
    /// Whose.
    pub worker: String,
    /// The end of its minute, ms since 1970.
    pub at_ms: u64,
    /// What happened in it.
    pub sample: Sample,
}

/// The place of a sample among all that are not in the archives: by time, and by when it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PendingId {
    at_ms: u64,
    number: u64,
}

impl PendingId {
    /// Before all samples of a time, ms since 1970.
    pub fn before(at_ms: u64) -> Self {
        Self { at_ms, number: 0 }
    }
}

impl Journal {
    /// Samples that are not in the archives yet, the oldest first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn unfiled(&self, limit: usize) -> Result<Vec<Pending>, JournalError> {
        self.unfiled_after(None, limit).await
    }

    /// The same from a place on: for whoever has some that cannot go into their archive at present.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn unfiled_after(
        &self,
        after: Option<PendingId>,
        limit: usize,
    ) -> Result<Vec<Pending>, JournalError> {
        self.readers.read(move |connection| unfiled(connection, after, limit)).await
    }

    /// Starts and stops of workers from a time on (ms since 1970), in the order of time; of each the newest thousand.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn marks(&self, workers: &[String], from_ms: u64) -> Result<Vec<Mark>, JournalError> {
        let workers = workers.to_vec();
        let mut marks = self
            .readers
            .read(move |connection| for_each(workers, |worker| marks(connection, worker, from_ms)))
            .await?;
        marks.sort_by_key(|mark| mark.at_ms);
        Ok(marks)
    }

    /// Gaps in the samples of workers that end after a time (ms since 1970), in the order of time. Only those with a known reason
    /// are there.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn gaps(&self, workers: &[String], from_ms: u64) -> Result<Vec<Gap>, JournalError> {
        let workers = workers.to_vec();
        let mut gaps = self
            .readers
            .read(move |connection| for_each(workers, |worker| gaps(connection, worker, from_ms)))
            .await?;
        gaps.sort_by_key(|gap| gap.from_ms);
        Ok(gaps)
    }

    /// The newest [`LIVES_SHOWN`] lives of a worker, the newest first; none if it is not known.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn lives(&self, worker: &str) -> Result<Vec<Life>, JournalError> {
        let worker = worker.to_owned();
        self.readers.read(move |connection| lives(connection, &worker)).await
    }
}

fn for_each<T>(
    workers: Vec<String>,
    read: impl Fn(&str) -> rusqlite::Result<Vec<T>>,
) -> rusqlite::Result<Vec<T>> {
    let mut all = Vec::new();
    for worker in workers {
        all.extend(read(&worker)?);
    }
    Ok(all)
}

fn unfiled(
    connection: &Connection,
    after: Option<PendingId>,
    limit: usize,
) -> rusqlite::Result<Vec<Pending>> {
    let sql = "SELECT sample.id, at_ms, name, sample FROM sample INDEXED BY sample_unfiled
               CROSS JOIN worker ON worker.id = sample.worker
               WHERE filed_ms IS NULL AND at_ms >= ?1 AND (at_ms, sample.id) > (?1, ?2)
               ORDER BY at_ms, sample.id LIMIT ?3";
    let (at_ms, number) = after.map_or((0, 0), |after| (int(after.at_ms), int(after.number)));
    let mut statement = connection.prepare_cached(sql)?;
    let pending = statement.query_map((at_ms, number, int(limit as u64)), |row| {
        let at_ms = uint(row.get(1)?);
        let id = PendingId { at_ms, number: uint(row.get(0)?) };
        Ok(Pending { id, worker: row.get(2)?, at_ms, sample: json(row, 3)? })
    })?;
    pending.collect()
}

fn marks(connection: &Connection, worker: &str, from_ms: u64) -> rusqlite::Result<Vec<Mark>> {
    let sql = "SELECT at_ms, what = 2 FROM entry INDEXED BY entry_mark
               WHERE worker = (SELECT id FROM worker WHERE name = ?1) AND at_ms >= ?2 AND what >= 2
               ORDER BY at_ms DESC LIMIT ?3";
    let mut statement = connection.prepare_cached(sql)?;
    let marks = statement.query_map((worker, int(from_ms), MARKS_MAX), |row| {
        Ok(Mark { worker: worker.into(), at_ms: uint(row.get(0)?), start: row.get(1)? })
    })?;
    marks.collect()
}

fn gaps(connection: &Connection, worker: &str, from_ms: u64) -> rusqlite::Result<Vec<Gap>> {
    let sql = "SELECT from_ms, to_ms, why FROM gap
               WHERE worker = (SELECT id FROM worker WHERE name = ?1) AND to_ms > ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let gaps = statement.query_map((worker, int(from_ms)), |row| {
        let why = spans::why(row.get(2)?).ok_or_else(|| unreadable(2, "no reason of a gap"))?;
        Ok(Gap { worker: worker.into(), from_ms: uint(row.get(0)?), to_ms: uint(row.get(1)?), why })
    })?;
    gaps.collect()
}

fn lives(connection: &Connection, worker: &str) -> rusqlite::Result<Vec<Life>> {
    let sql = "SELECT id FROM worker WHERE name = ?1";
    let Some(id) = connection.prepare_cached(sql)?.query_row([worker], |row| row.get(0)).optional()? else {
        return Ok(Vec::new());
    };
    let sql = "SELECT boot, first_ms, upto_ms, upto, taken, lost FROM life WHERE worker = ?1 ORDER BY boot DESC LIMIT ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let lives = statement.query_map((id, LIVES_SHOWN as i64), |row| {
        let number = |column| row.get(column).map(uint);
        let (upto, taken) = (number(3)?, number(4)?);
        Ok(Life {
            boot: number(0)?,
            first_ms: number(1)?,
            last_ms: number(2)?,
            upto,
            taken,
            missing: upto.saturating_sub(taken),
            holes: holes(connection, id, number(0)?, MISSING_SHOWN as i64)?,
            lost: number(5)?,
        })
    })?;
    lives.collect()
}
