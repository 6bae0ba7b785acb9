//! Gaps between samples, in the tables.

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::{
    gap::{Around, GAP_MS, Point, Span, Why},
    kind::{int, uint},
    rows::WorkerRow,
};

/// Gaps kept of one worker; the oldest goes when there is one more.
const GAPS_MAX: u32 = 1000;
/// Times kept at which the monitor was away; the oldest goes when there is one more.
const AWAY_MAX: u32 = 1000;
/// The monitor was away if it did not say for so many ms that it is alive, which it does every 5 s.
const AWAY_MS: u64 = 15_000;

/// When the monitor was away, by its own clock: from and to, ms since 1970.
#[derive(Debug, Default)]
pub(crate) struct Spans {
    away: Vec<(u64, u64)>,
}

impl Spans {
    /// Reads when the monitor was away.
    pub(crate) fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let mut statement = connection.prepare("SELECT from_ms, to_ms FROM away ORDER BY from_ms")?;
        let read = |row: &Row<'_>| Ok((uint(row.get(0)?), uint(row.get(1)?)));
        Ok(Self { away: statement.query_map([], read)?.collect::<rusqlite::Result<_>>()? })
    }

    /// Notes that the monitor is alive, and was last at `was_ms`: whether it was away since. Then this is to be loaded again.
    pub(crate) fn alive(connection: &Connection, was_ms: Option<u64>, now_ms: u64) -> rusqlite::Result<bool> {
        crate::memory::set_fact(connection, "alive_ms", int(now_ms))?;
        let Some(from_ms) = was_ms.filter(|was_ms| now_ms.saturating_sub(*was_ms) > AWAY_MS) else {
            return Ok(false);
        };
        let sql = "INSERT OR REPLACE INTO away VALUES (?1, ?2)";
        connection.execute(sql, (int(from_ms), int(now_ms)))?;
        let sql = "DELETE FROM away WHERE from_ms <= (SELECT from_ms FROM away ORDER BY from_ms DESC LIMIT 1 OFFSET ?1)";
        connection.execute(sql, [AWAY_MAX])?;
        Ok(true)
    }

    /// Puts a sample in its place among the others of its worker. One that is ahead of our clock waits for its time elsewhere, and
    /// does not count here.
    pub(crate) fn place(
        &self,
        connection: &Connection,
        worker: &mut WorkerRow,
        point: Point,
        heard_ms: u64,
    ) -> rusqlite::Result<()> {
        if point.at_ms > heard_ms.saturating_add(GAP_MS) {
            return Ok(());
        }
        match worker.point {
            Some(newest) if point.at_ms <= newest.at_ms => {
                if let Some(span) = take_around(connection, worker.id, point.at_ms)? {
                    for rest in span.split(point) {
                        self.note(connection, worker.id, &rest)?;
                    }
                }
                return Ok(());
            }
            Some(newest) => {
                if let Some(span) = Span::between(newest, point) {
                    self.note(connection, worker.id, &span)?;
                }
            }
            None => {}
        }
        worker.point = Some(point);
        Ok(())
    }

    /// Writes a gap, if there is a reason for it.
    fn note(&self, connection: &Connection, worker: i64, span: &Span) -> rusqlite::Result<()> {
        let Span { from, to } = span;
        let around = Around {
            away: self.away.iter().any(|(gone, back)| *gone < to.at_ms && *back > from.at_ms),
            missing: misses(connection, worker, span)?,
        };
        let Some(why) = span.why(around) else { return Ok(()) };
        let sql = "INSERT OR REPLACE INTO gap VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
        connection.prepare_cached(sql)?.execute(params![
            worker,
            int(from.at_ms),
            int(from.boot),
            int(from.seq),
            from.start_ms,
            int(to.at_ms),
            int(to.boot),
            int(to.seq),
            to.start_ms,
            why as i64,
        ])?;
        let sql = "DELETE FROM gap WHERE worker = ?1 AND from_ms <=
                   (SELECT from_ms FROM gap WHERE worker = ?1 ORDER BY from_ms DESC LIMIT 1 OFFSET ?2)";
        connection.prepare_cached(sql)?.execute((worker, GAPS_MAX)).map(|_| ())
    }
}

/// The reason of a number.
pub(crate) fn why(number: i64) -> Option<Why> {
    [Why::InstanceDown, Why::MonitorDown, Why::ClockJumped].into_iter().find(|why| *why as i64 == number)
}

/// Whether reports between two samples are missing; of two lives, reports of the later one.
fn misses(connection: &Connection, worker: i64, span: &Span) -> rusqlite::Result<bool> {
    let after = if span.from.boot == span.to.boot { span.from.seq } else { 0 };
    let sql =
        "SELECT last FROM hole WHERE worker = ?1 AND boot = ?2 AND first < ?3 ORDER BY first DESC LIMIT 1";
    let mut statement = connection.prepare_cached(sql)?;
    let last: Option<i64> =
        statement.query_row((worker, int(span.to.boot), int(span.to.seq)), |row| row.get(0)).optional()?;
    Ok(last.is_some_and(|last| uint(last) > after))
}

/// Takes the gap away that a time lies in.
fn take_around(connection: &Connection, worker: i64, at_ms: u64) -> rusqlite::Result<Option<Span>> {
    let sql =
        "SELECT from_ms, from_boot, from_seq, from_start_ms, to_ms, to_boot, to_seq, to_start_ms FROM gap
               WHERE worker = ?1 AND from_ms < ?2 ORDER BY from_ms DESC LIMIT 1";
    let point = |row: &Row<'_>, column: usize| {
        Ok::<_, rusqlite::Error>(Point {
            at_ms: uint(row.get(column)?),
            boot: uint(row.get(column + 1)?),
            seq: uint(row.get(column + 2)?),
            start_ms: row.get(column + 3)?,
        })
    };
    let read = |row: &Row<'_>| Ok(Span { from: point(row, 0)?, to: point(row, 4)? });
    let span = connection.prepare_cached(sql)?.query_row((worker, int(at_ms)), read).optional()?;
    let Some(span) = span.filter(|span| at_ms < span.to.at_ms) else { return Ok(None) };
    let sql = "DELETE FROM gap WHERE worker = ?1 AND from_ms = ?2";
    connection.prepare_cached(sql)?.execute((worker, int(span.from.at_ms)))?;
    Ok(Some(span))
}
