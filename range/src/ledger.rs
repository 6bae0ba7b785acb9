//! The durable ledger: holdings in a file that is written before anything taken from it is handed out.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use nix::fcntl::Flock;

use crate::{
    disk,
    rules::{AddError, Holdings, IdRange},
    text::{self, Kind, Record},
};

/// A file larger than this is no ledger: twice what the most ranges need.
const FILE_BYTES_MAX: u64 = 128 * 1024;

/// Why a ledger cannot be used. The text names the file, the cause and the way out.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The file cannot be read.
    #[error("{}: the ledger cannot be read ({cause})", .path.display())]
    Read {
        /// The ledger.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The file cannot be written; nothing was given.
    #[error("{}: the ledger cannot be written ({cause}); no ID was given", .path.display())]
    Write {
        /// The ledger.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// There is no file.
    #[error("{}: there is no ledger; make the fleet's with `switchboard range init --from A --to B`", .path.display())]
    Absent {
        /// The ledger.
        path: PathBuf,
    },
    /// There is one already, which is never replaced.
    #[error("{}: there is a ledger already, and it is never replaced: its IDs might be given twice", .path.display())]
    Exists {
        /// The ledger.
        path: PathBuf,
    },
    /// The content is not what was written.
    #[error("{}: the ledger is damaged ({reason}); an older copy would give IDs twice: {way_out}", .path.display())]
    Damaged {
        /// The ledger.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
        /// What to do.
        way_out: &'static str,
    },
    /// The file is a ledger of the other kind.
    #[error("{}: this is the ledger of a{found}, not of a{expected}; compare range_file and master_range_file", .path.display(), found = article(*.found), expected = article(*.expected))]
    Foreign {
        /// The ledger.
        path: PathBuf,
        /// Whose ledger it is.
        found: Kind,
        /// Whose it was to be.
        expected: Kind,
    },
    /// Another process uses it.
    #[error("{}: another process uses this ledger; stop it, or give this instance a range_file of its own", .path.display())]
    InUse {
        /// The ledger.
        path: PathBuf,
    },
    /// A granted range is not taken in.
    #[error("{}: {cause}", .path.display())]
    Add {
        /// The ledger.
        path: PathBuf,
        /// Why.
        cause: AddError,
    },
}

fn article(kind: Kind) -> &'static str {
    match kind {
        Kind::Master => " master",
        Kind::Instance => "n instance",
    }
}

/// What to do about a damaged ledger. An instance can go on without what it held; the fleet cannot.
fn way_out(kind: Option<Kind>) -> &'static str {
    match kind {
        Some(Kind::Instance) => {
            "move it away, and the instance asks for a new range (its remaining IDs are lost)"
        }
        _ => "move it away and make a new one above every ID given so far",
    }
}

/// A ledger in use by this process, and by no other.
///
/// Each change is a write with two syncs, which blocks: take IDs by the dozen where many are needed.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    kind: Kind,
    generation: u64,
    holdings: Holdings,
    _lock: Flock<File>,
}

impl Ledger {
    /// Opens the ledger at `path` and locks it. An absent instance's ledger is an empty one; a file of the original
    /// service is converted in place.
    ///
    /// # Errors
    /// Any [`LedgerError`] but `Exists` and `Add`; an absent master's ledger is `Absent`.
    pub fn open(path: &Path, kind: Kind) -> Result<Self, LedgerError> {
        let mut ledger = Self::locked(path, kind)?;
        let record = match read(path, Some(kind)) {
            Err(LedgerError::Absent { .. }) if kind == Kind::Instance => return Ok(ledger),
            other => other?,
        };
        if let Some(found) = record.kind.filter(|found| *found != kind) {
            return Err(LedgerError::Foreign { path: path.into(), found, expected: kind });
        }
        ledger.generation = record.generation;
        if record.kind.is_none() {
            ledger.commit(record.holdings)?;
        } else {
            ledger.holdings = record.holdings;
        }
        Ok(ledger)
    }

    /// Makes the master's ledger with the fleet's whole range.
    ///
    /// # Errors
    /// [`LedgerError::Exists`] if there is a file, whatever it holds; `InUse`; `Write`.
    pub fn init_master(path: &Path, range: IdRange) -> Result<Self, LedgerError> {
        let mut ledger = Self::locked(path, Kind::Master)?;
        match path.try_exists() {
            Ok(false) => {}
            Ok(true) => return Err(LedgerError::Exists { path: path.into() }),
            Err(cause) => return Err(LedgerError::Read { path: path.into(), cause }),
        }
        ledger.add(range)?;
        Ok(ledger)
    }

