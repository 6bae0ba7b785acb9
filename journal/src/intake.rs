//! Batches into tables.

use std::collections::HashMap;

use rusqlite::{Connection, params};

use crate::{
    UNKNOWN_LINES, UNKNOWN_MAX, WORKERS_MAX,
    arrival::{EntryKind, Item, Outcome, Prepared, Standing, Thing},
    error::TakeError,
    gap::Point,
    kind::{int, uint},
    rows::{LifeRow, WorkerRow, start_ms},
    seen::HOLES_MAX,
    spans::Spans,
};

/// Lives kept of a worker in the configuration; the oldest goes when there is one more.
pub(crate) const LIVES_MAX: i64 = 10_000;
/// Lives kept of another worker.
const UNKNOWN_LIVES_MAX: i64 = 100;
/// When so many holes may be in memory, all workers are read anew.
const HOLES_AT_HAND: usize = 1_000_000;

/// Takes batches, with the workers that it has met at hand.
#[derive(Debug, Default)]
pub(crate) struct Intake {
    workers: HashMap<String, WorkerRow>,
    /// At least as many holes as the workers at hand have.
    holes: usize,
    pub(crate) spans: Spans,
}

impl Intake {
    /// Forgets what is at hand: it may not be what is in the tables.
    pub(crate) fn clear(&mut self) {
        self.workers.clear();
        self.holes = 0;
    }

    /// Forgets one worker.
    pub(crate) fn drop_worker(&mut self, name: &str) {
        self.workers.remove(name);
    }

    /// Takes a batch. What is refused has changed nothing.
    ///
    /// # Errors
    /// The database failed: the transaction is to be undone, and then [`Intake::clear`] is to be called.
    pub(crate) fn take(
        &mut self,
        connection: &Connection,
        batch: &Prepared,
    ) -> rusqlite::Result<Result<Outcome, TakeError>> {
        if !self.workers.contains_key(&batch.worker) {
            let worker = match WorkerRow::load(connection, &batch.worker)? {
                Some(worker) => worker,
                None => match room_for_one(connection, batch.standing)? {
                    Ok(()) => WorkerRow::create(connection, batch)?,
                    Err(refused) => return Ok(Err(refused)),
                },
            };
            self.workers.insert(batch.worker.clone(), worker);
        }
        let Some(worker) = self.workers.get_mut(&batch.worker) else { return Ok(Err(TakeError::Busy)) };
        let outcome = take(connection, worker, &self.spans, batch)?;
        self.holes += worker.life.as_ref().map_or(0, |life| life.seen.holes.len());
        if self.holes > HOLES_AT_HAND {
            self.clear();
        }
        Ok(outcome)
    }
}

/// Whether one more worker can be remembered.
fn room_for_one(connection: &Connection, standing: Standing) -> rusqlite::Result<Result<(), TakeError>> {
    let count = |sql| connection.prepare_cached(sql)?.query_row([], |row| row.get::<_, u32>(0));
    if count("SELECT count(*) FROM worker")? >= WORKERS_MAX {
        return Ok(Err(TakeError::TooManyWorkers));
    }
    if standing == Standing::Unknown
        && count("SELECT count(*) FROM worker INDEXED BY worker_unknown WHERE kept IS NULL")? >= UNKNOWN_MAX
    {
        return Ok(Err(TakeError::TooManyUnknown));
    }
    Ok(Ok(()))
}

