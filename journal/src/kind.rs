//! Kinds and levels as they stand in the database.

use switchboard_fleet::report::{Level, WorkerKind};

/// A kind in one word.
pub(crate) fn as_str(kind: WorkerKind) -> &'static str {
    match kind {
        WorkerKind::Instance => "instance",
        WorkerKind::Front => "front",
        WorkerKind::Controller => "controller",
        WorkerKind::Monitor => "monitor",
        WorkerKind::Program => "program",
    }
}

/// The kind of that word.
pub(crate) fn from_str(word: &str) -> Option<WorkerKind> {
    use WorkerKind::{Controller, Front, Instance, Monitor, Program};
    [Instance, Front, Controller, Monitor, Program].into_iter().find(|kind| as_str(*kind) == word)
}

/// The level of a number.
pub(crate) fn level(number: i64) -> Option<Level> {
    use Level::{Error, Info, Success, Warning};
    [Info, Success, Warning, Error].into_iter().find(|level| *level as i64 == number)
}

/// A number as the database holds it.
pub(crate) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number from the database, where only such are put.
pub(crate) fn uint(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