    /// What the ledger at `path` says, without locking it or changing anything. While another process uses it,
    /// this is what it last wrote.
    ///
    /// # Errors
    /// `Absent`, `Read` or `Damaged`.
    pub fn read_only(path: &Path) -> Result<Record, LedgerError> {
        read(path, None)
    }

    /// Gives up to `n` contiguous IDs from the front, written down as given when this returns; `None` if none are
    /// left.
    ///
    /// # Errors
    /// [`LedgerError::Write`]: nothing was given.
    pub fn take(&mut self, n: u64) -> Result<Option<IdRange>, LedgerError> {
        let mut holdings = self.holdings.clone();
        let taken = holdings.take(n);
        self.commit_if(taken.is_some(), holdings)?;
        Ok(taken)
    }

    /// Gives up to `n` contiguous IDs from the back, as [`Ledger::take`].
    ///
    /// # Errors
    /// [`LedgerError::Write`]: nothing was given.
    pub fn cut(&mut self, n: u64) -> Result<Option<IdRange>, LedgerError> {
        let mut holdings = self.holdings.clone();
        let taken = holdings.cut(n);
        self.commit_if(taken.is_some(), holdings)?;
        Ok(taken)
    }

    /// Takes in a granted range, written down when this returns.
    ///
    /// # Errors
    /// [`LedgerError::Add`] if it overlaps what is held; `Write`. Nothing was taken in.
    pub fn add(&mut self, range: IdRange) -> Result<(), LedgerError> {
        let mut holdings = self.holdings.clone();
        holdings.add(range).map_err(|cause| LedgerError::Add { path: self.path.clone(), cause })?;
        self.commit(holdings)
    }

    /// How many IDs are left.
    pub fn left(&self) -> u64 {
        self.holdings.left()
    }

    /// Whether it is time to ask for more: see [`Holdings::needs_more`].
    pub fn needs_more(&self, refill_below: f64, size: u64) -> bool {
        self.holdings.needs_more(refill_below, size)
    }

    /// What is held.
    pub fn holdings(&self) -> &Holdings {
        &self.holdings
    }

    /// Whose ledger it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many times it has been written.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// An empty ledger that is nobody else's.
    fn locked(path: &Path, kind: Kind) -> Result<Self, LedgerError> {
        let write_error = |cause| LedgerError::Write { path: path.into(), cause };
        disk::make_folder(path).map_err(write_error)?;
        let lock = disk::lock(path).map_err(write_error)?;
        let lock = lock.ok_or_else(|| LedgerError::InUse { path: path.into() })?;
        Ok(Self { path: path.into(), kind, generation: 0, holdings: Holdings::default(), _lock: lock })
    }

    fn commit_if(&mut self, changed: bool, holdings: Holdings) -> Result<(), LedgerError> {
        if changed { self.commit(holdings) } else { Ok(()) }
    }

    /// Writes `holdings` down, then holds them. If writing fails, the old ones are still held: whichever of the two
    /// the disk has then, nothing of the difference was handed out.
    fn commit(&mut self, holdings: Holdings) -> Result<(), LedgerError> {
        let generation = self.generation.saturating_add(1);
        let text = text::encode(self.kind, generation, &holdings);
        disk::replace(&self.path, text.as_bytes())
            .map_err(|cause| LedgerError::Write { path: self.path.clone(), cause })?;
        self.generation = generation;
        self.holdings = holdings;
        Ok(())
    }
}

fn read(path: &Path, kind: Option<Kind>) -> Result<Record, LedgerError> {
    let read_error = |cause| LedgerError::Read { path: path.into(), cause };
    let damaged = |reason| LedgerError::Damaged { path: path.into(), reason, way_out: way_out(kind) };
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(LedgerError::Absent { path: path.into() });
        }
        Err(error) => return Err(read_error(error)),
        Ok(meta) if meta.len() > FILE_BYTES_MAX => return Err(damaged("the file is too large")),
        Ok(_) => {}
    }
    let bytes = fs::read(path).map_err(read_error)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| damaged("the file is no text"))?;
    text::decode(text).map_err(damaged)
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
