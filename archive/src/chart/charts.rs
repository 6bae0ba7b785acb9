//! Charts for the rest of the program: asked for, drawn by the process of their own, kept until there is something new.

use std::{
    collections::HashMap,
    io,
    path::Path,
    sync::{Arc, Mutex as Lock, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Mutex, Semaphore},
    time::timeout,
};

use crate::{
    Archives,
    chart::{
        child::{Drawer, Program},
        name::Format,
        request::ChartRequest,
        serve::{Answer, Ask},
        table::Table,
    },
};

/// A chart takes milliseconds; after so long the process that draws is replaced.
const DEADLINE: Duration = Duration::from_secs(10);
/// Charts asked for at a time; more are refused.
const ASKED_MAX: usize = 256;
/// Pictures kept, bytes of them, and tables kept.
const KEPT_MAX: usize = 512;
/// See [`KEPT_MAX`].
const KEPT_BYTES_MAX: usize = 64 << 20;

/// Why there is no picture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DrawError {
    /// None of the workers has an archive that can be read.
    #[error("chart: none of the instances asked for has an archive yet")]
    Nothing,
    /// More workers than one chart can show.
    #[error("chart: {count} instances in one chart, at most {max} can be shown: ask for fewer", max = ChartRequest::WORKERS_MAX)]
    TooMany {
        /// How many.
        count: usize,
    },
    /// Too many charts are being drawn.
    #[error("chart: too many are asked for at a time: try again in a moment")]
    Busy,
    /// It took too long.
    #[error("chart: not drawn within {} s: try again", DEADLINE.as_secs())]
    Late,
    /// The process that draws could not be started, or died twice.
    #[error("chart: the drawing process failed: {why}")]
    Process {
        /// What the system says.
        why: String,
    },
    /// librrd refused.
    #[error("chart: not drawn: {why}")]
    Refused {
        /// What it says.
        why: String,
    },
}

/// A chart that was drawn.
#[derive(Debug, PartialEq, Eq)]
pub struct Picture {
    /// How it is written.
    pub format: Format,
    /// The file's content.
    pub bytes: Vec<u8>,
}

/// What makes a picture another one: what was asked for, and how often the files have changed.
type Key = (ChartRequest, u64);

#[derive(Debug, Default)]
struct Kept {
    pictures: HashMap<Key, Arc<Picture>>,
    bytes: usize,
    tables: HashMap<Key, Arc<Table>>,
}

#[derive(Debug)]
struct Inner {
    folder: Arc<Path>,
    /// Who writes them, if that is this process.
    archives: Option<Archives>,
    program: Program,
    drawer: Mutex<Option<Drawer>>,
    places: Semaphore,
    kept: Lock<Kept>,
}

/// Draws charts of the archives. Clones share the process that draws and what is kept. Needs a tokio runtime with I/O and time.
#[derive(Debug, Clone)]
pub struct Charts(Arc<Inner>);

impl Charts {
    /// Charts of `archives`. `program` is started when the first is asked for, and again when it dies.
    pub fn new(archives: &Archives, program: Program) -> Self {
        Self::of(archives.folder().into(), Some(archives.clone()), program)
    }

    /// Charts of archives that another process may be writing: nothing of them is kept for longer than a minute.
    pub fn of_folder(folder: &Path, program: Program) -> Self {
        Self::of(folder.into(), None, program)
    }

    fn of(folder: Arc<Path>, archives: Option<Archives>, program: Program) -> Self {
        Self(Arc::new(Inner {
            folder,
            archives,
            program,
            drawer: Mutex::new(None),
            places: Semaphore::new(ASKED_MAX),
            kept: Lock::default(),
        }))
    }

