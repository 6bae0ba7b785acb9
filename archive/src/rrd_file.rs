//! Calls of librrd on one file. Safe beside each other on different threads, unlike its drawing.

use std::{
    fs, io,
    path::Path,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use nix::sys::statvfs;
use rrd::{
    error::RrdError,
    ops::{create, info, update},
};
use switchboard_fleet::report::Sample;

use crate::{error::ArchiveError, layout};

/// An archive has a little less.
const ARCHIVE_BYTES: u64 = 360_000;

/// Pauses between attempts at a locked file: a reader holds it for well under a millisecond.
const PAUSES_MS: [u64; 10] = [2, 5, 10, 20, 50, 100, 200, 400, 600, 600];

/// Makes an empty archive that takes samples after `start_s`. A file that has the name loses it.
pub(crate) fn create(path: &Path, start_s: i64) -> Result<(), ArchiveError> {
    let make = || {
        let sources = layout::sources().map_err(|error| layout::malformed(&error))?;
        let rounds = layout::rounds().map_err(|error| layout::malformed(&error))?;
        create::create(path, time(start_s), layout::step(), false, None, &[], &sources, &rounds)
    };
    attempt(path, make)
}

/// When the archive was last written, seconds since 1970, after a look at its layout.
pub(crate) fn last_s(path: &Path) -> Result<i64, ArchiveError> {
    let info = attempt(path, || info::info(path))?;
    if let Some(difference) = layout::difference(&info) {
        return Err(ArchiveError::Foreign { path: path.into(), difference });
    }
    let last = layout::count(&info, "last_update").and_then(|last| i64::try_from(last).ok());
    last.ok_or_else(|| damaged(path, "it does not say when it was last written"))
}

/// Writes updates, which must ascend and come after all that is there.
pub(crate) fn update(path: &Path, updates: &[(i64, Option<Sample>)]) -> Result<(), ArchiveError> {
    if updates.is_empty() {
        return Ok(());
    }
    let data = updates
        .iter()
        .map(|(at_s, sample)| (update::BatchTime::Timestamp(time(*at_s)), layout::values(sample.as_ref())));
    let data: Vec<_> = data.collect();
    attempt(path, || update::update(path, &layout::NAMES, update::Options::default(), &data))
}

/// Tries again while another process has the file locked.
fn attempt<T>(path: &Path, call: impl Fn() -> Result<T, RrdError>) -> Result<T, ArchiveError> {
    let mut waited_ms = 0;
    let mut pauses = PAUSES_MS.iter();
    loop {
        match call() {
            Ok(value) => return Ok(value),
            Err(error) if is_lock(&error) => match pauses.next() {
                Some(pause_ms) => {
                    thread::sleep(Duration::from_millis(*pause_ms));
                    waited_ms += pause_ms;
                }
                None => return Err(ArchiveError::Locked { path: path.into(), waited_ms }),
            },
            Err(error) => return Err(sorted(path, &error)),
        }
    }
}

/// Whether librrd found the file locked; it has no codes for its errors.
pub(crate) fn is_lock(error: &RrdError) -> bool {
    matches!(error, RrdError::LibRrdError(text) if text.contains("could not lock"))
}

/// librrd's text says little about why: the system is asked whether the file can be used at all.
fn sorted(path: &Path, error: &RrdError) -> ArchiveError {
    let text = match error {
        RrdError::LibRrdError(text) => text.clone(),
        other => other.to_string(),
    };
    // What `strerror` says in the C locale, which the process keeps unless it sets another.
    for (part, kind) in [
        ("No space left", io::ErrorKind::StorageFull),
        ("quota exceeded", io::ErrorKind::QuotaExceeded),
        ("Read-only file system", io::ErrorKind::ReadOnlyFilesystem),
        ("Permission denied", io::ErrorKind::PermissionDenied),
    ] {
        if text.contains(part) {
            return ArchiveError::io(path, &io::Error::new(kind, text));
        }
    }
    match fs::OpenOptions::new().read(true).write(true).open(path) {
        Ok(_) => damaged(path, &text),
        // librrd takes away again what it could not make, without saying why.
        Err(cause) if cause.kind() == io::ErrorKind::NotFound && is_full(path) => {
            ArchiveError::Full { path: path.into() }
        }
        Err(cause) => ArchiveError::io(path, &cause),
    }
}

/// Whether there is no room for one more archive.
fn is_full(path: &Path) -> bool {
    let Some(folder) = path.parent() else { return false };
    let room = statvfs::statvfs(folder).map(|fs| fs.blocks_available().saturating_mul(fs.fragment_size()));
    room.is_ok_and(|bytes| bytes < ARCHIVE_BYTES)
}

pub(crate) fn damaged(path: &Path, why: &str) -> ArchiveError {
    ArchiveError::Damaged { path: path.into(), why: why.into() }
}

/// A time as librrd's binding takes it; nothing before 1970 gets here.
pub(crate) fn time(at_s: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(at_s).unwrap_or(0))
}