fn take(
    connection: &Connection,
    worker: &mut WorkerRow,
    spans: &Spans,
    batch: &Prepared,
) -> rusqlite::Result<Result<Outcome, TakeError>> {
    let mut life = match worker.life.take().filter(|life| life.boot == batch.boot) {
        Some(life) => life,
        None => match life(connection, worker, batch)? {
            Ok(life) => life,
            Err(refused) => return Ok(Err(refused)),
        },
    };
    let numbers: Vec<u64> = batch.items.iter().map(|item| item.seq).collect();
    if !life.seen.has_room_for(&numbers) {
        worker.life = Some(life);
        let why = format!("seq: more than {HOLES_MAX} gaps in the numbers of one life");
        return Ok(Err(TakeError::Invalid(why)));
    }
    greet(connection, worker, batch)?;
    // All numbers first: a gap in the samples is judged by what is missing after the whole batch.
    let missing_before = life.seen.missing();
    let mut fresh = Vec::with_capacity(batch.items.len());
    for item in &batch.items {
        if let Some(change) = life.seen.insert(item.seq, item.at_ms) {
            life.save_change(connection, worker.id, &change)?;
            fresh.push(item);
        }
    }
    store(connection, worker, &mut life, spans, batch, &fresh)?;
    if !fresh.is_empty() {
        life.save(connection, worker.id, batch.heard_ms)?;
    }
    worker.save(connection)?;
    let missing_change = life.seen.missing().cast_signed() - missing_before.cast_signed();
    let fresh = fresh.iter().map(|item| item.index).collect();
    let outcome = Outcome { taken: life.seen.taken(), fresh, missing_change };
    worker.life = Some(life);
    Ok(Ok(outcome))
}

