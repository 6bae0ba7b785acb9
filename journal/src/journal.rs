//! What the rest of the program sees of the journal: writing.

use std::{
    path::Path,
    sync::{Arc, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};

use crate::{
    arrival::{Arrival, Prepared, Receipt},
    database::Database,
    error::{JournalError, TakeError},
    incidents::{Letter, Step},
    memory::{self, Memory},
    readers::Readers,
    spans::Spans,
    writer::{self, Answer, Fault, Order, Work},
};

/// Orders that wait for the writer.
const ORDERS_MAX: usize = 4096;
/// Memory of batches that wait for the writer, in units of 1 KiB: 64 MiB.
const ROOM: usize = 64 << 10;

/// The journal of a folder, and its one writer. Clones share it; the writer ends when the last one is gone and all is written.
#[derive(Debug, Clone)]
pub struct Journal {
    orders: mpsc::Sender<Order>,
    room: Arc<Semaphore>,
    fault: Fault,
    ended: watch::Receiver<()>,
    pub(crate) readers: Arc<Readers>,
}

impl Journal {
    /// Takes a folder, which is made if there is none, starts the writer, a thread of its own, and says what was known. If the folder
    /// has no journal, a new one is begun. `now_ms`, since 1970, is when the monitor is alive again.
    ///
    /// # Errors
    /// Each but `Slow` and `Closed`. What is there and cannot be read or written is left as it is.
    pub fn open(folder: &Path, now_ms: u64) -> Result<(Self, Memory), JournalError> {
        let mut database = Database::open(folder)?;
        let path = database.path.clone();
        let memory = begin(&mut database, now_ms).map_err(|error| JournalError::sql(&path, &error))?;
        let (orders, queue) = mpsc::channel(ORDERS_MAX);
        let (running, ended) = watch::channel(());
        let fault = Fault::default();
        writer::start(database, now_ms, queue, Arc::clone(&fault), running)
            .map_err(|error| JournalError::io(&path, &error))?;
        let room = Arc::new(Semaphore::new(ROOM));
        Ok((Self { orders, room, fault, ended, readers: Arc::new(Readers::new(path)) }, memory))
    }

    /// Takes a batch: when this returns `Ok`, its reports are on the disk. Each report (of a worker, a life, a number) counts once,
    /// however often it is given. Does not wait while the queue is full. Times that the database cannot hold become the latest
    /// that it can; all else is kept as it is, wrong times too.
    ///
    /// # Errors
    /// See [`TakeError`]; nothing of the batch was taken then.
    pub async fn take(&self, arrival: Arrival) -> Result<Receipt, TakeError> {
        let prepared = Prepared::new(&arrival)?;
        let room = u32::try_from(prepared.bytes.div_ceil(1024)).unwrap_or(u32::MAX).clamp(1, ROOM as u32);
        let room = Arc::clone(&self.room).try_acquire_many_owned(room).map_err(|_| TakeError::Busy)?;
        let (answer, answered) = oneshot::channel();
        let order = Order { work: Work::Take(prepared), answer: Answer::Take(answer), _room: Some(room) };
        self.orders.try_send(order).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => TakeError::Busy,
            mpsc::error::TrySendError::Closed(_) => TakeError::Fault(JournalError::Closed),
        })?;
        let outcome = answered.await.map_err(|_| JournalError::Closed)??;
        let mut reports: Vec<_> = arrival.batch.reports.into_iter().map(Some).collect();
        let fresh = outcome.fresh.iter().filter_map(|index| reports.get_mut(*index)?.take()).collect();
        Ok(Receipt { taken: outcome.taken, fresh, missing_change: outcome.missing_change })
    }

    /// Notes that the samples of a worker that ended at these times (ms since 1970) are in the archives, or can never be.
    ///
    /// # Errors
    /// It could not be written. The samples are among the unfiled ones again.
    pub async fn filed(&self, worker: &str, at_ms: Vec<u64>) -> Result<(), JournalError> {
        self.order(Work::Filed { worker: worker.into(), at_ms }).await.map(|_| ())
    }

    /// To be called once after the start, before samples are filed: if the machine was started anew since the last time, samples
    /// that went into the archives in the ten minutes before count as unfiled again, as archives are not synced to the disk.
    /// How many. Until it is called, no samples are taken away.
    ///
    /// # Errors
    /// It could not be written.
    pub async fn regive(&self) -> Result<u64, JournalError> {
        self.order(Work::Regive).await
    }

    /// The monitor is alive: to be called every 5 s. If it cannot be written, [`Journal::fault`] says why.
    pub async fn alive(&self, now_ms: u64) {
        let _ = self.order(Work::Alive { now_ms }).await;
    }

    /// Stores the state of the alerts, any text, the steps of incidents that it led to, and the letters that tell of them, in one
    /// transaction.
    ///
    /// # Errors
    /// It could not be written: neither the one nor the others.
    pub async fn remember(
        &self,
        alerts: String,
        steps: Vec<Step>,
        letters: Vec<Letter>,
    ) -> Result<(), JournalError> {
        self.order(Work::Remember { alerts, steps, letters }).await.map(|_| ())
    }

    /// A letter is in the outbox.
    ///
    /// # Errors
    /// It could not be written: it will be given again.
    pub async fn posted(&self, letter: &str) -> Result<(), JournalError> {
        self.order(Work::Posted { letter: letter.into() }).await.map(|_| ())
    }

    /// Forgets a worker; whether it was there. If it reports again, it is a new one. What it told goes with the next
    /// [`Journal::prune`].
    ///
    /// # Errors
    /// It could not be written.
    pub async fn forget(&self, worker: &str) -> Result<bool, JournalError> {
        Ok(self.order(Work::Forget { worker: worker.into() }).await? > 0)
    }

    /// Takes away, in slices between which batches are taken: lines, gaps, lives that are over, and incidents that are closed, all
    /// older than `keep_ms` (`None`: nothing of them); and unknown workers that were not heard for 7 days.
    ///
    /// # Errors
    /// It could not be written. What is gone is gone.
    pub async fn prune(&self, now_ms: u64, keep_ms: Option<u64>) -> Result<(), JournalError> {
        while self.order(Work::Prune { now_ms, keep_ms }).await? > 0 {}
        Ok(())
    }

    /// Why nothing can be written at present. Ends with the next success.
    pub fn fault(&self) -> Option<JournalError> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Gives this clone back and waits until the writer has ended: all is written, and the folder is free. Other clones are to be
    /// given up too.
    pub async fn close(self) {
        let mut ended = self.ended.clone();
        drop(self);
        while ended.changed().await.is_ok() {}
    }

    /// Waits for a place in the queue, and for the answer.
    pub(crate) async fn order(&self, work: Work) -> Result<u64, JournalError> {
        let (answer, answered) = oneshot::channel();
        let room: Option<OwnedSemaphorePermit> = None;
        let order = Order { work, answer: Answer::Count(answer), _room: room };
        self.orders.send(order).await.map_err(|_| JournalError::Closed)?;
        answered.await.map_err(|_| JournalError::Closed)?
    }
}

/// Reads what was known, and notes that the monitor is alive again.
fn begin(database: &mut Database, now_ms: u64) -> rusqlite::Result<Memory> {
    let change = database.connection.transaction()?;
    let memory = memory::read(&change)?;
    Spans::alive(&change, memory.was_alive_ms, now_ms)?;
    change.commit()?;
    Ok(memory)
}
