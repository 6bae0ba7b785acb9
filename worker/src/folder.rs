//! The spool's folder: one process's at a time; what earlier lives left there; and the number of this life.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use nix::fcntl::{Flock, FlockArg};

use crate::file_name::FileName;

/// Holds the lock.
const LOCK: &str = "lock";
/// Holds the number of the newest life, decimal.
const BOOT: &str = "boot";
/// The end of the name of a file that is being written anew.
pub(crate) const UNFINISHED: &str = ".tmp";

/// The opened folder; nobody else has it while this lives.
#[derive(Debug)]
pub(crate) struct Folder {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// This life: greater than that of any earlier one that left a trace here.
    pub(crate) boot: u64,
    /// What earlier lives left, with lengths in bytes.
    pub(crate) files: Vec<(FileName, u64)>,
    _lock: Flock<File>,
}

impl Folder {
    /// Opens the folder, makes it if it is not there, and begins a life in it at `now_ms`.
    ///
    /// # Errors
    /// The system's, with the path: no access, or another process has the folder (`WouldBlock`).
    pub(crate) fn open(path: &Path, now_ms: u64) -> io::Result<Self> {
        let named = |error: io::Error| {
            io::Error::new(error.kind(), format!("{}: the spool cannot be used: {error}", path.display()))
        };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(named)?;
        let lock = lock(&path.join(LOCK)).map_err(named)?;
        let mut files = Vec::new();
        for entry in fs::read_dir(path).map_err(named)? {
            let entry = entry.map_err(named)?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            if name.ends_with(UNFINISHED) {
                fs::remove_file(entry.path()).map_err(named)?;
            } else if let Some(name) = FileName::parse(name) {
                files.push((name, entry.metadata().map_err(named)?.len()));
            }
        }
        // A life's number that cannot be read costs nothing: the clock gives the next one, as it gave that.
        let noted = fs::read_to_string(path.join(BOOT)).ok().and_then(|text| text.trim().parse().ok());
        let last = files.iter().map(|(name, _)| name.boot).chain(noted).max();
        let boot = now_ms.max(last.map_or(0, |last: u64| last.saturating_add(1)));
        let unfinished = path.join(format!("{BOOT}{UNFINISHED}"));
        fs::write(&unfinished, format!("{boot}\n")).map_err(named)?;
        fs::rename(&unfinished, path.join(BOOT)).map_err(named)?;
        Ok(Self { path: path.to_owned(), boot, files, _lock: lock })
    }
}

fn lock(path: &Path) -> io::Result<Flock<File>> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| {
        let error = io::Error::from(errno);
        match error.kind() {
            io::ErrorKind::WouldBlock => {
                io::Error::new(io::ErrorKind::WouldBlock, "another process has it; give each worker its own")
            }
            _ => error,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_life_has_a_greater_number_whatever_the_clock_says() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        assert_eq!(Folder::open(&path, 1000).unwrap().boot, 1000);
        assert_eq!(Folder::open(&path, 1000).unwrap().boot, 1001);
        assert_eq!(Folder::open(&path, 7).unwrap().boot, 1002);
        let left = FileName { boot: 5000, first: 1 };
        fs::write(path.join(left.text()), "12345").unwrap();
        fs::write(path.join("0.jsonl.tmp"), "").unwrap();
        fs::write(path.join(BOOT), "torn\0").unwrap();
        let opened = Folder::open(&path, 3000).unwrap();
        assert_eq!((opened.boot, opened.files.clone()), (5001, vec![(left, 5)]));
        assert!(!path.join("0.jsonl.tmp").exists());
    }

    #[test]
    fn one_process_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let first = Folder::open(folder.path(), 1).unwrap();
        let error = Folder::open(folder.path(), 2).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert!(error.to_string().contains("another process has it"), "{error}");
        drop(first);
        Folder::open(folder.path(), 2).unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let error = Folder::open(Path::new("/dev/null/spool"), 1).unwrap_err();
        assert!(error.to_string().starts_with("/dev/null/spool: "), "{error}");
    }
}
