//! One `up` per state folder.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::Path,
};

use anyhow::{Context, anyhow};
use nix::fcntl::{Flock, FlockArg};

/// Holds the folder as long as it lives; the system lets go of it with the process, however that ends.
pub(super) struct Held(#[allow(dead_code, reason = "held for its drop")] Flock<File>);

/// Takes the folder and writes this process's ID to `STATE_DIR/up.pid`.
///
/// # Errors
/// Another `up` has it, which is named.
pub(super) fn take(state_dir: &Path) -> anyhow::Result<Held> {
    let path = state_dir.join("up.pid");
    let cannot = || format!("{}: cannot be written; this user must own state_dir", path.display());
    let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    let mut held =
        Flock::lock(open.with_context(cannot)?, FlockArg::LockExclusiveNonblock).map_err(|_| {
            let pid = fs::read_to_string(&path).unwrap_or_default();
            anyhow!(
                "{}: `switchboard up` runs here already, as process {}; stop that one first",
                path.display(),
                pid.trim()
            )
        })?;
    let mut write = || -> io::Result<()> {
        held.set_len(0)?;
        writeln!(held, "{}", std::process::id())?;
        held.sync_all()
    };
    write().with_context(cannot)?;
    Ok(Held(held))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_one_is_told_of_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let first = take(folder.path()).unwrap();
        let error = take(folder.path()).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(&format!("process {};", std::process::id())), "{error}");
        drop(first);
        assert!(take(folder.path()).is_ok());
    }
}
