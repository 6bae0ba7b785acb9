//! Connections for reading: on blocking threads, a few at a time, and never in the writer's way.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use crate::{database, error::JournalError};

/// Readers at a time; whoever has one more waits.
const READERS_MAX: usize = 4;

#[derive(Debug)]
pub(crate) struct Readers {
    path: PathBuf,
    places: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, places: Arc::new(Semaphore::new(READERS_MAX)), idle: Mutex::default() }
    }

    /// Reads on a blocking thread.
    pub(crate) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, JournalError> {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| JournalError::Closed)?;
        let readers = Arc::clone(self);
        let work = move || {
            // Whoever asked may go away: the place is free when the work is done.
            let _place = place;
            readers.read_now(read)
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| JournalError::Closed)?
    }

    fn read_now<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, JournalError> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = idle().pop();
        let connection = match waiting {
            Some(connection) => connection,
            None => database::open_reader(&self.path)?,
        };
        let found = read(&connection).map_err(|error| JournalError::sql(&self.path, &error))?;
        idle().push(connection);
        Ok(found)
    }
}
