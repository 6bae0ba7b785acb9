//! The writer: one thread that has the only connection for writing.
//!
//! It takes all that waits into one transaction, commits it, and then answers each: what was answered is on the disk, and the cost of
//! a commit is shared by all that came meanwhile.

use std::{
    fs, io,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};

use crate::{
    arrival::{Prepared, TakeAnswer},
    database::Database,
    error::{JournalError, TakeError},
    incidents::{Letter, Step},
    intake::Intake,
    keep,
    memory::fact,
    spans::Spans,
};

/// Most orders in one transaction.
const GROUP_MAX: usize = 1024;
/// Most reports in one transaction, or one batch more.
const GROUP_REPORTS: usize = 20_000;
/// Changes with each start of the machine.
const MACHINE: &str = "/proc/sys/kernel/random/boot_id";

/// What the writer is asked for.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) work: Work,
    pub(crate) answer: Answer,
    /// A place in memory, free again when the order was obeyed.
    pub(crate) _room: Option<OwnedSemaphorePermit>,
}

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Work {
    Take(Prepared),
    Filed {
        worker: String,
        at_ms: Vec<u64>,
    },
    Regive,
    Alive {
        now_ms: u64,
    },
    Remember {
        alerts: String,
        steps: Vec<Step>,
        letters: Vec<Letter>,
    },
    Posted {
        letter: String,
    },
    Forget {
        worker: String,
    },
    /// One slice; 1 if there may be more.
    Prune {
        now_ms: u64,
        keep_ms: Option<u64>,
    },
    /// Whatever a test wants, before the transaction begins.
    #[cfg(test)]
    Sql(String),
}

/// Where the answer goes.
#[derive(Debug)]
pub(crate) enum Answer {
    Take(TakeAnswer),
    /// A number, whose meaning depends on the work.
    Count(oneshot::Sender<Result<u64, JournalError>>),
}

/// What came of it, not yet committed.
enum Done {
    Take(Result<crate::arrival::Outcome, TakeError>),
    Count(u64),
}

/// Why nothing can be written at present.
pub(crate) type Fault = Arc<Mutex<Option<JournalError>>>;

struct Writer {
    intake: Intake,
    fault: Fault,
    /// The newest time that was heard of, ms since 1970.
    now_ms: u64,
    /// Samples that are in the archives do not go before it is known whether they are to be given again.
    regiven: bool,
    database: Database,
}

/// Starts the thread. It ends when the queue is closed and empty; `ended` goes with it.
pub(crate) fn start(
    database: Database,
    now_ms: u64,
    queue: mpsc::Receiver<Order>,
    fault: Fault,
    ended: watch::Sender<()>,
) -> io::Result<()> {
    thread::Builder::new().name("journal".into()).spawn(move || {
        let writer = Writer { intake: Intake::default(), fault, now_ms, regiven: false, database };
        writer.run(queue);
        drop(ended);
    })?;
    Ok(())
}

impl Writer {
    fn run(mut self, mut queue: mpsc::Receiver<Order>) {
        self.reload();
        while let Some(order) = queue.blocking_recv() {
            let mut reports = order.reports();
            let mut group = vec![order];
            while group.len() < GROUP_MAX && reports < GROUP_REPORTS {
                let Ok(order) = queue.try_recv() else { break };
                reports += order.reports();
                group.push(order);
            }
            self.serve(group);
        }
    }

    /// Does a group and answers it.
    fn serve(&mut self, mut group: Vec<Order>) {
        match self.attempt(&mut group) {
            Ok(done) => {
                self.told(None);
                group.into_iter().zip(done).for_each(|(order, done)| order.answer.send(done));
            }
            // The rows of one worker may be damaged: the others' reports go on.
            Err(error) if group.len() > 1 && error.may_be_of_some_rows() => {
                group.into_iter().for_each(|order| self.serve(vec![order]));
            }
            Err(error) => {
                self.told(Some(&error));
                group.into_iter().for_each(|order| order.answer.fail(&error));
            }
        }
    }

    /// Does a group in one transaction: all of it or nothing.
    fn attempt(&mut self, group: &mut [Order]) -> Result<Vec<Done>, JournalError> {
        let done = self.transact(group);
        if done.is_err() {
            if !self.database.connection.is_autocommit() {
                // What cannot be undone now is undone when the database is opened next.
                let _ = self.database.connection.execute_batch("ROLLBACK");
            }
            self.intake.clear();
            self.reload();
        }
        done.map_err(|error| JournalError::sql(&self.database.path, &error))
    }

