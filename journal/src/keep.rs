//! What is kept, for how long, and what goes.

use rusqlite::{Connection, params};

use crate::{
    UNKNOWN_KEPT_MS,
    incidents::{Letter, Step},
    kind::int,
    memory::{fact, set_fact},
};

/// Samples that are in the archives are kept for so many ms more, as archives are not synced to the disk.
const FILED_MS: u64 = 10 * 60_000;
/// Rows that one transaction takes away of each kind, so that no batch waits long.
const SLICE: i64 = 1000;

/// Notes that samples of a worker are in the archives.
pub(crate) fn file(
    connection: &Connection,
    worker: &str,
    at_ms: &[u64],
    now_ms: u64,
) -> rusqlite::Result<u64> {
    let sql = "UPDATE sample INDEXED BY sample_worker SET filed_ms = ?3
               WHERE worker = (SELECT id FROM worker WHERE name = ?1) AND at_ms = ?2 AND filed_ms IS NULL";
    let mut statement = connection.prepare_cached(sql)?;
    let mut count = 0;
    for at_ms in at_ms {
        count += statement.execute((worker, int(*at_ms), int(now_ms)))?;
    }
    Ok(count as u64)
}

/// Takes away samples that were in the archives for long enough.
pub(crate) fn drop_filed(connection: &Connection, now_ms: u64) -> rusqlite::Result<usize> {
    let sql = "DELETE FROM sample WHERE id IN (SELECT id FROM sample INDEXED BY sample_filed
               WHERE filed_ms IS NOT NULL AND filed_ms < ?1 LIMIT ?2)";
    connection.prepare_cached(sql)?.execute((int(now_ms.saturating_sub(FILED_MS)), SLICE))
}

/// If the machine was started anew since the last call, samples that were in the archives count as not there. How many.
pub(crate) fn regive(connection: &Connection, machine: Option<&str>) -> rusqlite::Result<u64> {
    let before: Option<String> = fact(connection, "machine")?;
    if let Some(machine) = machine {
        set_fact(connection, "machine", machine)?;
        if before.is_none() || before.as_deref() == Some(machine) {
            return Ok(0);
        }
    }
    // Whoever cannot tell gives them again: that does no harm.
    let count = connection.execute("UPDATE sample SET filed_ms = NULL WHERE filed_ms IS NOT NULL", [])?;
    Ok(count as u64)
}

/// Stores the state of the alerts together with what it led to.
pub(crate) fn remember(
    connection: &Connection,
    alerts: &str,
    steps: &[Step],
    letters: &[Letter],
) -> rusqlite::Result<()> {
    set_fact(connection, "alerts", alerts)?;
    for Letter { name, from, to, message } in letters {
        let readers = serde_json::Value::from(to.clone()).to_string();
        let sql = "INSERT OR REPLACE INTO letter VALUES (?1, ?2, ?3, ?4)";
        connection.prepare_cached(sql)?.execute(params![name, from, readers, message])?;
    }
    for step in steps {
        let Step { incident, kind, server, opened_ms, at_ms, open, letter, event } = step;
        let (opened_ms, at_ms) = (int(*opened_ms), int(*at_ms));
        let sql = "INSERT INTO incident VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1, ?7, ?8) ON CONFLICT DO UPDATE SET
                   kind = ?2, server = ?3, opened_ms = ?4, at_ms = ?5, open = ?6, steps = steps + 1,
                   letter = coalesce(?7, letter), event = ?8";
        let values = params![incident, kind, server, opened_ms, at_ms, open, letter, event];
        connection.prepare_cached(sql)?.execute(values)?;
        let sql = "INSERT INTO step (incident, at_ms, open, letter, event) VALUES (?1, ?2, ?3, ?4, ?5)";
        connection.prepare_cached(sql)?.execute((incident, at_ms, open, letter, event))?;
    }
    Ok(())
}

/// A letter is in the outbox.
pub(crate) fn posted(connection: &Connection, name: &str) -> rusqlite::Result<u64> {
    Ok(connection.prepare_cached("DELETE FROM letter WHERE name = ?1")?.execute([name])? as u64)
}

/// Forgets a worker: 1 if it was there. What it told goes slice by slice ([`prune`]).
pub(crate) fn forget(connection: &Connection, worker: &str) -> rusqlite::Result<u64> {
    let sql = "INSERT INTO gone SELECT id FROM worker WHERE name = ?1";
    connection.prepare_cached(sql)?.execute([worker])?;
    let sql = "DELETE FROM worker WHERE name = ?1";
    Ok(connection.prepare_cached(sql)?.execute([worker])? as u64)
}

