//! Another home for the fleet's whole range: a row in PostgreSQL, from which every instance takes for itself, so that
//! nothing waits for a master.
//!
//! A range counts as taken once its transaction is committed, and is given only then. Whatever goes wrong before its
//! commit is known is an error, and the range, if it was taken after all, a gap. What the database forgets would be given
//! twice: it must not be restored from an older copy, and a standby that takes over must have every commit
//! (`synchronous_standby_names`).
//!
//! Each operation has a connection of its own, which ends with it. Ranges are taken some times an hour, and the
//! connections kept by a whole fleet would be more than PostgreSQL allows by default. So there is also nothing to find
//! broken later, and no task: the connection moves on while its operation is awaited.

mod address;
mod error;
mod row;

use std::{fmt, pin::pin, time::Duration};

use tokio::time::{Instant, timeout_at};
use tokio_postgres::{Client, types::Type};

use self::{
    address::Address,
    error::Failure,
    row::{READ, Row},
};
use crate::rules::IdRange;

pub use error::StoreError;

/// The numbers are those of [`CustomerId`](switchboard_fleet::CustomerId), for which a `bigint` is too small. The key lets
/// there be one row.
const CREATE: &str = "CREATE TABLE IF NOT EXISTS switchboard_range (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    first_id numeric(20, 0) NOT NULL CHECK (first_id BETWEEN 1 AND 18446744073709551615),
    last_id numeric(20, 0) NOT NULL CHECK (last_id BETWEEN first_id AND 18446744073709551615),
    ids_left numeric(20, 0) NOT NULL CHECK (ids_left BETWEEN 0 AND last_id - first_id + 1),
    generation numeric(20, 0) NOT NULL CHECK (generation BETWEEN 1 AND 18446744073709551615)
)";
/// Held while the table is made: `IF NOT EXISTS` alone lets two at once fail in odd ways. The number is arbitrary, and the
/// same in every version.
const LOCK: &str = "SELECT pg_advisory_xact_lock(7387258100121)";
const INSERT: &str = "INSERT INTO switchboard_range (first_id, last_id, ids_left, generation)
    VALUES ($1::numeric, $2::numeric, $3::numeric, 1) ON CONFLICT DO NOTHING";
const UPDATE: &str = "UPDATE switchboard_range SET ids_left = $1::numeric, generation = $2::numeric
    WHERE generation = $3::numeric";

/// The fleet's range in a PostgreSQL database.
pub struct PgStore {
    address: Address,
    deadline: Duration,
}

/// What the database holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreState {
    /// The fleet's whole range.
    pub whole: IdRange,
    /// How many IDs, the highest ones, are not taken yet.
    pub left: u64,
    /// 1 at first, and one more with each range taken.
    pub generation: u64,
}

impl PgStore {
    /// A store at `url`: `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, with options after a `?`. No connection is made
    /// before it is needed. No operation takes longer than `deadline`.
    ///
    /// `sslmode` is `verify-full` (`require` means the same) or `disable`; if it is absent, only a server on this machine is
    /// spoken to without TLS. `sslrootcert` names a PEM file of the certificates to trust instead of the system's. The
    /// others are those of [`tokio_postgres::Config`]. Of several hosts the first that allows writing is used.
    ///
    /// # Errors
    /// [`StoreError::Url`] or [`StoreError::Certificates`].
    pub fn new(url: &str, deadline: Duration) -> Result<Self, StoreError> {
        Ok(Self { address: address::parse(url, deadline)?, deadline })
    }

