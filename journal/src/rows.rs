//! A worker and one of its lives, as the writer keeps them at hand.

use rusqlite::{Connection, OptionalExtension, params};
use switchboard_fleet::report::WorkerState;

use crate::{
    arrival::{Prepared, Standing},
    gap::Point,
    kind::{int, uint},
    seen::{Change, Missing, Seen},
};

/// A row of `worker`.
#[derive(Debug)]
pub(crate) struct WorkerRow {
    pub(crate) id: i64,
    pub(crate) kind: String,
    pub(crate) known: bool,
    /// The greatest entry when it was last known; entries up to it do not count among an unknown worker's.
    pub(crate) kept: Option<i64>,
    pub(crate) heard_ms: u64,
    pub(crate) boot: u64,
    /// The number of the newest report on how it is, in this boot.
    pub(crate) said_seq: u64,
    pub(crate) state: Option<(u64, String)>,
    pub(crate) stopping_ms: Option<u64>,
    /// The life and the number of its last panic.
    pub(crate) panic: Option<(u64, u64)>,
    /// Its newest sample.
    pub(crate) point: Option<Point>,
    /// When it started, by its newest state.
    pub(crate) start_ms: Option<i64>,
    /// How many entries it has while unknown, if that was counted.
    pub(crate) lines: Option<u32>,
    /// The life that last reported.
    pub(crate) life: Option<LifeRow>,
}

/// A row of `life`, with its holes.
#[derive(Debug)]
pub(crate) struct LifeRow {
    pub(crate) boot: u64,
    pub(crate) seen: Seen,
    /// Reports that the worker itself counted as lost.
    pub(crate) lost: u64,
}

/// When a worker started, by a time and an uptime that it told.
pub(crate) fn start_ms(at_ms: u64, uptime_s: u64) -> i64 {
    int(at_ms).saturating_sub(int(uptime_s.saturating_mul(1000)))
}

impl WorkerRow {
    /// Reads it, if it is there.
    pub(crate) fn load(connection: &Connection, name: &str) -> rusqlite::Result<Option<Self>> {
        let sql = "SELECT id, kind, known, kept, heard_ms, boot, said_seq, state_ms, state, stopping_ms, panic_boot,
                          panic_seq, point_ms, point_boot, point_seq, point_start_ms FROM worker WHERE name = ?1";
        let read = |row: &rusqlite::Row<'_>| {
            let number = |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.map(uint));
            let state = number(7)?.zip(row.get::<_, Option<String>>(8)?);
            let point = match number(12)? {
                None => None,
                Some(at_ms) => Some(Point {
                    at_ms,
                    boot: uint(row.get(13)?),
                    seq: uint(row.get(14)?),
                    start_ms: row.get(15)?,
                }),
            };
            Ok(Self {
                id: row.get(0)?,
                kind: row.get(1)?,
                known: row.get(2)?,
                kept: row.get(3)?,
                heard_ms: uint(row.get(4)?),
                boot: uint(row.get(5)?),
                said_seq: uint(row.get(6)?),
                start_ms: state.as_ref().and_then(|(at_ms, text)| {
                    let state: WorkerState = serde_json::from_str(text).ok()?;
                    Some(start_ms(*at_ms, state.uptime_s))
                }),
                state,
                stopping_ms: number(9)?,
                panic: number(10)?.zip(number(11)?),
                point,
                lines: None,
                life: None,
            })
        };
        connection.prepare_cached(sql)?.query_row([name], read).optional()
    }

    /// Makes a new one.
    pub(crate) fn create(connection: &Connection, batch: &Prepared) -> rusqlite::Result<Self> {
        let known = batch.standing == Standing::Known;
        let kept = known.then_some(0);
        let sql = "INSERT INTO worker (name, kind, known, kept, heard_ms, boot, said_seq) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0)";
        let values = params![batch.worker, batch.kind, known, kept, int(batch.heard_ms), int(batch.boot)];
        connection.prepare_cached(sql)?.execute(values)?;
        Ok(Self {
            id: connection.last_insert_rowid(),
            kind: batch.kind.into(),
            known,
            kept,
            heard_ms: batch.heard_ms,
            boot: batch.boot,
            said_seq: 0,
            state: None,
            stopping_ms: None,
            panic: None,
            point: None,
            start_ms: None,
            lines: Some(0),
            life: None,
        })
    }

    /// Writes what may have changed, except the panic.
    pub(crate) fn save(&self, connection: &Connection) -> rusqlite::Result<()> {
        let sql = "UPDATE worker SET kind = ?2, known = ?3, kept = ?4, heard_ms = ?5, boot = ?6, said_seq = ?7,
                   state_ms = ?8, state = ?9, stopping_ms = ?10, point_ms = ?11, point_boot = ?12, point_seq = ?13,
                   point_start_ms = ?14 WHERE id = ?1";
        connection.prepare_cached(sql)?.execute(params![
            self.id,
            self.kind,
            self.known,
            self.kept,
            int(self.heard_ms),
            int(self.boot),
            int(self.said_seq),
            self.state.as_ref().map(|(at_ms, _)| int(*at_ms)),
            self.state.as_ref().map(|(_, text)| text),
            self.stopping_ms.map(int),
            self.point.map(|point| int(point.at_ms)),
            self.point.map(|point| int(point.boot)),
            self.point.map(|point| int(point.seq)),
            self.point.and_then(|point| point.start_ms),
        ])?;
        Ok(())
    }
}

