//! Incidents and their steps.

use rusqlite::{Connection, Row};

use crate::{
    error::JournalError,
    journal::Journal,
    kind::{int, uint},
    memory::json,
};

/// Most incidents that one query gives.
pub const INCIDENTS_MAX: usize = 500;
/// Most steps of an incident that are given: the first.
const STEPS_MAX: u32 = 10_000;

/// A step of an incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Which incident.
    pub incident: String,
    /// What kind it is of.
    pub kind: String,
    /// Where it is.
    pub server: String,
    /// When it began, ms since 1970.
    pub opened_ms: u64,
    /// When this step happened, ms since 1970.
    pub at_ms: u64,
    /// Whether the incident is open after it.
    pub open: bool,
    /// The number of the letter that tells of it, if one does.
    pub letter: Option<u32>,
    /// What happened, as JSON.
    pub event: String,
}

/// A letter that tells of a step, until it is in the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Its name, of which there is one.
    pub name: String,
    /// The sender's address.
    pub from: String,
    /// The readers' addresses.
    pub to: Vec<String>,
    /// The letter itself.
    pub message: Vec<u8>,
}

/// An incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncidentRow {
    /// Its name.
    pub id: String,
    /// What kind it is of.
    pub kind: String,
    /// Where it is.
    pub server: String,
    /// When it began, ms since 1970.
    pub opened_ms: u64,
    /// When its last step happened, ms since 1970: for one that is closed, when it ended.
    pub at_ms: u64,
    /// Whether it is open.
    pub open: bool,
    /// How many steps it has.
    pub steps: u64,
    /// The number of its last letter, if there is one.
    pub letter: Option<u32>,
    /// The event of its last step, as JSON.
    pub event: String,
}

/// The place of an incident in the list: open ones first, each part with the newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncidentPlace {
    /// Whether it is open.
    pub open: bool,
    /// When it began, ms since 1970.
    pub opened_ms: u64,
    /// Its name.
    pub id: String,
}

impl IncidentRow {
    /// Its place in the list.
    pub fn place(&self) -> IncidentPlace {
        IncidentPlace { open: self.open, opened_ms: self.opened_ms, id: self.id.clone() }
    }
}

impl Journal {
    /// Letters that were remembered and not yet posted.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn letters(&self) -> Result<Vec<Letter>, JournalError> {
        self.readers.read(letters).await
    }

    /// Incidents, open ones first, each part with the newest first: those after `before`, the last one of the page before. At most
    /// [`INCIDENTS_MAX`].
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn incidents(
        &self,
        before: Option<IncidentPlace>,
        limit: usize,
    ) -> Result<Vec<IncidentRow>, JournalError> {
        self.readers.read(move |connection| incidents(connection, before, limit)).await
    }

    /// The steps of an incident, the first ones first; none if it is not known.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn incident(&self, id: &str) -> Result<Vec<Step>, JournalError> {
        let id = id.to_owned();
        self.readers.read(move |connection| steps(connection, &id)).await
    }
}

fn letters(connection: &Connection) -> rusqlite::Result<Vec<Letter>> {
    let mut statement =
        connection.prepare_cached("SELECT name, sender, readers, message FROM letter ORDER BY name")?;
    let letter = |row: &Row<'_>| {
        Ok(Letter { name: row.get(0)?, from: row.get(1)?, to: json(row, 2)?, message: row.get(3)? })
    };
    statement.query_map([], letter)?.collect()
}

fn incidents(
    connection: &Connection,
    before: Option<IncidentPlace>,
    limit: usize,
) -> rusqlite::Result<Vec<IncidentRow>> {
    // No incident is "more open" than 2.
    let (open, opened_ms, id) =
        before.map_or((2, 0, String::new()), |place| (i64::from(place.open), int(place.opened_ms), place.id));
    let sql = "SELECT id, kind, server, opened_ms, at_ms, open, steps, letter, event
               FROM incident INDEXED BY incident_order WHERE (open, opened_ms, id) < (?1, ?2, ?3)
               ORDER BY open DESC, opened_ms DESC, id DESC LIMIT ?4";
    let read = |row: &Row<'_>| {
        Ok(IncidentRow {
            id: row.get(0)?,
            kind: row.get(1)?,
            server: row.get(2)?,
            opened_ms: uint(row.get(3)?),
            at_ms: uint(row.get(4)?),
            open: row.get(5)?,
            steps: uint(row.get(6)?),
            letter: row.get(7)?,
            event: row.get(8)?,
        })
    };
    let mut statement = connection.prepare_cached(sql)?;
    statement.query_map((open, opened_ms, id, limit.min(INCIDENTS_MAX) as i64), read)?.collect()
}

fn steps(connection: &Connection, id: &str) -> rusqlite::Result<Vec<Step>> {
    let sql = "SELECT incident, kind, server, opened_ms, step.at_ms, step.open, step.letter, step.event
               FROM step INDEXED BY step_incident CROSS JOIN incident ON incident.id = step.incident
               WHERE incident = ?1 ORDER BY step.id LIMIT ?2";
    let read = |row: &Row<'_>| {
        Ok(Step {
            incident: row.get(0)?,
            kind: row.get(1)?,
            server: row.get(2)?,
            opened_ms: uint(row.get(3)?),
            at_ms: uint(row.get(4)?),
            open: row.get(5)?,
            letter: row.get(6)?,
            event: row.get(7)?,
        })
    };
    let mut statement = connection.prepare_cached(sql)?;
    statement.query_map((id, STEPS_MAX), read)?.collect()
}
