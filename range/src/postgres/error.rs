//! What can go wrong with the database.

use std::{error::Error, time::Duration};

use tokio_postgres::error::{DbError, SqlState};

/// Why the database is not used. The text names the place, the cause and the way out, and never the password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The URL cannot be used.
    #[error(
        "the URL of the database {reason}; expected postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full"
    )]
    Url {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The certificates to trust cannot be read.
    #[error(
        "{place}: no certificates to trust in {from} ({cause}); name a PEM file by sslrootcert in the database's URL"
    )]
    Certificates {
        /// Host, port and database.
        place: String,
        /// Where they should be.
        from: String,
        /// What was found.
        cause: String,
    },
    /// There is no connection.
    #[error(
        "{place}: no connection to the database ({cause}); see that it runs, and that its URL names host, port, user and password"
    )]
    Unreachable {
        /// Host, port and database.
        place: String,
        /// What the system, the driver or the server said.
        cause: String,
    },
    /// User or password are not accepted.
    #[error(
        "{place}: the database refuses the user ({cause}); compare user and password in its URL, and the server's pg_hba.conf"
    )]
    Denied {
        /// Host, port and database.
        place: String,
        /// What the server said.
        cause: String,
    },
    /// The server has no such database.
    #[error("{place}: {cause}; make it with `createdb`, or name another in the URL")]
    NoDatabase {
        /// Host, port and database.
        place: String,
        /// What the server said.
        cause: String,
    },
    /// There was no answer in time. If it was about to take a range, that is lost.
    #[error(
        "{place}: no answer from the database within {deadline:?}; see that it runs and is not overloaded, then try again"
    )]
    Timeout {
        /// Host, port and database.
        place: String,
        /// How long it was waited for.
        deadline: Duration,
    },
    /// The connection ended before the answer. If it was about to take a range, that is lost.
    #[error("{place}: the connection to the database broke ({cause}); try again")]
    Lost {
        /// Host, port and database.
        place: String,
        /// What the system, the driver or the server said.
        cause: String,
    },
    /// There is no range.
    #[error(
        "{place}: the database holds no range of customer IDs; make it with `switchboard range init --from A --to B`"
    )]
    Absent {
        /// Host, port and database.
        place: String,
    },
    /// There is one already, which is never replaced.
    #[error(
        "{place}: the database holds a range of customer IDs already, and it is never replaced: its IDs might be given twice"
    )]
    Exists {
        /// Host, port and database.
        place: String,
    },
    /// The range was changed by something else than a Switchboard.
    #[error(
        "{place}: table switchboard_range is damaged ({reason}); an older copy would give IDs twice: delete its row and make a new one above every ID given so far"
    )]
    Damaged {
        /// Host, port and database.
        place: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The database refuses what it was asked for. Nothing was taken.
    #[error(
        "{place}: the database refuses table switchboard_range ({cause}); see that the user may SELECT and UPDATE it, and for `range init` create it"
    )]
    Refused {
        /// Host, port and database.
        place: String,
        /// What the server said.
        cause: String,
    },
}

/// A [`StoreError`] that does not know yet where it happened.
#[derive(Debug)]
pub(super) enum Failure {
    Connect(tokio_postgres::Error),
    Work(tokio_postgres::Error),
    Timeout(Duration),
    Absent,
    Exists,
    Damaged,
    Unchanged,
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Work(error)
    }
}

impl Failure {
    pub(super) fn at(self, place: &str) -> StoreError {
        let place = place.to_owned();
        match self {
            Self::Connect(error) => connecting(place, &error),
            Self::Work(error) => working(place, &error),
            Self::Timeout(deadline) => StoreError::Timeout { place, deadline },
            Self::Absent => StoreError::Absent { place },
            Self::Exists => StoreError::Exists { place },
            Self::Damaged => StoreError::Damaged { place, reason: "its numbers are no range" },
            Self::Unchanged => StoreError::Damaged { place, reason: "its row is kept from being changed" },
        }
    }
}

fn connecting(place: String, error: &tokio_postgres::Error) -> StoreError {
    let cause = cause(error);
    match error.code() {
        Some(&SqlState::INVALID_PASSWORD | &SqlState::INVALID_AUTHORIZATION_SPECIFICATION) => {
            StoreError::Denied { place, cause }
        }
        Some(&SqlState::INVALID_CATALOG_NAME) => StoreError::NoDatabase { place, cause },
        _ => StoreError::Unreachable { place, cause },
    }
}

fn working(place: String, error: &tokio_postgres::Error) -> StoreError {
    let cause = cause(error);
    match error.code() {
        Some(&SqlState::UNDEFINED_TABLE) => StoreError::Absent { place },
        // 57: an operator stops the server or this connection. 25P03: the server did not hear from us.
        Some(code) if code.code().starts_with("57") => StoreError::Lost { place, cause },
        Some(&SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT) | None => StoreError::Lost { place, cause },
        Some(_) => StoreError::Refused { place, cause },
    }
}

/// What the server said, or else the driver's words with what lies beneath them.
fn cause(error: &tokio_postgres::Error) -> String {
    if let Some(said) = error.as_db_error() {
        return format!("{}, SQLSTATE {}", DbError::message(said), said.code().code());
    }
    let mut text = error.to_string();
    let mut beneath = error.source();
    while let Some(error) = beneath {
        text = format!("{text}: {error}");
        beneath = error.source();
    }
    text
}
