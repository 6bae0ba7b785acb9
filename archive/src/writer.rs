//! The writer: one thread that owns all files.

use std::{
    collections::HashMap,
    fs, io,
    path::PathBuf,
    sync::{PoisonError, mpsc},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use nix::fcntl::Flock;
use switchboard_fleet::report::Sample;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::{
    archives::{Board, Written},
    error::ArchiveError,
    store::Store,
};

/// While orders come without a pause, something that was put off is done after so many of them.
const ORDERS_BETWEEN: u32 = 256;
/// How often samples that wait are looked at.
const LOOK: Duration = Duration::from_millis(500);

/// What the writer is asked for.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(crate) order: Order,
    /// A place in the queue, free again when the order was obeyed.
    pub(crate) _place: OwnedSemaphorePermit,
}

/// An order.
#[derive(Debug)]
pub(crate) enum Order {
    /// Store a sample.
    Write {
        worker: String,
        at_s: i64,
        sample: Sample,
        answer: oneshot::Sender<Result<Written, ArchiveError>>,
    },
    /// Do all that was put off.
    Settle { answer: oneshot::Sender<()> },
}

struct Writer {
    folder: PathBuf,
    stores: HashMap<String, Store>,
    board: Board,
    /// Workers whose files are due to be written again or cut.
    put_off: Vec<String>,
    /// Keeps other processes away.
    _lock: Flock<fs::File>,
}

/// Starts the thread. It ends when the queue is closed and empty, with nothing put off.
pub(crate) fn start(
    folder: PathBuf,
    queue: mpsc::Receiver<Ticket>,
    board: Board,
    lock: Flock<fs::File>,
) -> io::Result<()> {
    let writer = Writer { folder, stores: HashMap::new(), board, put_off: Vec::new(), _lock: lock };
    thread::Builder::new().name("archives".into()).spawn(move || writer.run(queue)).map(|_| ())
}

impl Writer {
    fn run(mut self, queue: mpsc::Receiver<Ticket>) {
        let mut orders = 0;
        loop {
            match queue.try_recv() {
                Ok(ticket) => {
                    self.obey(ticket.order);
                    orders += 1;
                    if orders % ORDERS_BETWEEN == 0 {
                        self.one_put_off();
                    }
                }
                Err(mpsc::TryRecvError::Empty) => {
                    if !self.one_put_off() && !self.rest(&queue) {
                        break;
                    }
                }
                Err(mpsc::TryRecvError::Disconnected) => break,
            }
        }
        while self.one_put_off() {}
    }

    /// Waits for the next order, and looks meanwhile at what waits for its time. `false` when there will be no more orders.
    fn rest(&mut self, queue: &mpsc::Receiver<Ticket>) -> bool {
        let ticket = if self.stores.values().any(Store::is_waiting) {
            self.apply_waiting();
            match queue.recv_timeout(LOOK) {
                Err(mpsc::RecvTimeoutError::Timeout) => return true,
                other => other.ok(),
            }
        } else {
            queue.recv().ok()
        };
        ticket.map(|ticket| self.obey(ticket.order)).is_some()
    }

    fn obey(&mut self, order: Order) {
        // Whoever asked may have gone; what was asked is done all the same.
        match order {
            Order::Write { worker, at_s, sample, answer } => {
                let _ = answer.send(self.write(&worker, at_s, &sample));
            }
            Order::Settle { answer } => {
                while self.one_put_off() {}
                let _ = answer.send(());
            }
        }
    }

    fn write(&mut self, worker: &str, at_s: i64, sample: &Sample) -> Result<Written, ArchiveError> {
        if !self.stores.contains_key(worker) {
            match Store::open(&self.folder, worker) {
                Ok(store) => self.stores.insert(worker.into(), store),
                Err(error) => return self.told(worker, Err(error)),
            };
        }
        let Some(store) = self.stores.get_mut(worker) else { return Err(ArchiveError::Closed) };
        let done = store.write(now_s(), at_s, sample);
        if (store.is_stale() || store.is_long()) && !self.put_off.iter().any(|other| other == worker) {
            self.put_off.push(worker.into());
        }
        match done {
            // The archive is as it was: this is about the sample only.
            Err(ArchiveError::TooOld { .. } | ArchiveError::TooFar { .. })
            | Ok(Written::Repeated | Written::Late) => done,
            done => self.told(worker, done),
        }
    }

    /// Does one of the things that were put off; `false` if there was none.
    fn one_put_off(&mut self) -> bool {
        let Some(worker) = self.put_off.pop() else { return false };
        if let Some(store) = self.stores.get_mut(&worker) {
            let done = if store.is_stale() { store.rebuild(now_s()) } else { Ok(()) };
            let done = done.and_then(|()| if store.is_long() { store.cut() } else { Ok(()) });
            // Reported, and tried again with the worker's next sample.
            let _ = self.told(&worker, done);
        }
        true
    }

    fn apply_waiting(&mut self) {
        let waiting: Vec<_> = self
            .stores
            .iter()
            .filter(|(_, store)| store.is_waiting())
            .map(|(worker, _)| worker.clone())
            .collect();
        for worker in waiting {
            let Some(store) = self.stores.get_mut(&worker) else { continue };
            let before = store.newest_s();
            let done = store.apply(now_s());
            if done.is_err() || store.newest_s() != before {
                let _ = self.told(&worker, done);
            }
        }
    }

    /// Puts on the board how it went. A file with a fault is looked at anew the next time.
    fn told<T>(&mut self, worker: &str, done: Result<T, ArchiveError>) -> Result<T, ArchiveError> {
        let mut board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        // A name that is none has no place on the board.
        if !matches!(done, Err(ArchiveError::Name { .. })) {
            let known = board.entry(worker.into()).or_default();
            known.changes += 1;
            known.newest_s = self.stores.get(worker).and_then(Store::newest_s).or(known.newest_s);
            let problem = done.as_ref().err().cloned();
            if let Some(error) = problem.as_ref().filter(|error| known.problem.as_ref() != Some(error)) {
                tracing::error!(worker, "{error}");
            }
            known.problem = problem;
        }
        drop(board);
        if done.is_err() {
            self.stores.remove(worker);
        }
        done
    }
}

fn now_s() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}