    /// A picture: one that was drawn before, if there has been no sample since of any worker shown and the minute is the same.
    ///
    /// # Errors
    /// Any [`DrawError`]. One chart's failure does not hinder the next.
    pub async fn draw(&self, request: &ChartRequest) -> Result<Arc<Picture>, DrawError> {
        let request = checked(request)?;
        let changes = self.changes(&request.workers);
        let key = (request, changes);
        if let Some(picture) = self.kept().pictures.get(&key) {
            return Ok(Arc::clone(picture));
        }
        let _place = self.0.places.try_acquire().map_err(|_| DrawError::Busy)?;
        let mut drawer = self.0.drawer.lock().await;
        // Somebody else may have asked for the same just before.
        if let Some(picture) = self.kept().pictures.get(&key) {
            return Ok(Arc::clone(picture));
        }
        let bytes = self.ask(&mut drawer, &Ask::Draw(key.0.clone())).await?;
        let picture = Arc::new(Picture { format: key.0.name.format, bytes });
        self.keep(key, &picture);
        Ok(picture)
    }

    /// The numbers of a chart as a table, a row for each worker; size, format, bands and marks do not matter.
    ///
    /// # Errors
    /// As [`Charts::draw`], but for `Nothing`.
    pub async fn values(&self, request: &ChartRequest) -> Result<Arc<Table>, DrawError> {
        let request = checked(request)?.bare();
        let changes = self.changes(&request.workers);
        let key = (request, changes);
        if let Some(table) = self.kept().tables.get(&key) {
            return Ok(Arc::clone(table));
        }
        let _place = self.0.places.try_acquire().map_err(|_| DrawError::Busy)?;
        let mut drawer = self.0.drawer.lock().await;
        if let Some(table) = self.kept().tables.get(&key) {
            return Ok(Arc::clone(table));
        }
        let bytes = self.ask(&mut drawer, &Ask::Numbers(key.0.clone())).await?;
        let table: Table =
            serde_json::from_slice(&bytes).map_err(|error| DrawError::Process { why: error.to_string() })?;
        let table = Arc::new(table);
        let mut kept = self.kept();
        if kept.tables.len() >= KEPT_MAX {
            kept.tables.clear();
        }
        kept.tables.insert(key, Arc::clone(&table));
        Ok(table)
    }

    /// How often the files of these workers have changed, as far as this process knows.
    fn changes(&self, workers: &[String]) -> u64 {
        self.0.archives.as_ref().map_or(0, |archives| archives.changes(workers))
    }

    /// Asks the process, and a new one if it dies. While it is asked, it is not in its place: if whoever asks goes away meanwhile, or the
    /// answer comes too late, it ends, and nobody gets an answer that was meant for another.
    async fn ask(&self, place: &mut Option<Drawer>, ask: &Ask) -> Result<Vec<u8>, DrawError> {
        let attempt = async |drawer: Option<Drawer>| -> io::Result<(Drawer, Answer, Vec<u8>)> {
            let mut drawer = match drawer {
                Some(drawer) => drawer,
                None => Drawer::start(&self.0.program, &self.0.folder).await?,
            };
            let (answer, bytes) = drawer.ask(ask).await?;
            Ok((drawer, answer, bytes))
        };
        let mut done = timeout(DEADLINE, attempt(place.take())).await.map_err(|_| DrawError::Late)?;
        if let Err(error) = &done {
            tracing::warn!("charts: the drawing process is started again: {error}");
            done = timeout(DEADLINE, attempt(None)).await.map_err(|_| DrawError::Late)?;
        }
        let (drawer, answer, bytes) = done.map_err(|error| DrawError::Process { why: error.to_string() })?;
        *place = Some(drawer);
        match answer {
            Answer::Bytes(_) => Ok(bytes),
            Answer::Nothing => Err(DrawError::Nothing),
            Answer::Failed(why) => Err(DrawError::Refused { why }),
        }
    }

    fn keep(&self, key: Key, picture: &Arc<Picture>) {
        let mut kept = self.kept();
        // What is old is never asked for again, so there is little to lose.
        if kept.pictures.len() >= KEPT_MAX || kept.bytes + picture.bytes.len() > KEPT_BYTES_MAX {
            *kept = Kept::default();
        }
        kept.bytes += picture.bytes.len();
        kept.pictures.insert(key, Arc::clone(picture));
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn checked(request: &ChartRequest) -> Result<ChartRequest, DrawError> {
    match request.workers.len() {
        0 => Err(DrawError::Nothing),
        count if count > ChartRequest::WORKERS_MAX => Err(DrawError::TooMany { count }),
        _ => Ok(request.trimmed()),
    }
}