/// The life that a batch is of. A new one may take the place of the oldest.
fn life(
    connection: &Connection,
    worker: &WorkerRow,
    batch: &Prepared,
) -> rusqlite::Result<Result<LifeRow, TakeError>> {
    if let Some(life) = LifeRow::load(connection, worker.id, batch.boot)? {
        return Ok(Ok(life));
    }
    let max = if batch.standing == Standing::Known { LIVES_MAX } else { UNKNOWN_LIVES_MAX };
    let sql = "SELECT count(*), coalesce(min(boot), 0) FROM life WHERE worker = ?1";
    let (count, oldest): (i64, i64) =
        connection.prepare_cached(sql)?.query_row([worker.id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if count >= max {
        if batch.boot < uint(oldest) {
            let why = format!("boot: the {max} newest lives are remembered, and {} is older", batch.boot);
            return Ok(Err(TakeError::Invalid(why)));
        }
        for table in ["hole", "life"] {
            let sql = format!("DELETE FROM {table} WHERE worker = ?1 AND boot = ?2");
            connection.prepare_cached(&sql)?.execute((worker.id, oldest))?;
        }
    }
    Ok(Ok(LifeRow { boot: batch.boot, seen: Default::default(), lost: 0 }))
}

/// Notes who it is that reports, and how it stands.
fn greet(connection: &Connection, worker: &mut WorkerRow, batch: &Prepared) -> rusqlite::Result<()> {
    let known = batch.standing == Standing::Known;
    if worker.known && !known {
        let sql = "SELECT coalesce(max(id), 0) FROM entry";
        worker.kept = Some(connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?);
        worker.lines = None;
    } else if known && worker.kept.is_none() {
        worker.kept = Some(0);
    }
    worker.known = known;
    worker.heard_ms = batch.heard_ms;
    // One impossible boot must not make all lives after it look old.
    if batch.boot > worker.boot || (batch.boot != worker.boot && batch.is_beyond(worker.boot)) {
        worker.boot = batch.boot;
        worker.said_seq = 0;
        (worker.state, worker.stopping_ms, worker.start_ms) = (None, None, None);
    }
    if batch.boot == worker.boot && worker.kind != batch.kind {
        worker.kind = batch.kind.into();
    }
    Ok(())
}

/// Writes what the fresh reports tell.
fn store(
    connection: &Connection,
    worker: &mut WorkerRow,
    life: &mut LifeRow,
    spans: &Spans,
    batch: &Prepared,
    fresh: &[&Item],
) -> rusqlite::Result<()> {
    let newest = batch.boot == worker.boot;
    // When the worker started, as told last before the report at hand.
    let follows = newest && fresh.first().is_some_and(|item| worker.said_seq < item.seq);
    let mut start = worker.start_ms.filter(|_| follows);
    let mut entries = 0;
    for item in fresh {
        let says = newest && item.seq > worker.said_seq;
        match &item.thing {
            Thing::State { text, uptime_s, lost } => {
                life.lost = life.lost.max(*lost);
                start = Some(start_ms(item.at_ms, *uptime_s));
                if says {
                    (worker.state, worker.start_ms) = (Some((item.at_ms, text.clone())), start);
                    (worker.said_seq, worker.stopping_ms) = (item.seq, None);
                }
            }
            Thing::Sample(text) if worker.known => {
                let sql = "INSERT INTO sample (worker, at_ms, sample) VALUES (?1, ?2, ?3)";
                connection.prepare_cached(sql)?.execute((worker.id, int(item.at_ms), text))?;
                let point = Point { at_ms: item.at_ms, boot: batch.boot, seq: item.seq, start_ms: start };
                spans.place(connection, worker, point, batch.heard_ms)?;
            }
            Thing::Sample(_) => {}
            Thing::Entry(entry) => {
                add_entry(connection, worker, batch, item)?;
                entries += 1;
                let stopping_ms = (entry.kind == EntryKind::Stopping).then_some(item.at_ms);
                if says && (stopping_ms.is_some() || entry.kind == EntryKind::Started) {
                    (worker.said_seq, worker.stopping_ms) = (item.seq, stopping_ms);
                }
            }
        }
    }
    if entries > 0 && !worker.known { trim(connection, worker, entries) } else { Ok(()) }
}

fn add_entry(
    connection: &Connection,
    worker: &mut WorkerRow,
    batch: &Prepared,
    item: &Item,
) -> rusqlite::Result<()> {
    let Thing::Entry(entry) = &item.thing else { return Ok(()) };
    let (boot, seq, at_ms) = (int(batch.boot), int(item.seq), int(item.at_ms));
    let sql = "INSERT INTO entry (worker, boot, seq, heard_ms, at_ms, what, level, message, extra)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    let (what, heard_ms) = (entry.kind as i64, int(batch.heard_ms));
    let values =
        params![worker.id, boot, seq, heard_ms, at_ms, what, entry.level, entry.message, entry.extra];
    connection.prepare_cached(sql)?.execute(values)?;
    if entry.kind == EntryKind::Panic && worker.panic < Some((batch.boot, item.seq)) {
        worker.panic = Some((batch.boot, item.seq));
        let sql = "UPDATE worker SET panic_boot = ?2, panic_seq = ?3, panic_ms = ?4, panic_message = ?5,
                   panic_place = ?6 WHERE id = ?1";
        let values = params![worker.id, boot, seq, at_ms, entry.message, entry.extra];
        connection.prepare_cached(sql)?.execute(values)?;
    }
    Ok(())
}

/// Keeps the newest entries of an unknown worker only.
fn trim(connection: &Connection, worker: &mut WorkerRow, added: u32) -> rusqlite::Result<()> {
    let kept = worker.kept.unwrap_or(0);
    let lines = match worker.lines {
        Some(lines) => lines + added,
        None => {
            let sql = "SELECT count(*) FROM entry INDEXED BY entry_worker WHERE worker = ?1 AND id > ?2";
            connection.prepare_cached(sql)?.query_row((worker.id, kept), |row| row.get(0))?
        }
    };
    let over = lines.saturating_sub(UNKNOWN_LINES);
    if over > 0 {
        let sql = "DELETE FROM entry WHERE id IN (SELECT id FROM entry INDEXED BY entry_worker
                   WHERE worker = ?1 AND id > ?2 ORDER BY at_ms, id LIMIT ?3)";
        connection.prepare_cached(sql)?.execute((worker.id, kept, over))?;
    }
    worker.lines = Some(lines - over);
    Ok(())
}