    fn transact(&mut self, group: &mut [Order]) -> rusqlite::Result<Vec<Done>> {
        #[cfg(test)]
        for order in &*group {
            let Work::Sql(text) = &order.work else { continue };
            self.database.connection.execute_batch(text)?;
        }
        self.database.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let done = group.iter_mut().map(|order| self.obey(&mut order.work)).collect::<Result<_, _>>()?;
        self.database.connection.prepare_cached("COMMIT")?.execute([])?;
        Ok(done)
    }

    fn obey(&mut self, work: &mut Work) -> rusqlite::Result<Done> {
        let connection = &self.database.connection;
        let count = match work {
            Work::Take(batch) => {
                self.now_ms = batch.heard_ms;
                return self.intake.take(connection, batch).map(Done::Take);
            }
            Work::Filed { worker, at_ms } => keep::file(connection, worker, at_ms, self.now_ms)?,
            Work::Regive => {
                let machine = fs::read_to_string(MACHINE).ok();
                let count = keep::regive(connection, machine.as_deref().map(str::trim))?;
                self.regiven = true;
                count
            }
            Work::Alive { now_ms } => {
                self.now_ms = *now_ms;
                let was_ms = fact(connection, "alive_ms")?.map(crate::kind::uint);
                if Spans::alive(connection, was_ms, *now_ms)? {
                    self.intake.spans = Spans::load(connection)?;
                }
                if self.regiven {
                    keep::drop_filed(connection, *now_ms)?;
                }
                0
            }
            Work::Remember { alerts, steps, letters } => {
                keep::remember(connection, alerts, steps, letters)?;
                0
            }
            Work::Posted { letter } => keep::posted(connection, letter)?,
            Work::Forget { worker } => {
                self.intake.drop_worker(worker);
                keep::forget(connection, worker)?
            }
            Work::Prune { now_ms, keep_ms } => self.prune(*now_ms, *keep_ms)?.into(),
            #[cfg(test)]
            Work::Sql(_) => 0,
        };
        Ok(Done::Count(count))
    }

    /// One slice of what is to go.
    fn prune(&mut self, now_ms: u64, keep_ms: Option<u64>) -> rusqlite::Result<bool> {
        // What goes may be at hand.
        self.intake.clear();
        let connection = &self.database.connection;
        self.now_ms = now_ms;
        for worker in keep::silent_unknown(connection, now_ms)? {
            keep::forget(connection, &worker)?;
        }
        let more = self.regiven && keep::drop_filed(connection, now_ms)? > 0;
        let horizon_ms = keep_ms.map(|keep_ms| now_ms.saturating_sub(keep_ms));
        Ok(more | keep::prune(connection, horizon_ms)?)
    }

    /// Reads again when the monitor was away. Without it gaps have fewer reasons; nothing else depends on it.
    fn reload(&mut self) {
        if let Ok(spans) = Spans::load(&self.database.connection) {
            self.intake.spans = spans;
        }
    }

    /// Tells others, and the log, whether anything can be written.
    fn told(&self, now: Option<&JournalError>) {
        let mut fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        if fault.as_ref() == now {
            return;
        }
        match now {
            Some(error) => tracing::error!("{error}"),
            None => tracing::info!("journal {}: can be written again", self.database.path.display()),
        }
        *fault = now.cloned();
    }
}

impl Order {
    fn reports(&self) -> usize {
        if let Work::Take(batch) = &self.work { batch.items.len() } else { 0 }
    }
}

impl Answer {
    /// Whoever asked may have gone; what was asked is done all the same.
    fn send(self, done: Done) {
        match (self, done) {
            (Self::Take(answer), Done::Take(outcome)) => drop(answer.send(outcome)),
            (Self::Count(answer), Done::Count(count)) => drop(answer.send(Ok(count))),
            (Self::Take(_), Done::Count(_)) | (Self::Count(_), Done::Take(_)) => {}
        }
    }

    fn fail(self, error: &JournalError) {
        match self {
            Self::Take(answer) => drop(answer.send(Err(TakeError::Fault(error.clone())))),
            Self::Count(answer) => drop(answer.send(Err(error.clone()))),
        }
    }
}
