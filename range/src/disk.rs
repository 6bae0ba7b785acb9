//! Writing a small file so that it is always whole: beside, synced, renamed, the folder synced.
//!
//! What is done with the system goes through [`Disk`], so that tests can stop a ledger after any step and take away what was
//! not synced yet.

use std::{
    ffi::OsString,
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};

/// What a ledger asks of the file system. Nothing is durable before the sync that is named for it.
pub(crate) trait Disk: fmt::Debug + Send {
    /// At most `bytes_max` bytes from the start of a file; `None` if there is no file.
    fn read(&self, path: &Path, bytes_max: u64) -> io::Result<Option<Vec<u8>>>;
    /// Whether anything has this name.
    fn exists(&self, path: &Path) -> io::Result<bool>;
    /// An empty file; one that has the name loses it.
    fn create(&self, path: &Path) -> io::Result<Box<dyn NewFile>>;
    /// Gives a file another name, atomically instead of the file that has it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives a file a second name, which must be free.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Makes a folder and those above it, as far as they are missing.
    fn make_folders(&self, folder: &Path) -> io::Result<()>;
    /// Makes the names in a folder durable.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
    /// Keeps other processes away while the lock lives; `None` if one of them has it.
    fn lock(&self, path: &Path) -> io::Result<Option<Lock>>;
}

/// A file that is being written.
pub(crate) trait NewFile {
    /// Writes behind what is there.
    fn write(&mut self, content: &[u8]) -> io::Result<()>;
    /// Makes the content durable; the name is the folder's affair.
    fn sync(&mut self) -> io::Result<()>;
}

/// Held until it is dropped.
pub(crate) type Lock = Box<dyn fmt::Debug + Send>;

/// The system's files.
#[derive(Debug)]
pub(crate) struct System;

impl Disk for System {
    fn read(&self, path: &Path, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let mut content = Vec::new();
        file.take(bytes_max).read_to_end(&mut content)?;
        Ok(Some(content))
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        path.try_exists()
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn NewFile>> {
        // Not emptied: after a crash amid a rename the name may be one of two that the ledger has.
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(Box::new(File::create_new(path)?)),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn make_folders(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Lock>> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Some(Box::new(lock))),
            Err((_, Errno::EWOULDBLOCK)) => Ok(None),
            Err((_, errno)) => Err(errno.into()),
        }
    }
}

impl NewFile for File {
    fn write(&mut self, content: &[u8]) -> io::Result<()> {
        self.write_all(content)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_all()
    }
}

/// Replaces the file at `path` durably. After a crash at any moment the file has its old or its new content.
pub(crate) fn replace(disk: &dyn Disk, path: &Path, content: &[u8]) -> io::Result<()> {
    let new = beside(path, ".new");
    let mut file = disk.create(&new)?;
    file.write(content)?;
    file.sync()?;
    drop(file);
    disk.rename(&new, path)?;
    settle(disk, path)
}

/// Makes the name at `path` durable, whoever gave it: a process may have died between renaming and syncing.
pub(crate) fn settle(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    disk.sync_folder(folder(path))
}

/// Keeps the file at `path` under a second name as well, durably. False if there is no file.
pub(crate) fn keep_aside(disk: &dyn Disk, path: &Path, aside: &Path) -> io::Result<bool> {
    if !disk.exists(path)? {
        return Ok(false);
    }
    disk.link(path, aside)?;
    settle(disk, path)?;
    Ok(true)
}

/// Makes the folder of the file at `path`, durably, if the file is not there yet.
pub(crate) fn make_folder(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    if disk.exists(path)? {
        return Ok(());
    }
    let folder = folder(path);
    disk.make_folders(folder)?;
    // A new folder's name stands in its parent. All above are synced, also if the folder is there: it may be the work of a
    // process that died before it came to this.
    for above in folder.ancestors().skip(1) {
        match disk.sync_folder(named(above)) {
            // Not this user's, so not made by it either.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            other => other?,
        }
    }
    Ok(())
}

/// The lock that keeps a second process from the file at `path`; `None` if another holds it.
///
/// It lies beside the file, since the file itself is replaced.
pub(crate) fn lock(disk: &dyn Disk, path: &Path) -> io::Result<Option<Lock>> {
    disk.lock(&beside(path, ".lock"))
}

fn folder(path: &Path) -> &Path {
    named(path.parent().unwrap_or(path))
}

/// The folder itself, where an empty path would mean it.
fn named(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}

/// The path with `suffix` behind its name.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}
