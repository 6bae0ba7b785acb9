//! The side of the program: whatever it tells goes into the queue, and the program goes on.

use std::{
    cell::Cell,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError},
    time::{SystemTime, UNIX_EPOCH},
};

use switchboard_fleet::report::{LogLine, Sample, Told, WorkerState};
use tokio::sync::Notify;
use tracing::Subscriber;
use tracing_subscriber::{Layer, filter::LevelFilter, registry::LookupSpan};

use crate::{
    file_name::FileName,
    layer::ReportLayer,
    line::{Line, Unnumbered},
    queue::{Place, Queue},
    wrong::Wrong,
};

thread_local! {
    /// Whether this thread is the library's own: what it logs would beget what it logs.
    static IS_OWN: Cell<bool> = const { Cell::new(false) };
}

/// Tells the monitor. May be cloned and used from any thread; no call waits.
#[derive(Debug, Clone)]
pub struct Reporter {
    pub(crate) shared: Arc<Shared>,
}

/// What the program's threads and the sending thread share.
#[derive(Debug)]
pub(crate) struct Shared {
    queue: Mutex<Queue>,
    wrong: Mutex<Wrong>,
    /// Wakes the sending thread.
    pub(crate) wake: Notify,
    /// Files that panics have left, with their lengths, until the sending thread takes them up.
    pub(crate) panics: Mutex<Vec<(FileName, u64)>>,
    /// The spool's folder.
    pub(crate) folder: PathBuf,
    /// This life.
    pub(crate) boot: u64,
}

impl Reporter {
    pub(crate) fn new(queue: Queue, folder: PathBuf, boot: u64) -> Self {
        let shared = Shared {
            queue: Mutex::new(queue),
            wrong: Mutex::default(),
            wake: Notify::new(),
            panics: Mutex::default(),
            folder,
            boot,
        };
        Self { shared: Arc::new(shared) }
    }

    /// What an instance did in the minute that ended at `at_ms`, ms since 1970.
    pub fn sample(&self, at_ms: u64, mut sample: Sample) {
        // JSON has no other number for it.
        if !sample.duration_avg.is_finite() {
            sample.duration_avg = 0.0;
        }
        self.shared.tell(at_ms, Told::Sample(sample), Place::Any);
    }

    /// A line of the log, now.
    pub fn log(&self, line: LogLine) {
        self.shared.tell(now_ms(), Told::Log(line), Place::Flood);
    }

    /// What is wrong with the program from now on, a sentence each; none: nothing. Every state tells it, bounded as by
    /// [`WorkerState::bounded`], until something else is said. A change is told at once, but no two within
    /// [`Bounds::send_every`](crate::Bounds::send_every). The same again costs a comparison.
    pub fn wrong(&self, sentences: Vec<String>) {
        let is_news = self.shared.wrong().say(WorkerState::bounded(sentences));
        if is_news {
            self.shared.wake.notify_one();
        }
    }

    /// What the program logs through `tracing` at INFO and above: a layer beside those that the program has. It filters for
    /// itself and asks for no more than these levels.
    pub fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        ReportLayer::new(self.clone()).with_filter(LevelFilter::INFO)
    }
}

impl Shared {
    /// The queue. Nothing is done under its lock but to move a report.
    pub(crate) fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the program says is wrong with it.
    pub(crate) fn wrong(&self) -> MutexGuard<'_, Wrong> {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The queue, if it can be had at once.
    pub(crate) fn try_queue(&self) -> Option<MutexGuard<'_, Queue>> {
        match self.queue.try_lock() {
            Ok(queue) => Some(queue),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Puts a report into the queue.
    pub(crate) fn tell(&self, at_ms: u64, told: Told, place: Place) {
        let Some(report) = Unnumbered::new(at_ms, told) else {
            self.queue().lose(1);
            return;
        };
        let is_urgent = self.queue().push(&report, place);
        if is_urgent {
            self.wake.notify_one();
        }
    }

    /// Empties the queue.
    pub(crate) fn take(&self) -> Vec<Line> {
        self.queue().take()
    }

    /// Tells that the program stops; after that nothing is taken in.
    pub(crate) fn close(&self) {
        let report = Unnumbered::new(now_ms(), Told::Stopping);
        let mut queue = self.queue();
        if let Some(report) = report {
            queue.push(&report, Place::Any);
        }
        queue.close();
        drop(queue);
        self.wake.notify_one();
    }
}

/// From now on this thread's log is not reported.
pub(crate) fn become_own_thread() {
    IS_OWN.set(true);
}

/// Whether this thread's log is not reported.
pub(crate) fn is_own_thread() -> bool {
    IS_OWN.try_with(Cell::get).unwrap_or(true)
}

/// Ms since 1970.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
