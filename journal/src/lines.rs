//! What the log says.

use std::{
    fmt,
    str::FromStr,
    time::{Duration, Instant},
};

use rusqlite::{Connection, OptionalExtension, Row, params};
use switchboard_fleet::report::{Level, LogLine};

use crate::{
    error::JournalError,
    journal::Journal,
    kind::{int, level, uint},
    memory::{json, unreadable},
};

/// Most lines that one query gives.
pub const LINES_MAX: usize = 500;
/// Rows looked at before the database is let go for a moment, so that what was written meanwhile can be tidied up.
const SLICE: usize = 1000;
/// How long a search may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Which lines are wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct LineQuery {
    /// Of this worker only.
    pub worker: Option<String>,
    /// That matter at least so much. Panics count as errors, starts and stops as something to know.
    pub least: Option<Level>,
    /// Not before this time, ms since 1970.
    pub from_ms: u64,
    /// Not after this time, ms since 1970.
    pub to_ms: u64,
    /// With this text in the message, the data as JSON, or the place of a panic; in any case of letters.
    pub text: Option<String>,
    /// Older than this line: the last one of the page before.
    pub before: Option<LineId>,
    /// How many; at most [`LINES_MAX`].
    pub limit: usize,
}

impl Default for LineQuery {
    /// The newest hundred.
    fn default() -> Self {
        let (worker, least, text, before) = (None, None, None, None);
        Self { worker, least, from_ms: 0, to_ms: u64::MAX, text, before, limit: 100 }
    }
}

/// The place of a line among all: by time, and by when it came. As text: `TIME-NUMBER`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LineId {
    at_ms: u64,
    number: u64,
}

impl fmt::Display for LineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.at_ms, self.number)
    }
}

/// The text is no place of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no place of a line: expected TIME-NUMBER")]
pub struct InvalidLineId;

impl FromStr for LineId {
    type Err = InvalidLineId;

    fn from_str(text: &str) -> Result<Self, InvalidLineId> {
        let (at_ms, number) = text.split_once('-').ok_or(InvalidLineId)?;
        let part = |text: &str| text.parse().map_err(|_| InvalidLineId);
        Ok(Self { at_ms: part(at_ms)?, number: part(number)? })
    }
}

/// A line: something that a worker said, or that was said of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Its place.
    pub id: LineId,
    /// Who said it.
    pub worker: String,
    /// When, by the worker's clock, ms since 1970.
    pub at_ms: u64,
    /// When it came, by ours, ms since 1970.
    pub heard_ms: u64,
    /// The life of the worker: when that began, ms since 1970.
    pub boot: u64,
    /// The number of the report.
    pub seq: u64,
    /// What was said.
    pub what: What,
}

/// What a line says.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// The worker has started.
    Started,
    /// It ends because it was told to.
    Stopping,
    /// A line of its log.
    Log(LogLine),
    /// A thread of it has panicked.
    Panic {
        /// What the panic said.
        message: String,
        /// Where, as `FILE:LINE:COLUMN`.
        place: String,
    },
}

impl Journal {
    /// Looks for lines, the newest first.
    ///
    /// # Errors
    /// The database cannot be read, or the search took more than 10 s (`Slow`).
    pub async fn lines(&self, query: LineQuery) -> Result<Vec<Line>, JournalError> {
        let deadline = Instant::now() + PATIENCE;
        let found = self.readers.read(move |connection| find(connection, &query, deadline)).await?;
        found.ok_or(JournalError::Slow { waited_s: PATIENCE.as_secs() })
    }
}

/// What is looked for, made ready.
struct Search<'a> {
    query: &'a LineQuery,
    worker: Option<i64>,
    text: Option<String>,
}

/// `None`: the time is up.
pub(crate) fn find(
    connection: &Connection,
    query: &LineQuery,
    deadline: Instant,
) -> rusqlite::Result<Option<Vec<Line>>> {
    let mut worker = None;
    if let Some(name) = &query.worker {
        let sql = "SELECT id FROM worker WHERE name = ?1";
        worker = connection.prepare_cached(sql)?.query_row([name], |row| row.get(0)).optional()?;
        if worker.is_none() {
            return Ok(Some(Vec::new()));
        }
    }
    let text = query.text.as_ref().map(|text| text.to_lowercase()).filter(|text| !text.is_empty());
    let search = Search { query, worker, text };
    let (mut lines, mut before) = (Vec::new(), query.before);
    while let Some(next) = search.slice(connection, before, &mut lines)? {
        if Instant::now() >= deadline {
            return Ok(None);
        }
        before = Some(next);
    }
    Ok(Some(lines))
}

