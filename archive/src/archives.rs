//! What the rest of the program sees of the archives.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
};

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};
use switchboard_fleet::report::Sample;
use tokio::sync::{Semaphore, oneshot};

use crate::{
    error::ArchiveError,
    file_name,
    writer::{self, Order, Ticket},
};

/// Orders that wait for the writer; whoever has one more waits too.
const ORDERS_MAX: usize = 4096;

/// What became of a sample that was taken. It is in a file in each case, and outlives this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It is in the archive.
    Added,
    /// A later one was there: the end of the archive is written again with it, within seconds.
    Late,
    /// It is from the future: it goes into the archive when its time has come.
    Held,
    /// One of the same time was there. Nothing has changed.
    Repeated,
}

/// An archive that cannot be written at present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Whose archive.
    pub worker: String,
    /// What is wrong with it.
    pub error: ArchiveError,
}

/// What the writer tells about each worker.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    /// When the archive was last written, seconds since 1970.
    pub(crate) newest_s: Option<i64>,
    /// Counts up with each change of the file.
    pub(crate) changes: u64,
    pub(crate) problem: Option<ArchiveError>,
}

pub(crate) type Board = Arc<Mutex<BTreeMap<String, Known>>>;

/// The archives of a folder, and their one writer. Clones share it; it ends when the last one is gone and all is written.
#[derive(Debug, Clone)]
pub struct Archives {
    folder: Arc<Path>,
    orders: mpsc::Sender<Ticket>,
    places: Arc<Semaphore>,
    board: Board,
}

impl Archives {
    /// Takes a folder, which is made if there is none, and starts the writer, a thread of its own.
    ///
    /// # Errors
    /// `InUse`, `Denied`, `Full` or `Io`, all about the folder: the archives themselves are looked at when they are written.
    pub fn open(folder: &Path) -> Result<Self, ArchiveError> {
        let failed = |error| ArchiveError::io(folder, &error);
        fs::create_dir_all(folder).map_err(failed)?;
        let folder: Arc<Path> = folder.canonicalize().map_err(failed)?.into();
        if folder.as_os_str().as_encoded_bytes().contains(&b'%') {
            // librrd prints its complaints about a file with the path as a format.
            let why = "its path has a percent sign, which librrd cannot take: choose another folder".into();
            return Err(ArchiveError::Denied { path: folder.to_path_buf(), why });
        }
        let lock = lock(&folder)?;
        let (orders, queue) = mpsc::channel();
        let board = Board::default();
        writer::start(folder.to_path_buf(), queue, Arc::clone(&board), lock).map_err(failed)?;
        Ok(Self { folder, orders, places: Arc::new(Semaphore::new(ORDERS_MAX)), board })
    }

    /// Stores what `worker` did in the minute that ended at `at_s`, seconds since 1970. Waits while the queue is full.
    ///
    /// # Errors
    /// Any but `InUse`. After `Locked`, and after others that struck when the sample was noted already, it goes in with
    /// a later one; to give it again does no harm.
    pub async fn write(&self, worker: &str, at_s: i64, sample: &Sample) -> Result<Written, ArchiveError> {
        let (answer, answered) = oneshot::channel();
        let order = Order::Write { worker: worker.into(), at_s, sample: *sample, answer };
        self.order(order).await?;
        answered.await.map_err(|_| ArchiveError::Closed)?
    }

    /// Waits until late samples and all else that was put off are in their files, except what waits for its time.
    ///
    /// # Errors
    /// `Closed`. What could not be written is among the [`Archives::problems`].
    pub async fn settle(&self) -> Result<(), ArchiveError> {
        let (answer, answered) = oneshot::channel();
        self.order(Order::Settle { answer }).await?;
        answered.await.map_err(|_| ArchiveError::Closed)
    }

    /// The archives that could not be written when it was last tried.
    pub fn problems(&self) -> Vec<Problem> {
        let board = self.board();
        let problem = |(worker, known): (&String, &Known)| {
            Some(Problem { worker: worker.clone(), error: known.problem.clone()? })
        };
        board.iter().filter_map(problem).collect()
    }

    /// When a worker's archive was last written by this process, seconds since 1970.
    pub fn newest_s(&self, worker: &str) -> Option<i64> {
        self.board().get(worker)?.newest_s
    }

    /// The folder, absolute.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where a worker's archive is, or would be: the place for one of the original service that is to be taken over.
    ///
    /// # Errors
    /// `Name`.
    pub fn path(&self, worker: &str) -> Result<PathBuf, ArchiveError> {
        Ok(self.folder.join(file_name::of_worker(worker)?))
    }

    /// All workers that have an archive in the folder, in order.
    ///
    /// # Errors
    /// `Denied` or `Io`.
    pub fn workers(&self) -> Result<Vec<String>, ArchiveError> {
        workers_in(&self.folder)
    }

    /// How often the files of `workers` have changed: another number, another chart.
    pub(crate) fn changes(&self, workers: &[String]) -> u64 {
        let board = self.board();
        workers.iter().filter_map(|worker| board.get(worker)).map(|known| known.changes).sum()
    }

    async fn order(&self, order: Order) -> Result<(), ArchiveError> {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| ArchiveError::Closed)?;
        self.orders.send(Ticket { order, _place: place }).map_err(|_| ArchiveError::Closed)
    }

    fn board(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All workers that have an archive in a folder, in order. The folder may be another process's.
///
/// # Errors
/// `Denied` or `Io`.
pub fn workers_in(folder: &Path) -> Result<Vec<String>, ArchiveError> {
    let mut workers = Vec::new();
    let mut inner_folders = vec![PathBuf::new()];
    while let Some(inner) = inner_folders.pop() {
        let path = folder.join(&inner);
        let failed = |error| ArchiveError::io(&path, &error);
        for entry in fs::read_dir(&path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = inner.join(entry.file_name());
            if entry.file_type().map_err(failed)?.is_dir() {
                inner_folders.push(name);
            } else {
                workers.extend(file_name::to_worker(&name));
            }
        }
    }
    workers.sort();
    Ok(workers)
}

/// Keeps other writers away for as long as it lives.
fn lock(folder: &Path) -> Result<Flock<fs::File>, ArchiveError> {
    let path = folder.join("lock");
    let file = fs::OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    match Flock::lock(file.map_err(|error| ArchiveError::io(&path, &error))?, FlockArg::LockExclusiveNonblock)
    {
        Ok(lock) => Ok(lock),
        Err((_, Errno::EWOULDBLOCK)) => Err(ArchiveError::InUse { folder: folder.into() }),
        Err((_, errno)) => Err(ArchiveError::io(&path, &errno.into())),
    }
}
