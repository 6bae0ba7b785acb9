//! What is said when the database cannot be used: clearly, in time, and without the password.

use std::{os::unix::net::UnixListener, time::Duration};

use switchboard_range::{PgStore, StoreError};

use crate::{
    DEADLINE, filled, range,
    server::{OWNER, PASSWORD, Server},
    store,
};

/// The error of a take, which never shows the password.
async fn refusal(url: &str) -> StoreError {
    let store = PgStore::new(url, DEADLINE).unwrap();
    let error = store.take(1).await.unwrap_err();
    let shown = format!("{error} {error:?} {store:?}");
    assert!(!shown.contains(PASSWORD) && !shown.contains("hunter2"), "{shown}");
    assert!(error.to_string().starts_with(store.place()), "{error}");
    error
}

#[tokio::test]
async fn wrong_names_are_told_apart() {
    let server = Server::start_with_passwords();
    filled(&server, "ids", range(1, 100)).await;
    let denied = refusal(&server.url_of(OWNER, "hunter2", "ids")).await;
    assert!(matches!(denied, StoreError::Denied { .. }), "{denied}");
    let nobody = refusal(&server.url_of("nobody", PASSWORD, "ids")).await;
    assert!(matches!(nobody, StoreError::Denied { .. }), "{nobody}");
    let without = refusal(&server.url("ids").replace(&format!(":{PASSWORD}"), "")).await;
    assert!(without.to_string().contains("password missing"), "{without}");
    let database = refusal(&server.url("elsewhere")).await;
    assert!(matches!(database, StoreError::NoDatabase { .. }), "{database}");
    assert!(database.to_string().contains("elsewhere"), "{database}");
    let folder = tempfile::tempdir().unwrap();
    let host = format!("postgres://{OWNER}:{PASSWORD}@/ids?host={}", folder.path().display());
    let unreachable = refusal(&host).await;
    assert!(matches!(unreachable, StoreError::Unreachable { .. }), "{unreachable}");
    let name = refusal(&format!("postgres://{OWNER}:{PASSWORD}@nowhere.invalid/ids?sslmode=disable")).await;
    assert!(matches!(name, StoreError::Unreachable { .. }), "{name}");
}

/// On one server, as starting one takes longer than all of it.
#[tokio::test]
async fn what_is_wrong_in_a_database_is_said() {
    let server = Server::start();
    a_database_without_a_range_says_so(&server).await;
    the_table_keeps_nonsense_out(&server).await;
    a_row_that_does_not_change_gives_nothing(&server).await;
    rights_to_read_and_change_are_enough_and_needed(&server).await;
    a_server_that_cannot_write_gives_nothing(&server).await;
}

async fn a_database_without_a_range_says_so(server: &Server) {
    let empty = store(server, "postgres");
    assert!(matches!(empty.take(1).await, Err(StoreError::Absent { .. })));
    assert!(matches!(empty.state().await, Err(StoreError::Absent { .. })));
    let store = filled(server, "empty", range(1, 100)).await;
    server.sql("empty", "DELETE FROM switchboard_range");
    assert!(matches!(store.take(1).await, Err(StoreError::Absent { .. })));
    assert!(matches!(store.state().await, Err(StoreError::Absent { .. })));
}

async fn the_table_keeps_nonsense_out(server: &Server) {
    let store = filled(server, "nonsense", range(10, 100)).await;
    for nonsense in [
        "ids_left = 92",
        "ids_left = -1",
        "first_id = 0",
        "last_id = 9",
        "last_id = 18446744073709551616",
        "generation = 0",
        "one = false",
        "one = NULL",
    ] {
        let refused = format!(
            "DO $$ BEGIN UPDATE switchboard_range SET {nonsense};
            RAISE 'taken'; EXCEPTION WHEN check_violation OR not_null_violation THEN NULL; END $$"
        );
        server.sql("nonsense", &refused);
    }
    // And should it be there all the same, it is noticed.
    let unchecked = "ALTER TABLE switchboard_range DROP CONSTRAINT switchboard_range_check1";
    server.sql("nonsense", &format!("{unchecked}; UPDATE switchboard_range SET ids_left = 92"));
    assert!(matches!(store.take(1).await, Err(StoreError::Damaged { .. })));
    assert!(matches!(store.state().await, Err(StoreError::Damaged { .. })));
}

async fn a_row_that_does_not_change_gives_nothing(server: &Server) {
    let store = filled(server, "kept", range(1, 100)).await;
    server.sql(
        "kept",
        "CREATE FUNCTION kept() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
         CREATE TRIGGER kept BEFORE UPDATE ON switchboard_range FOR EACH ROW EXECUTE FUNCTION kept()",
    );
    let error = store.take(1).await.unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    server.sql("kept", "DROP TRIGGER kept ON switchboard_range");
    assert_eq!(store.take(1).await, Ok(Some(range(1, 1))));
}

async fn rights_to_read_and_change_are_enough_and_needed(server: &Server) {
    filled(server, "rights", range(1, 100)).await;
    server.sql("rights", "CREATE ROLE taker LOGIN PASSWORD 'hunter2'");
    let url = server.url_of("taker", "hunter2", "rights");
    let refused = refusal(&url).await;
    assert!(matches!(refused, StoreError::Refused { .. }), "{refused}");
    server.sql("rights", "GRANT SELECT, UPDATE ON switchboard_range TO taker");
    let store = PgStore::new(&url, DEADLINE).unwrap();
    assert_eq!(store.take(2).await, Ok(Some(range(1, 2))));
    assert_eq!(store.state().await.unwrap().left, 98);
}

async fn a_server_that_cannot_write_gives_nothing(server: &Server) {
    let store = filled(server, "readonly", range(1, 100)).await;
    server.sql("readonly", "ALTER DATABASE readonly SET default_transaction_read_only = on");
    let error = store.take(1).await.unwrap_err();
    assert!(matches!(error, StoreError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("does not allow writes"), "{error}");
}

#[tokio::test]
async fn a_server_that_is_away_is_found_again() {
    let mut server = Server::start();
    filled(&server, "ids", range(1, 100)).await;
    let hasty = PgStore::new(&server.url("ids"), Duration::from_millis(500)).unwrap();
    let patient = store(&server, "ids");
    server.pause();
    assert!(matches!(hasty.take(1).await, Err(StoreError::Timeout { .. })));
    assert!(matches!(hasty.state().await, Err(StoreError::Timeout { .. })));
    server.resume();
    assert_eq!(patient.take(1).await, Ok(Some(range(1, 1))));
    server.kill();
    assert!(matches!(patient.take(1).await, Err(StoreError::Unreachable { .. })));
    server.up();
    assert_eq!(patient.take(1).await, Ok(Some(range(2, 2))));
}

#[tokio::test]
async fn one_that_accepts_and_never_answers_is_not_waited_for_long() {
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    let silent = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).unwrap();
    let url = format!("postgres://{OWNER}:{PASSWORD}@/ids?host={}", folder.path().display());
    let store = PgStore::new(&url, Duration::from_millis(200)).unwrap();
    let error = store.take(1).await.unwrap_err();
    assert!(matches!(error, StoreError::Timeout { .. }), "{error}");
    assert!(matches!(store.init(range(1, 2)).await, Err(StoreError::Timeout { .. })));
    drop(silent);
}