impl Search<'_> {
    /// Looks at one slice of rows, and says where the next begins, if there is more to look at.
    fn slice(
        &self,
        connection: &Connection,
        before: Option<LineId>,
        lines: &mut Vec<Line>,
    ) -> rusqlite::Result<Option<LineId>> {
        let limit = self.query.limit.min(LINES_MAX);
        let before = before.unwrap_or(LineId { at_ms: u64::MAX, number: u64::MAX });
        let to_ms = self.query.to_ms.min(before.at_ms);
        let values = params![
            int(self.query.from_ms),
            int(to_ms),
            int(before.at_ms),
            int(before.number),
            self.worker.unwrap_or(0)
        ];
        let mut statement = connection.prepare_cached(self.sql())?;
        let mut rows = statement.query(values)?;
        let mut last = None;
        for _ in 0..SLICE {
            if lines.len() >= limit {
                return Ok(None);
            }
            let Some(row) = rows.next()? else { return Ok(None) };
            last = Some(LineId { at_ms: uint(row.get(1)?), number: uint(row.get(0)?) });
            if self.fits(row)? {
                lines.push(line(row)?);
            }
        }
        Ok(last)
    }

    /// The order is that of an index, named so that it is never a sort of all.
    fn sql(&self) -> &'static str {
        const fn is_loud(least: Option<Level>) -> bool {
            matches!(least, Some(Level::Warning | Level::Error))
        }
        macro_rules! select {
            ($index:literal, $filter:literal) => {
                concat!(
                    "SELECT entry.id, at_ms, name, entry.heard_ms, entry.boot, seq, what, level, message, extra
                     FROM entry INDEXED BY ",
                    $index,
                    " CROSS JOIN worker ON worker.id = entry.worker
                     WHERE at_ms BETWEEN ?1 AND ?2 AND (at_ms, entry.id) < (?3, ?4) AND ",
                    $filter,
                    " ORDER BY at_ms DESC, entry.id DESC"
                )
            };
        }
        match (self.worker.is_some(), is_loud(self.query.least)) {
            (false, false) => select!("entry_time", "?5 = 0"),
            (false, true) => select!("entry_loud", "?5 = 0 AND level >= 2"),
            (true, false) => select!("entry_worker", "entry.worker = ?5"),
            (true, true) => select!("entry_worker_loud", "entry.worker = ?5 AND level >= 2"),
        }
    }

    fn fits(&self, row: &Row<'_>) -> rusqlite::Result<bool> {
        if self.query.least.is_some_and(|least| row.get(7).is_ok_and(|level: i64| level < least as i64)) {
            return Ok(false);
        }
        let Some(text) = &self.text else { return Ok(true) };
        let message = row.get_ref(8)?.as_str()?;
        let extra = row.get_ref(9)?.as_str_or_null()?.unwrap_or_default();
        Ok([message, extra].iter().any(|part| part.to_lowercase().contains(text)))
    }
}

fn line(row: &Row<'_>) -> rusqlite::Result<Line> {
    let at_ms = uint(row.get(1)?);
    let what = match row.get(6)? {
        0 => What::Log(LogLine {
            level: level(row.get(7)?).ok_or_else(|| unreadable(7, "no level"))?,
            message: row.get(8)?,
            data: if row.get_ref(9)? == rusqlite::types::ValueRef::Null {
                Default::default()
            } else {
                json(row, 9)?
            },
        }),
        1 => What::Panic { message: row.get(8)?, place: row.get(9)? },
        2 => What::Started,
        3 => What::Stopping,
        other => return Err(unreadable(6, &format!("{other} is nothing that was told"))),
    };
    Ok(Line {
        id: LineId { at_ms, number: uint(row.get(0)?) },
        worker: row.get(2)?,
        at_ms,
        heard_ms: uint(row.get(3)?),
        boot: uint(row.get(4)?),
        seq: uint(row.get(5)?),
        what,
    })
}
