//! The layout of the database.
//!
//! Times are ms since 1970 by the clock of whoever told; `heard_ms` and `filed_ms` are by ours. What cannot be an integer of the
//! database (above 2^63) is the greatest that can.

/// Marks the file as ours: "SwJo".
pub(crate) const APPLICATION: i64 = 0x5377_4a6f;

/// Each brings a database from the layout of its index to the next.
pub(crate) const MIGRATIONS: &[&str] = &[FIRST];

const FIRST: &str = "
-- Single facts: 'alive_ms', 'machine' (the boot of the machine), 'alerts'.
CREATE TABLE fact (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;

-- When the monitor was not there.
CREATE TABLE away (from_ms INTEGER PRIMARY KEY, to_ms INTEGER NOT NULL);

-- Numbers of workers are never used again: rows of one that is gone may still be there for a while.
CREATE TABLE worker (
  id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,
  known INTEGER NOT NULL,           -- whether it is in the configuration
  kept INTEGER,                     -- greatest entry at the time when it was last known; NULL if it never was
  heard_ms INTEGER NOT NULL, boot INTEGER NOT NULL,
  -- Of this boot, the newest word on how it is: its number, the state, when it said that it stops.
  said_seq INTEGER NOT NULL, state_ms INTEGER, state TEXT, stopping_ms INTEGER,
  panic_boot INTEGER, panic_seq INTEGER, panic_ms INTEGER, panic_message TEXT, panic_place TEXT,
  -- Its newest sample.
  point_ms INTEGER, point_boot INTEGER, point_seq INTEGER, point_start_ms INTEGER);
CREATE INDEX worker_unknown ON worker (kept) WHERE kept IS NULL;
CREATE TABLE gone (worker INTEGER PRIMARY KEY);

-- Numbers taken in one life of a worker: all up to upto, except holes.
CREATE TABLE life (
  worker INTEGER, boot INTEGER, upto INTEGER NOT NULL, upto_ms INTEGER NOT NULL, first_ms INTEGER NOT NULL,
  taken INTEGER NOT NULL, lost INTEGER NOT NULL, heard_ms INTEGER NOT NULL,
  PRIMARY KEY (worker, boot)) WITHOUT ROWID;
CREATE TABLE hole (
  worker INTEGER, boot INTEGER, first INTEGER, last INTEGER NOT NULL, before_ms INTEGER, after_ms INTEGER NOT NULL,
  PRIMARY KEY (worker, boot, first)) WITHOUT ROWID;

-- Log lines (what 0), panics (1), starts (2), stops (3). extra: the data of a line, the place of a panic.
CREATE TABLE entry (
  id INTEGER PRIMARY KEY AUTOINCREMENT, worker INTEGER NOT NULL, boot INTEGER NOT NULL, seq INTEGER NOT NULL,
  heard_ms INTEGER NOT NULL, at_ms INTEGER NOT NULL, what INTEGER NOT NULL, level INTEGER NOT NULL,
  message TEXT NOT NULL, extra TEXT);
CREATE INDEX entry_time ON entry (at_ms);
CREATE INDEX entry_worker ON entry (worker, at_ms);
CREATE INDEX entry_loud ON entry (at_ms) WHERE level >= 2;
CREATE INDEX entry_worker_loud ON entry (worker, at_ms) WHERE level >= 2;
CREATE INDEX entry_mark ON entry (worker, at_ms) WHERE what >= 2;

CREATE TABLE sample (
  id INTEGER PRIMARY KEY AUTOINCREMENT, worker INTEGER NOT NULL, at_ms INTEGER NOT NULL, sample TEXT NOT NULL,
  filed_ms INTEGER);
CREATE INDEX sample_worker ON sample (worker, at_ms);
CREATE INDEX sample_unfiled ON sample (at_ms) WHERE filed_ms IS NULL;
CREATE INDEX sample_filed ON sample (filed_ms) WHERE filed_ms IS NOT NULL;

-- No samples between two that are there, and a reason is known; with both samples, so that a late one can go between.
CREATE TABLE gap (
  worker INTEGER, from_ms INTEGER, from_boot INTEGER NOT NULL, from_seq INTEGER NOT NULL, from_start_ms INTEGER,
  to_ms INTEGER NOT NULL, to_boot INTEGER NOT NULL, to_seq INTEGER NOT NULL, to_start_ms INTEGER, why INTEGER NOT NULL,
  PRIMARY KEY (worker, from_ms)) WITHOUT ROWID;

CREATE TABLE incident (
  id TEXT PRIMARY KEY, kind TEXT NOT NULL, server TEXT NOT NULL, opened_ms INTEGER NOT NULL, at_ms INTEGER NOT NULL,
  open INTEGER NOT NULL, steps INTEGER NOT NULL, letter INTEGER, event TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX incident_order ON incident (open, opened_ms, id);
CREATE TABLE step (
  id INTEGER PRIMARY KEY AUTOINCREMENT, incident TEXT NOT NULL, at_ms INTEGER NOT NULL, open INTEGER NOT NULL,
  letter INTEGER, event TEXT NOT NULL);
CREATE INDEX step_incident ON step (incident);
-- Letters of these steps that are not in the outbox yet. readers: a JSON array.
CREATE TABLE letter (name TEXT PRIMARY KEY, sender TEXT NOT NULL, readers TEXT NOT NULL, message BLOB NOT NULL) WITHOUT ROWID;
";
