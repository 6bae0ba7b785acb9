//! The front's files: written beside, made durable, then put in place.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use data_encoding::HEXLOWER;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{FrontError, Site, Switches};

/// How long a command waits for another one that is changing the front.
const LOCK_WAIT: Duration = Duration::from_secs(10);

/// Writes a file that is durable, and whole or absent, whatever happens.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), FrontError> {
    let beside = beside(path);
    let put = || -> io::Result<()> {
        let mut file = fs::File::create(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        rename(&beside, path)
    };
    put().map_err(FrontError::file(path))
}

/// Where the next content of `path` is prepared.
pub(crate) fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

/// Puts a file in place of another, durably.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    to.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())
}

/// The text of a file, if there is one.
pub(crate) fn read(path: &Path) -> Result<Option<String>, FrontError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(FrontError::File { path: path.into(), error }),
    }
}

/// What is in `switches.json`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    generation: u64,
    switches: Switches,
    /// SHA-256 of the other two, in hexadecimal.
    checksum: String,
}

fn switches_file(dir: &Path) -> PathBuf {
    dir.join("switches.json")
}

fn checksum(generation: u64, switches: &Switches) -> String {
    let text = serde_json::json!([generation, switches]).to_string();
    HEXLOWER.encode(&Sha256::digest(text))
}

fn load(dir: &Path) -> Result<(u64, Switches), FrontError> {
    let path = switches_file(dir);
    let Some(text) = read(&path)? else { return Ok((0, Switches::default())) };
    let damaged = |why: String| FrontError::Switches { path: path.clone(), why };
    let stored: Stored = serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
    if stored.checksum != checksum(stored.generation, &stored.switches) {
        return Err(damaged("its checksum is wrong".into()));
    }
    Ok((stored.generation, stored.switches))
}

impl Switches {
    /// The switches kept in the front's folder; all on if none were ever kept.
    ///
    /// # Errors
    /// [`FrontError::Switches`] if the file is damaged, [`FrontError::File`] if it cannot be read.
    pub fn kept(site: &Site) -> Result<Self, FrontError> {
        load(&site.dir).map(|(_, switches)| switches)
    }
}

/// Keeps the switches; durable when this returns.
pub(crate) fn save_switches(dir: &Path, switches: &Switches) -> Result<(), FrontError> {
    let generation = load(dir)?.0 + 1;
    let checksum = checksum(generation, switches);
    let stored = Stored { generation, switches: switches.clone(), checksum };
    let path = switches_file(dir);
    let text =
        serde_json::to_string_pretty(&stored).map_err(io::Error::from).map_err(FrontError::file(&path))?;
    write(&path, &format!("{text}\n"))
}

/// Held while the front is changed; freed on drop, also by the death of the process.
pub(crate) struct Lock(#[allow(dead_code, reason = "held for its drop")] Flock<fs::File>);

impl Lock {
    /// Waits for its turn.
    ///
    /// # Errors
    /// [`FrontError::Busy`] after [`LOCK_WAIT`].
    pub(crate) fn take(dir: &Path) -> Result<Self, FrontError> {
        let path = dir.join("lock");
        let mut file = fs::File::create(&path).map_err(FrontError::file(&path))?;
        let deadline = Instant::now() + LOCK_WAIT;
        loop {
            file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => return Ok(Self(lock)),
                Err((_, _)) if Instant::now() >= deadline => return Err(FrontError::Busy { path }),
                Err((file, _)) => file,
            };
            thread::sleep(Duration::from_millis(20));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Switch;

    #[test]
    fn switches_survive_and_damage_is_told() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(load(folder.path()).unwrap(), (0, Switches::default()));
        let off = Switches::default().with(8082, Switch::Off, &[8081, 8082], false).unwrap();
        save_switches(folder.path(), &off).unwrap();
        save_switches(folder.path(), &off).unwrap();
        assert_eq!(load(folder.path()).unwrap(), (2, off));

        let path = switches_file(folder.path());
        let text = fs::read_to_string(&path).unwrap();
        for damaged in [text.replace("8082", "8081"), text[..text.len() / 2].into(), String::new()] {
            fs::write(&path, damaged).unwrap();
            assert!(matches!(load(folder.path()), Err(FrontError::Switches { .. })));
        }
    }

    #[test]
    fn only_one_changes_the_front_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let held = Lock::take(folder.path()).unwrap();
        let file = fs::File::create(folder.path().join("lock")).unwrap();
        let (file, _) = Flock::lock(file, FlockArg::LockExclusiveNonblock).unwrap_err();
        drop(held);
        assert!(Flock::lock(file, FlockArg::LockExclusiveNonblock).is_ok());
    }
}
