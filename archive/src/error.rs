//! What can go wrong with an archive.

use std::{
    io,
    path::{Path, PathBuf},
};

/// Why a sample is not in its archive, or not yet. The other archives go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    /// The worker's name cannot name a file.
    #[error("archive: {worker:?} is no worker's name: expected 1 to 300 bytes without control characters")]
    Name {
        /// The name as given.
        worker: String,
    },
    /// Another process reads the file, and kept it locked for the whole time of the attempts. The sample is kept and goes in later.
    #[error(
        "archive {path}: locked by another process for more than {waited_ms} ms: end the program that keeps it open (fuser {path})"
    )]
    Locked {
        /// The file.
        path: PathBuf,
        /// How long it was tried, in ms.
        waited_ms: u64,
    },
    /// The file is no archive any more.
    #[error(
        "archive {path}: damaged: {why}: restore it, or move it away: it begins again from what is kept beside it"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The file is an archive with other sources or other round robins.
    #[error(
        "archive {path}: not the layout expected here: {difference}: move it away and a new one is begun"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The first difference found.
        difference: String,
    },
    /// The file or its folder must not be written.
    #[error("archive {path}: may not be written: {why}: check owner, mode and mount")]
    Denied {
        /// The file.
        path: PathBuf,
        /// What the system says.
        why: String,
    },
    /// The disk is full.
    #[error("archive {path}: the disk is full: make room")]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// Another failure of the file system.
    #[error("archive {path}: {why}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        why: String,
    },
    /// Another process writes the archives of this folder.
    #[error("archives {folder}: in use by another process: only one may write them")]
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// The sample is older than what can still be filled in. It is not stored.
    #[error(
        "archive of {worker}: a sample of {at_s} (seconds since 1970) is too old: nothing before {oldest_s} is taken"
    )]
    TooOld {
        /// Whose sample.
        worker: String,
        /// Its time, seconds since 1970.
        at_s: i64,
        /// The oldest time taken.
        oldest_s: i64,
    },
    /// The sample is more than a day ahead. It is not stored.
    #[error(
        "archive of {worker}: a sample of {at_s} (seconds since 1970) is more than a day ahead: check that machine's clock"
    )]
    TooFar {
        /// Whose sample.
        worker: String,
        /// Its time, seconds since 1970.
        at_s: i64,
    },
    /// The writer has ended.
    #[error("archives: the writer has ended")]
    Closed,
}

impl ArchiveError {
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_says_in_one_line_what_to_do() {
        for (errno, part) in [
            (28, "full"),
            (30, "may not be written"),
            (13, "may not be written"),
            (122, "full"),
            (5, "/a/b.rrd"),
        ] {
            let error =
                ArchiveError::io(Path::new("/a/b.rrd"), &io::Error::from_raw_os_error(errno)).to_string();
            assert!(error.contains(part) && error.contains("/a/b.rrd") && !error.contains('\n'), "{error}");
        }
    }
}