impl LifeRow {
    /// Reads it with its holes, if it is there.
    pub(crate) fn load(connection: &Connection, worker: i64, boot: u64) -> rusqlite::Result<Option<Self>> {
        let sql = "SELECT upto, upto_ms, first_ms, taken, lost FROM life WHERE worker = ?1 AND boot = ?2";
        let read = |row: &rusqlite::Row<'_>| {
            let number = |column| row.get(column).map(uint);
            let (upto, upto_ms, first_ms, taken) = (number(0)?, number(1)?, number(2)?, number(3)?);
            let seen = Seen { upto, upto_ms, first_ms, taken, holes: Default::default() };
            Ok(Self { boot, seen, lost: number(4)? })
        };
        let life = connection.prepare_cached(sql)?.query_row((worker, int(boot)), read).optional()?;
        let Some(mut life) = life else { return Ok(None) };
        let holes = holes(connection, worker, boot, i64::MAX)?;
        life.seen.holes = holes.into_iter().map(|hole| (hole.first, hole)).collect();
        Ok(Some(life))
    }

    /// Writes it, without its holes.
    pub(crate) fn save(&self, connection: &Connection, worker: i64, heard_ms: u64) -> rusqlite::Result<()> {
        let sql =
            "INSERT INTO life VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO UPDATE SET upto = ?3,
                   upto_ms = ?4, first_ms = ?5, taken = ?6, lost = ?7, heard_ms = ?8";
        let Seen { upto, upto_ms, first_ms, taken, .. } = &self.seen;
        let [upto, upto_ms, first_ms, taken] = [upto, upto_ms, first_ms, taken].map(|number| int(*number));
        let rest = (int(self.lost), int(heard_ms));
        let values = params![worker, int(self.boot), upto, upto_ms, first_ms, taken, rest.0, rest.1];
        connection.prepare_cached(sql)?.execute(values).map(|_| ())
    }

    /// Writes how the holes changed.
    pub(crate) fn save_change(
        &self,
        connection: &Connection,
        worker: i64,
        change: &Change,
    ) -> rusqlite::Result<()> {
        if let Some(first) = change.closed {
            let sql = "DELETE FROM hole WHERE worker = ?1 AND boot = ?2 AND first = ?3";
            connection.prepare_cached(sql)?.execute((worker, int(self.boot), int(first)))?;
        }
        for hole in change.opened.iter().flatten() {
            let Missing { first, last, before_ms, after_ms } = *hole;
            let sql = "INSERT INTO hole VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
            let times = (before_ms.map(int), int(after_ms));
            let values = params![worker, int(self.boot), int(first), int(last), times.0, times.1];
            connection.prepare_cached(sql)?.execute(values)?;
        }
        Ok(())
    }
}

/// The first holes of a life.
pub(crate) fn holes(
    connection: &Connection,
    worker: i64,
    boot: u64,
    limit: i64,
) -> rusqlite::Result<Vec<Missing>> {
    let sql = "SELECT first, last, before_ms, after_ms FROM hole WHERE worker = ?1 AND boot = ?2 ORDER BY first LIMIT ?3";
    let read = |row: &rusqlite::Row<'_>| {
        let before_ms = row.get::<_, Option<i64>>(2)?.map(uint);
        let (first, last, after_ms) = (uint(row.get(0)?), uint(row.get(1)?), uint(row.get(3)?));
        Ok(Missing { first, last, before_ms, after_ms })
    };
    let mut statement = connection.prepare_cached(sql)?;
    statement.query_map((worker, int(boot), limit), read)?.collect()
}