    /// Makes the table, if there is none, and puts the fleet's whole range in it. This takes the right to create tables;
    /// all else takes `SELECT` and `UPDATE` only.
    ///
    /// # Errors
    /// [`StoreError::Exists`] if there is a range, whatever is left of it: it is not touched. Any other but `Absent`; if it is
    /// `Lost` or `Timeout`, the range may be there.
    pub async fn init(&self, whole: IdRange) -> Result<(), StoreError> {
        self.with_client(async |client| {
            self.begin(client).await?;
            client.batch_execute(LOCK).await?;
            client.batch_execute(CREATE).await?;
            let (first, last) = (whole.first().to_string(), whole.last().to_string());
            let count = whole.count().to_string();
            let values = [(&first as _, Type::TEXT), (&last as _, Type::TEXT), (&count as _, Type::TEXT)];
            if client.execute_typed(INSERT, &values).await? == 0 {
                return Err(Failure::Exists);
            }
            Ok(client.batch_execute("COMMIT").await?)
        })
        .await
    }

    /// Takes up to `n` contiguous IDs, written down as taken when this returns; `None` if none are left or `n` is 0. If the
    /// future is dropped, a range may have been taken, and is a gap.
    ///
    /// # Errors
    /// Any [`StoreError`] of a database: nothing is to be given. A range may be lost, but is not taken again.
    pub async fn take(&self, n: u64) -> Result<Option<IdRange>, StoreError> {
        self.with_client(async |client| {
            self.begin(client).await?;
            // The others wait here until this transaction ends, so the generation changes under it only by force.
            let row = client.query_typed_opt(&format!("{READ} FOR UPDATE"), &[]).await?;
            let before = Row::read(row)?;
            let Some((taken, after)) = before.take(n) else { return Ok(None) };
            let (left, generation) = (after.left.to_string(), after.generation.to_string());
            let expected = before.generation.to_string();
            let values =
                [(&left as _, Type::TEXT), (&generation as _, Type::TEXT), (&expected as _, Type::TEXT)];
            if client.execute_typed(UPDATE, &values).await? != 1 {
                return Err(Failure::Unchanged);
            }
            client.batch_execute("COMMIT").await?;
            Ok(Some(taken))
        })
        .await
    }

    /// What the database holds now.
    ///
    /// # Errors
    /// Any [`StoreError`] of a database but `Exists`.
    pub async fn state(&self) -> Result<StoreState, StoreError> {
        let row =
            self.with_client(async |client| Row::read(client.query_typed_opt(READ, &[]).await?)).await?;
        Ok(StoreState { whole: row.whole, left: row.left, generation: row.generation })
    }

    /// Where the range is: host, port and database, without user and password.
    pub fn place(&self) -> &str {
        &self.address.place
    }

    /// The settings hold for one transaction, so that they also reach through a pooler.
    ///
    /// A server that lost its client would hold the row until it notices, so it is told how long to wait. That is not
    /// `statement_timeout`: it would break off a commit's wait for a standby, and the server would then report success.
    async fn begin(&self, client: &Client) -> Result<(), Failure> {
        let ms = self.deadline.as_millis().clamp(1, i32::MAX as u128);
        let begin = format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
             SET LOCAL synchronous_commit = on;
             SET LOCAL statement_timeout = 0;
             SET LOCAL lock_timeout = {ms};
             SET LOCAL idle_in_transaction_session_timeout = {ms}"
        );
        Ok(client.batch_execute(&begin).await?)
    }

    /// Connects, and does `work` within the deadline. What was not committed then is rolled back by the server.
    async fn with_client<T>(
        &self,
        work: impl AsyncFnOnce(&Client) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        let done = timeout_at(Instant::now() + self.deadline, async {
            let connect = self.address.config.connect(self.address.tls.clone());
            let (client, connection) = connect.await.map_err(Failure::Connect)?;
            let mut work = pin!(work(&client));
            tokio::select! {
                biased;
                done = &mut work => done,
                // Answers that came before the end are still there to be read; without one, the work fails at once.
                _ended = connection => work.await,
            }
        });
        let done = done.await.unwrap_or(Err(Failure::Timeout(self.deadline)));
        done.map_err(|failure| failure.at(&self.address.place))
    }
}

/// Without user and password.
impl fmt::Debug for PgStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, deadline } = self;
        f.debug_struct("PgStore").field("place", &address.place).field("deadline", deadline).finish()
    }
}
