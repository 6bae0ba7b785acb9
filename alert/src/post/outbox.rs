//! Letters on disk: one file each, named after the letter.

use std::{
    collections::BTreeSet,
    fs::{self, OpenOptions},
    io,
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};

use super::{disk, entry::Entry};
use crate::letter::Letter;

const SUFFIX: &str = "letter";
/// Most letters that were given up and are kept for a look.
const FAILED_MAX: usize = 1000;

/// The letters that are to be sent, in one folder of which no other process has an outbox.
///
/// Its functions block for as long as the disk does: milliseconds.
#[derive(Debug)]
pub struct Outbox {
    folder: PathBuf,
    _lock: Flock<fs::File>,
}

/// Why the outbox cannot do it.
#[derive(Debug, thiserror::Error)]
pub enum PostError {
    /// The folder or a file in it cannot be read or written.
    #[error("{}: {cause}: check the disk, and that this user may write there", path.display())]
    Disk {
        /// Where.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// Another process has it.
    #[error("{}: another process sends from this outbox: stop it first", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// There are [`Outbox::LETTERS_MAX`] letters.
    #[error("{}: the outbox is full ({} letters): see why the mail server takes none", path.display(), Outbox::LETTERS_MAX)]
    Full {
        /// The folder.
        path: PathBuf,
    },
    /// The letter is not one that can be kept.
    #[error(
        "the letter {name:?} cannot be kept: it has a strange name, no reader, or more than {} bytes",
        Outbox::BYTES_MAX
    )]
    Unfit {
        /// Its name.
        name: String,
    },
}

/// A file in the outbox.
pub(super) enum Found {
    Whole(Box<Entry>),
    /// Not a whole letter; kept aside under this path.
    Damaged(PathBuf),
}

impl Outbox {
    /// Most letters at once.
    pub const LETTERS_MAX: usize = 10_000;
    /// Most bytes of a letter.
    pub const BYTES_MAX: usize = 8 << 20;

