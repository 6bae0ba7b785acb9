//! The fleet's range in a real PostgreSQL, of Debian's package.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod failing;
mod server;
mod speaking;
mod taking;

use std::time::Duration;

use server::Server;
use switchboard_range::{IdRange, PgStore};

/// Long enough for a busy machine: an operation that reaches it has hung.
const DEADLINE: Duration = Duration::from_secs(20);

fn range(first: u64, last: u64) -> IdRange {
    IdRange::from_numbers(first, last).unwrap()
}

fn store(server: &Server, database: &str) -> PgStore {
    PgStore::new(&server.url(database), DEADLINE).unwrap()
}

/// A database of its own with `whole` in it.
async fn filled(server: &Server, database: &str, whole: IdRange) -> PgStore {
    server.sql("postgres", &format!("CREATE DATABASE {database}"));
    let store = store(server, database);
    store.init(whole).await.unwrap();
    store
}
