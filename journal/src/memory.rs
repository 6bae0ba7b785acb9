//! What the journal knows of the workers when it is opened.

use rusqlite::{Connection, OptionalExtension, Row, types::Type};
use switchboard_fleet::report::{WorkerKind, WorkerState};

use crate::{
    arrival::Standing,
    kind::{self, uint},
};

/// What was known when the journal was last written.
#[derive(Debug, Clone, PartialEq)]
pub struct Memory {
    /// All workers, by their names.
    pub workers: Vec<Remembered>,
    /// The state of the alerts, as it was given to be remembered.
    pub alerts: Option<String>,
    /// When the monitor was last alive, ms since 1970; `None` if the journal is new.
    pub was_alive_ms: Option<u64>,
}

/// A worker that has reported.
#[derive(Debug, Clone, PartialEq)]
pub struct Remembered {
    /// Its name.
    pub name: String,
    /// What it last said it is.
    pub kind: WorkerKind,
    /// Whether it was in the configuration when it last reported.
    pub standing: Standing,
    /// Its newest life: when that began, ms since 1970.
    pub boot: u64,
    /// When it last told its state in this life, ms since 1970, and that state.
    pub state: Option<(u64, WorkerState)>,
    /// When a report of it last came in, by this machine's clock, ms since 1970.
    pub heard_ms: u64,
    /// When it said that it stops, if that was the last it said of itself in this life.
    pub stopping_ms: Option<u64>,
    /// Its last panic, of any life: when (ms since 1970), what it said, and where.
    pub panic: Option<(u64, String, String)>,
    /// Reports taken, over the lives that are kept.
    pub taken: u64,
    /// Reports missing, over the lives that are kept.
    pub missing: u64,
}

/// Reads it all.
pub(crate) fn read(connection: &Connection) -> rusqlite::Result<Memory> {
    let mut statement = connection.prepare(
        "SELECT name, kind, known, boot, state_ms, state, heard_ms, stopping_ms, panic_ms, panic_message,
                panic_place, coalesce(taken, 0), coalesce(missing, 0)
         FROM worker LEFT JOIN (SELECT worker, CAST(total(taken) AS INTEGER) AS taken, CAST(total(upto - taken) AS INTEGER) AS missing
                                FROM life GROUP BY worker) ON worker = id
         ORDER BY name",
    )?;
    let workers = statement.query_map([], remembered)?.collect::<rusqlite::Result<_>>()?;
    let alerts = fact(connection, "alerts")?;
    let was_alive_ms = fact(connection, "alive_ms")?.map(uint);
    Ok(Memory { workers, alerts, was_alive_ms })
}

/// A single fact, if it is there.
pub(crate) fn fact<T: rusqlite::types::FromSql>(
    connection: &Connection,
    name: &str,
) -> rusqlite::Result<Option<T>> {
    connection
        .prepare_cached("SELECT value FROM fact WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()
}

/// Puts a single fact there.
pub(crate) fn set_fact(
    connection: &Connection,
    name: &str,
    value: impl rusqlite::ToSql,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO fact VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = excluded.value";
    connection.prepare_cached(sql)?.execute((name, value)).map(|_| ())
}

fn remembered(row: &Row<'_>) -> rusqlite::Result<Remembered> {
    let state_ms: Option<i64> = row.get(4)?;
    let panic_ms: Option<i64> = row.get(8)?;
    Ok(Remembered {
        name: row.get(0)?,
        kind: kind::from_str(&row.get::<_, String>(1)?).ok_or_else(|| unreadable(1, "no kind of worker"))?,
        standing: if row.get(2)? { Standing::Known } else { Standing::Unknown },
        boot: uint(row.get(3)?),
        state: state_ms.map(|at_ms| Ok::<_, rusqlite::Error>((uint(at_ms), json(row, 5)?))).transpose()?,
        heard_ms: uint(row.get(6)?),
        stopping_ms: row.get::<_, Option<i64>>(7)?.map(uint),
        panic: panic_ms
            .map(|at_ms| Ok::<_, rusqlite::Error>((uint(at_ms), row.get(9)?, row.get(10)?)))
            .transpose()?,
        taken: uint(row.get(11)?),
        missing: uint(row.get(12)?),
    })
}

/// A column that holds JSON.
pub(crate) fn json<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text = row.get_ref(column)?.as_str()?;
    serde_json::from_str(text).map_err(|error| unreadable(column, &error.to_string()))
}

/// An error about a column in which is what was never put there.
pub(crate) fn unreadable(column: usize, why: &str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, why.into())
}