/// Unknown workers that were not heard for long, to be forgotten.
pub(crate) fn silent_unknown(connection: &Connection, now_ms: u64) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT name FROM worker INDEXED BY worker_unknown WHERE kept IS NULL AND heard_ms < ?1";
    let horizon = int(now_ms.saturating_sub(UNKNOWN_KEPT_MS));
    let mut statement = connection.prepare_cached(sql)?;
    statement.query_map([horizon], |row| row.get(0))?.collect()
}

/// Takes one slice away of what came before `horizon_ms` and of workers that are gone. Whether there may be more.
pub(crate) fn prune(connection: &Connection, horizon_ms: Option<u64>) -> rusqlite::Result<bool> {
    let mut more = prune_gone(connection)?;
    let Some(horizon) = horizon_ms.map(int) else { return Ok(more) };
    // In the order in which they came, so that one with a wrong time of its own goes when its turn comes.
    for sql in [
        "DELETE FROM entry WHERE id IN (SELECT id FROM (SELECT id, heard_ms FROM entry ORDER BY id LIMIT ?2)
         WHERE heard_ms < ?1)",
        "DELETE FROM gap WHERE (worker, from_ms) IN (SELECT worker, from_ms FROM gap WHERE to_ms < ?1 LIMIT ?2)",
        // An archive that has refused it since has no place for it any more.
        "DELETE FROM sample WHERE id IN (SELECT id FROM sample INDEXED BY sample_unfiled
         WHERE filed_ms IS NULL AND at_ms < ?1 LIMIT ?2)",
        "DELETE FROM away WHERE from_ms IN (SELECT from_ms FROM away WHERE to_ms < ?1 LIMIT ?2)",
    ] {
        more |= connection.prepare_cached(sql)?.execute((horizon, SLICE))? > 0;
    }
    more |= prune_incidents(connection, horizon)?;
    Ok(more | prune_lives(connection, horizon)?)
}

/// Incidents that are closed.
fn prune_incidents(connection: &Connection, horizon: i64) -> rusqlite::Result<bool> {
    let sql = "SELECT id FROM incident INDEXED BY incident_order WHERE open = 0 AND at_ms < ?1 LIMIT ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let over: Vec<String> =
        statement.query_map((horizon, SLICE / 10), |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    for incident in &over {
        connection.prepare_cached("DELETE FROM step WHERE incident = ?1")?.execute([incident])?;
        connection.prepare_cached("DELETE FROM incident WHERE id = ?1")?.execute([incident])?;
    }
    Ok(!over.is_empty())
}

/// Lives that are over and were not heard of since.
fn prune_lives(connection: &Connection, horizon: i64) -> rusqlite::Result<bool> {
    let sql = "SELECT life.worker, life.boot FROM life JOIN worker ON worker.id = life.worker
               WHERE life.boot < worker.boot AND life.heard_ms < ?1 LIMIT ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let over: Vec<(i64, i64)> = statement
        .query_map((horizon, SLICE / 10), |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for life in &over {
        connection.prepare_cached("DELETE FROM hole WHERE worker = ?1 AND boot = ?2")?.execute(*life)?;
        connection.prepare_cached("DELETE FROM life WHERE worker = ?1 AND boot = ?2")?.execute(*life)?;
    }
    Ok(!over.is_empty())
}

/// A slice of one worker that is gone.
fn prune_gone(connection: &Connection) -> rusqlite::Result<bool> {
    let sql = "SELECT min(worker) FROM gone";
    let gone: Option<i64> = connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
    let Some(gone) = gone else { return Ok(false) };
    let mut count = 0;
    for sql in [
        "DELETE FROM entry WHERE id IN (SELECT id FROM entry INDEXED BY entry_worker WHERE worker = ?1 LIMIT ?2)",
        "DELETE FROM sample WHERE id IN (SELECT id FROM sample INDEXED BY sample_worker WHERE worker = ?1 LIMIT ?2)",
        "DELETE FROM gap WHERE (worker, from_ms) IN (SELECT worker, from_ms FROM gap WHERE worker = ?1 LIMIT ?2)",
        "DELETE FROM hole WHERE (worker, boot, first) IN
         (SELECT worker, boot, first FROM hole WHERE worker = ?1 LIMIT ?2)",
        "DELETE FROM life WHERE (worker, boot) IN (SELECT worker, boot FROM life WHERE worker = ?1 LIMIT ?2)",
    ] {
        count += connection.prepare_cached(sql)?.execute((gone, SLICE))?;
    }
    if count == 0 {
        connection.prepare_cached("DELETE FROM gone WHERE worker = ?1")?.execute([gone])?;
    }
    Ok(true)
}
