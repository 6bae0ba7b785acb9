//! What can go wrong with the journal.

use std::{
    io,
    path::{Path, PathBuf},
};

use rusqlite::ErrorCode;

/// Why the journal cannot be opened, written or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// The file is no whole database any more.
    #[error(
        "journal {path}: damaged: {why}: put a copy back; or move the folder's files away: a new journal is begun, without what was reported before"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A later version of this program has written it.
    #[error(
        "journal {path}: has layout {found}, and this version knows up to {known}: run the version that wrote it, or a later one"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The layout of the file.
        found: i64,
        /// The newest layout known here.
        known: i64,
    },
    /// The file is a database of another program.
    #[error("journal {path}: is another program's database: move it away, or choose another folder")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The file or its folder must not be read or written.
    #[error("journal {path}: may not be written: {why}: check owner, mode and mount")]
    Denied {
        /// The file.
        path: PathBuf,
        /// What the system says.
        why: String,
    },
    /// The disk is full.
    #[error("journal {path}: the disk is full: make room")]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// Another program has locked the database, for longer than was waited.
    #[error("journal {path}: locked by another program: end it (fuser {path})")]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// Another process has the journal of this folder.
    #[error("journal {folder}: in use by another process: only one may have it")]
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// Another failure of the disk or the file system.
    #[error("journal {path}: {why}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        why: String,
    },
    /// A search took too long and was given up.
    #[error("journal: the search took longer than {waited_s} s: ask for a shorter time or for one worker")]
    Slow {
        /// For how long it was tried, in seconds.
        waited_s: u64,
    },
    /// The writer has ended.
    #[error("journal: the writer has ended")]
    Closed,
}

/// Why a batch was not taken. Nothing of it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TakeError {
    /// Too much waits to be written: to be sent again later.
    #[error("too many reports wait to be written: send it again later")]
    Busy,
    /// It will never be taken as it is.
    #[error("the batch is refused: {0}")]
    Invalid(String),
    /// Its worker is not in the configuration, and as many others as are remembered are not either.
    #[error("{} unknown workers report already: add this one to monitor.workers", crate::UNKNOWN_MAX)]
    TooManyUnknown,
    /// As many workers as can be are remembered.
    #[error("{} workers are remembered: forget some that are gone", crate::WORKERS_MAX)]
    TooManyWorkers,
    /// It could not be written: to be sent again later.
    #[error(transparent)]
    Fault(#[from] JournalError),
}

impl JournalError {
    /// An error of the file system, sorted by what an admin has to do about it.
    pub(crate) fn io(path: &Path, error: &io::Error) -> Self {
        let path = path.to_owned();
        match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::Denied { path, why: error.to_string() }
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path },
            _ => Self::Io { path, why: error.to_string() },
        }
    }

    /// An error of the database, sorted likewise.
    pub(crate) fn sql(path: &Path, error: &rusqlite::Error) -> Self {
        let path = path.to_owned();
        let why = error.to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged { path, why },
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
                Self::Denied { path, why }
            }
            Some(ErrorCode::DiskFull) => Self::Full { path },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked { path },
            Some(_) => Self::Io { path, why },
            // The database gave something that was never put in.
            None => Self::Damaged { path, why },
        }
    }

    /// Whether it may be about a few rows only, so that others can still be written.
    pub(crate) fn may_be_of_some_rows(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::Io { .. })
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    #[test]
    fn each_failure_says_in_one_line_what_to_do() {
        for (code, part) in [
            (ffi::SQLITE_FULL, "make room"),
            (ffi::SQLITE_READONLY, "check owner"),
            (ffi::SQLITE_CANTOPEN, "check owner"),
            (ffi::SQLITE_CORRUPT, "put a copy back"),
            (ffi::SQLITE_NOTADB, "put a copy back"),
            (ffi::SQLITE_BUSY, "fuser"),
            (ffi::SQLITE_IOERR, "I/O"),
        ] {
            let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            let error = JournalError::sql(Path::new("/a/journal.db"), &error).to_string();
            assert!(error.contains(part) && error.contains("/a/journal.db"), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
        for (errno, part) in
            [(28, "full"), (30, "check owner"), (13, "check owner"), (122, "full"), (5, "/a/b")]
        {
            let error = JournalError::io(Path::new("/a/b"), &io::Error::from_raw_os_error(errno)).to_string();
            assert!(error.contains(part) && error.contains("/a/b"), "{error}");
        }
    }
}
