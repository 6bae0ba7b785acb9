//! The durable ledger: holdings in a file that is written before anything taken from it is handed out.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{
    disk::{self, Disk, Lock, System},
    error::LedgerError,
    mark::Mark,
    rules::{Holdings, IdRange},
    text::{self, COUNT_MAX, Kind, Record},
};

/// A file larger than this is no ledger: twice what the most ranges need.
pub(crate) const FILE_BYTES_MAX: u64 = 128 * 1024;

/// A ledger in use by this process, and by no other.
///
/// Each change is a write with two syncs, which blocks: take IDs by the dozen where many are needed.
#[derive(Debug)]
pub struct Ledger {
    pub(crate) path: PathBuf,
    pub(crate) kind: Kind,
    pub(crate) record: Record,
    pub(crate) disk: Box<dyn Disk>,
    _lock: Lock,
}

impl Ledger {
    /// Opens the ledger at `path` and locks it. An absent instance's ledger is an empty one; a file of the original
    /// service is converted in place.
    ///
    /// # Errors
    /// `Read`, `Write`, `Damaged`, `Foreign`, `InUse`; an absent master's ledger is `Absent`.
    pub fn open(path: &Path, kind: Kind) -> Result<Self, LedgerError> {
        Self::open_on(Box::new(System), path, kind)
    }

    pub(crate) fn open_on(disk: Box<dyn Disk>, path: &Path, kind: Kind) -> Result<Self, LedgerError> {
        let mut ledger = Self::locked(disk, path, kind)?;
        match ledger.load() {
            Err(LedgerError::Absent { .. }) if kind == Kind::Instance => {}
            other => other?,
        }
        Ok(ledger)
    }

    /// Reads the file into a ledger that is locked.
    pub(crate) fn load(&mut self) -> Result<(), LedgerError> {
        let (path, kind) = (self.path.clone(), self.kind);
        let record = read(&*self.disk, &path, Some(kind))?;
        if let Some(found) = record.kind.filter(|found| *found != kind) {
            return Err(LedgerError::Foreign { path, found, expected: kind });
        }
        // What is read may have been renamed here by a process that died before the sync: nobody is told of it before it stays.
        disk::settle(&*self.disk, &path).map_err(|cause| self.write_error(cause))?;
        if record.kind.is_some() {
            self.record = record;
            return Ok(());
        }
        let (epoch, whole) = match kind {
            Kind::Master => (record.epoch, record.whole),
            Kind::Instance => (0, None),
        };
        self.commit(Record { kind: Some(kind), epoch, whole, ..record })
    }

    /// Makes the master's ledger with the fleet's whole range, in epoch 1.
    ///
    /// # Errors
    /// [`LedgerError::Exists`] if there is a file, whatever it holds; `InUse`; `Write`.
    pub fn init_master(path: &Path, range: IdRange) -> Result<Self, LedgerError> {
        Self::init_master_on(Box::new(System), path, range)
    }

    pub(crate) fn init_master_on(
        disk: Box<dyn Disk>,
        path: &Path,
        range: IdRange,
    ) -> Result<Self, LedgerError> {
        let mut ledger = Self::locked(disk, path, Kind::Master)?;
        if ledger.is_there()? {
            return Err(LedgerError::Exists { path: path.into() });
        }
        ledger.add(range, None)?;
        Ok(ledger)
    }

    /// What the ledger at `path` says, without locking it or changing anything. While another process uses it,
    /// this is what it last wrote.
    ///
    /// # Errors
    /// `Absent`, `Read` or `Damaged`.
    pub fn read_only(path: &Path) -> Result<Record, LedgerError> {
        read(&System, path, None)
    }

    /// Gives up to `n` contiguous IDs from the front, written down as given when this returns; `None` if none are
    /// left.
    ///
    /// # Errors
    /// `Moved` if the ledger is sealed, or `Write`: nothing was given.
    pub fn take(&mut self, n: u64) -> Result<Option<IdRange>, LedgerError> {
        self.give(|holdings| holdings.take(n))
    }

    /// Gives up to `n` contiguous IDs from the back, as [`Ledger::take`].
    ///
    /// # Errors
    /// As [`Ledger::take`].
    pub fn cut(&mut self, n: u64) -> Result<Option<IdRange>, LedgerError> {
        self.give(|holdings| holdings.cut(n))
    }

    /// Takes in a granted range, and remembers the mark that came with it if it is newer: both written down when this returns.
    ///
    /// # Errors
    /// [`LedgerError::Add`] if the range overlaps what is held; `Moved` if the ledger is sealed; `Write`. Nothing was taken in.
    pub fn add(&mut self, range: IdRange, mark: Option<&Mark>) -> Result<(), LedgerError> {
        self.not_moved()?;
        let mut next = self.record.clone();
        next.holdings.add(range).map_err(|cause| LedgerError::Add { path: self.path.clone(), cause })?;
        if let Some(mark) = mark {
            remember(&mut next.known, mark);
        }
        if self.kind == Kind::Master {
            next.whole =
                text::span(&next.holdings).map(|held| next.whole.map_or(held, |whole| join(whole, held)));
        }
        self.commit(next)
    }