    /// Opens the outbox in `folder`, which is made if it is not there, and keeps other processes out.
    ///
    /// # Errors
    /// `Disk`, `InUse`.
    pub fn open(folder: &Path) -> Result<Self, PostError> {
        let failed = folder.join("failed");
        fs::create_dir_all(&failed).map_err(on(&failed))?;
        disk::sync_folder(&failed).and_then(|()| disk::sync_folder(folder)).map_err(on(folder))?;
        let path = folder.join("lock");
        let file =
            OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(on(&path))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Self { folder: folder.into(), _lock: lock }),
            Err((_, Errno::EWOULDBLOCK)) => Err(PostError::InUse { path: folder.into() }),
            Err((_, errno)) => Err(PostError::Disk { path, cause: errno.into() }),
        }
    }

    /// Keeps a letter until it is sent: it is on disk when this returns. One that is there already is not changed.
    ///
    /// # Errors
    /// `Disk`, `Full`, `Unfit`: the letter is not kept.
    pub fn put(&self, letter: &Letter, now_ms: u64) -> Result<(), PostError> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let named = (1..=100).contains(&letter.name.len()) && letter.name.bytes().all(plain);
        if !named || letter.to.is_empty() || letter.message.len() > Self::BYTES_MAX {
            return Err(PostError::Unfit { name: letter.name.clone() });
        }
        let path = self.path(&letter.name);
        if path.try_exists().map_err(on(&path))? {
            return disk::sync_folder(&path).map_err(on(&path));
        }
        if self.paths()?.len() >= Self::LETTERS_MAX {
            return Err(PostError::Full { path: self.folder.clone() });
        }
        self.save(&Entry::new(letter, now_ms))
    }

    /// The names of the letters that wait.
    ///
    /// # Errors
    /// `Disk`.
    pub fn names(&self) -> Result<BTreeSet<String>, PostError> {
        let name = |path: &PathBuf| Some(path.file_stem()?.to_str()?.to_owned());
        Ok(self.paths()?.iter().filter_map(name).collect())
    }

    /// How many letters wait.
    ///
    /// # Errors
    /// `Disk`.
    pub fn len(&self) -> Result<usize, PostError> {
        Ok(self.paths()?.len())
    }

    /// Whether no letter waits.
    ///
    /// # Errors
    /// `Disk`.
    pub fn is_empty(&self) -> Result<bool, PostError> {
        Ok(self.len()? == 0)
    }

    /// Every letter, the oldest first; what is damaged is kept aside.
    pub(super) fn all(&self) -> Result<Vec<Found>, PostError> {
        let mut found = Vec::new();
        for path in self.paths()? {
            // A little more than a message, for the state.
            let bytes = disk::read(&path, Self::BYTES_MAX + (1 << 20));
            match bytes.as_ref().map(|bytes| Entry::from_bytes(bytes)) {
                Ok(Some(entry)) => found.push(Found::Whole(Box::new(entry))),
                Ok(None) => found.push(Found::Damaged(self.keep_damaged(&path)?)),
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    found.push(Found::Damaged(self.keep_damaged(&path)?));
                }
                Err(_) => return Err(on(&path)(bytes.err().unwrap_or_else(|| io::ErrorKind::Other.into()))),
            }
        }
        let age = |found: &Found| match found {
            Found::Whole(entry) => (entry.state.created_ms, entry.state.name.clone()),
            Found::Damaged(_) => (0, String::new()),
        };
        found.sort_by_cached_key(age);
        Ok(found)
    }

    /// Writes how far a letter has come.
    pub(super) fn save(&self, entry: &Entry) -> Result<(), PostError> {
        let path = self.path(&entry.state.name);
        let bytes = entry.to_bytes().map_err(|error| on(&path)(error.into()))?;
        disk::replace(&path, &bytes).map_err(on(&path))
    }

    /// Forgets a letter that was sent.
    pub(super) fn remove(&self, entry: &Entry) -> Result<(), PostError> {
        let path = self.path(&entry.state.name);
        fs::remove_file(&path).and_then(|()| disk::sync_folder(&path)).map_err(on(&path))
    }

    /// Keeps a letter that nobody took for a look. Where.
    pub(super) fn give_up(&self, entry: &Entry) -> Result<PathBuf, PostError> {
        self.save(entry)?;
        let from = self.path(&entry.state.name);
        let to = self.folder.join("failed").join(format!("{}.{SUFFIX}", entry.state.name));
        fs::rename(&from, &to).map_err(on(&from))?;
        disk::sync_folder(&to).and_then(|()| disk::sync_folder(&from)).map_err(on(&to))?;
        self.thin_failed().map_err(on(&to))?;
        Ok(to)
    }

    fn thin_failed(&self) -> io::Result<()> {
        let mut kept = Vec::new();
        for file in fs::read_dir(self.folder.join("failed"))? {
            let file = file?;
            kept.push((file.metadata()?.modified()?, file.path()));
        }
        kept.sort();
        let surplus = kept.len().saturating_sub(FAILED_MAX);
        kept.into_iter().take(surplus).try_for_each(|(_, path)| fs::remove_file(path))
    }

    fn keep_damaged(&self, path: &Path) -> Result<PathBuf, PostError> {
        let to =
            self.folder.join("failed").join(path.with_extension("damaged").file_name().unwrap_or_default());
        fs::rename(path, &to).map_err(on(path))?;
        disk::sync_folder(&to).and_then(|()| disk::sync_folder(path)).map_err(on(&to))?;
        Ok(to)
    }

    fn paths(&self) -> Result<Vec<PathBuf>, PostError> {
        let list = || -> io::Result<Vec<PathBuf>> {
            let mut paths = Vec::new();
            for file in fs::read_dir(&self.folder)? {
                let path = file?.path();
                if path.extension().is_some_and(|extension| extension == SUFFIX) {
                    paths.push(path);
                }
            }
            Ok(paths)
        };
        list().map_err(on(&self.folder))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.{SUFFIX}"))
    }
}

fn on(path: &Path) -> impl FnOnce(io::Error) -> PostError {
    let path = path.to_owned();
    |cause| PostError::Disk { path, cause }
}