    /// Remembers a mark if it is newer than the one known; it is written down with the next change.
    pub fn note(&mut self, mark: &Mark) {
        remember(&mut self.record.known, mark);
    }

    /// Makes the next generation greater than `generation`: of a ledger begun anew, so that it is not taken for an older copy of what
    /// it was. It is written down with the next change.
    pub fn advance(&mut self, generation: u64) {
        self.record.generation = self.record.generation.max(generation.min(COUNT_MAX));
    }

    /// The newest mark that was heard of. A master's ledger does not write it down.
    pub fn known(&self) -> Option<&Mark> {
        self.record.known.as_ref()
    }

    /// How many IDs are left to give: none if the range has moved.
    pub fn left(&self) -> u64 {
        if self.record.moved.is_some() { 0 } else { self.record.holdings.left() }
    }

    /// What is held.
    pub fn holdings(&self) -> &Holdings {
        &self.record.holdings
    }

    /// Whose ledger it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many times it has been written; a repair makes it jump.
    pub fn generation(&self) -> u64 {
        self.record.generation
    }

    /// An empty ledger that is nobody else's.
    pub(crate) fn locked(disk: Box<dyn Disk>, path: &Path, kind: Kind) -> Result<Self, LedgerError> {
        let write_error = |cause| LedgerError::Write { path: path.into(), cause };
        disk::make_folder(&*disk, path).map_err(write_error)?;
        let lock = disk::lock(&*disk, path).map_err(write_error)?;
        let lock = lock.ok_or_else(|| LedgerError::InUse { path: path.into() })?;
        Ok(Self { path: path.into(), kind, record: Record::empty(kind), disk, _lock: lock })
    }

    /// Whether anything is at the ledger's path.
    pub(crate) fn is_there(&self) -> Result<bool, LedgerError> {
        self.disk.exists(&self.path).map_err(|cause| LedgerError::Read { path: self.path.clone(), cause })
    }

    pub(crate) fn not_moved(&self) -> Result<(), LedgerError> {
        match &self.record.moved {
            Some(moved) => Err(LedgerError::Moved { path: self.path.clone(), to: moved.to.clone() }),
            None => Ok(()),
        }
    }

    fn give(
        &mut self,
        taking: impl FnOnce(&mut Holdings) -> Option<IdRange>,
    ) -> Result<Option<IdRange>, LedgerError> {
        self.not_moved()?;
        let mut next = self.record.clone();
        let taken = taking(&mut next.holdings);
        if taken.is_some() {
            self.commit(next)?;
        }
        Ok(taken)
    }

    /// Writes `next` down, then holds it. If writing fails, the old state still counts: whichever of the two the disk has
    /// then, nothing of the difference was handed out.
    pub(crate) fn commit(&mut self, mut next: Record) -> Result<(), LedgerError> {
        next.generation = next.generation.saturating_add(1);
        if next.generation > COUNT_MAX || next.epoch > COUNT_MAX {
            return Err(self.write_error(io::Error::other("its epochs or generations are used up")));
        }
        disk::replace(&*self.disk, &self.path, text::encode(&next).as_bytes())
            .map_err(|cause| self.write_error(cause))?;
        self.record = next;
        Ok(())
    }

    pub(crate) fn write_error(&self, cause: io::Error) -> LedgerError {
        LedgerError::Write { path: self.path.clone(), cause }
    }
}

fn remember(known: &mut Option<Mark>, mark: &Mark) {
    match known {
        // One state of one ledger; it is known that another has granted further.
        Some(known) if !mark.is_newer_than(known) && !known.is_newer_than(mark) => {
            known.granted_to = known.granted_to.max(mark.granted_to);
            known.last = known.last.max(mark.last);
        }
        Some(known) if known.is_newer_than(mark) => {}
        _ => *known = Some(mark.clone()),
    }
}

fn join(a: IdRange, b: IdRange) -> IdRange {
    IdRange::new(a.first().min(b.first()), a.last().max(b.last())).unwrap_or(a)
}

fn read(disk: &dyn Disk, path: &Path, kind: Option<Kind>) -> Result<Record, LedgerError> {
    let damaged = |reason| LedgerError::Damaged { path: path.into(), reason, kind };
    let bytes = disk.read(path, FILE_BYTES_MAX + 1);
    let bytes = bytes.map_err(|cause| LedgerError::Read { path: path.into(), cause })?;
    let bytes = bytes.ok_or_else(|| LedgerError::Absent { path: path.into() })?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(damaged("the file is too large"));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| damaged("the file is no text"))?;
    text::decode(text).map_err(damaged)
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
