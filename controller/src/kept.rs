//! What a controller must not forget: on disk, whole or as it was before.

use std::{
    collections::{BTreeMap, VecDeque},
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use data_encoding::HEXLOWER;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use switchboard_fleet::front::{Done, Happened, Table};
use switchboard_health::Health;

use crate::{ControllerError, members::Members, switches::Switches};

/// So many orders are remembered, so that none is carried out twice.
const DONE_MAX: usize = 1000;

/// All of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Kept {
    pub(crate) switches: Switches,
    pub(crate) members: Members,
    pub(crate) healths: BTreeMap<String, Health>,
    /// What became of the last orders, the oldest first.
    done: VecDeque<Done>,
    /// The newest first.
    pub(crate) happened: VecDeque<Happened>,
}

impl Kept {
    /// What became of an order, if it is known.
    pub(crate) fn done(&self, id: &str) -> Option<&Done> {
        self.done.iter().rev().find(|done| done.id == id)
    }

    /// Remembers what became of an order.
    pub(crate) fn remember(&mut self, done: Done) {
        self.done.push_back(done);
        while self.done.len() > DONE_MAX {
            self.done.pop_front();
        }
    }

    /// Notes what happened.
    pub(crate) fn note(&mut self, happened: Happened) {
        self.happened.push_front(happened);
        self.happened.truncate(Table::HAPPENED_MAX);
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    generation: u64,
    kept: Value,
    /// SHA-256 of the other two, in hexadecimal.
    checksum: String,
}

/// The state's file, of which this process is the only writer.
#[derive(Debug)]
pub(crate) struct Store {
    path: PathBuf,
    generation: u64,
    /// Freed with the process, however it ends.
    _lock: Flock<fs::File>,
}

impl Store {
    /// Takes the folder for this process, and reads the state; `None` if there was none.
    ///
    /// # Errors
    /// Another controller has it, the file is damaged, or the folder cannot be used.
    pub(crate) fn open(folder: &Path) -> Result<(Self, Option<Kept>), ControllerError> {
        fs::create_dir_all(folder).map_err(ControllerError::file(folder))?;
        let lock = folder.join("controller.lock");
        let file = fs::OpenOptions::new().create(true).truncate(false).write(true).open(&lock);
        let file = file.map_err(ControllerError::file(&lock))?;
        let held = Flock::lock(file, FlockArg::LockExclusiveNonblock);
        let held = held.map_err(|_| ControllerError::Running { path: lock })?;
        let path = folder.join("controller.json");
        let (generation, kept) = match fs::read(&path) {
            Ok(text) => {
                let damaged = |why| ControllerError::Damaged { path: path.clone(), why };
                read(&text).map(|(generation, kept)| (generation, Some(kept))).map_err(damaged)?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => (0, None),
            Err(error) => return Err(ControllerError::File { path, error }),
        };
        Ok((Self { path, generation, _lock: held }, kept))
    }

    /// The state as a file's content, and where it goes: written by [`write`], in this order.
    pub(crate) fn prepare(&mut self, kept: &Kept) -> io::Result<(PathBuf, Vec<u8>)> {
        self.generation += 1;
        let (generation, kept) = (self.generation, serde_json::to_value(kept)?);
        let checksum = checksum(generation, &kept);
        let mut text = serde_json::to_vec(&Stored { generation, kept, checksum })?;
        text.push(b'\n');
        Ok((self.path.clone(), text))
    }
}

/// Puts a text in place of a file's; durable when this returns. Blocks.
pub(crate) fn write(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let mut file = fs::File::create(&beside)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    path.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())
}

fn read(text: &[u8]) -> Result<(u64, Kept), String> {
    let stored: Stored = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    if stored.checksum != checksum(stored.generation, &stored.kept) {
        return Err("its checksum is wrong".into());
    }
    let kept = serde_json::from_value(stored.kept).map_err(|error| error.to_string())?;
    Ok((stored.generation, kept))
}

fn checksum(generation: u64, kept: &Value) -> String {
    HEXLOWER.encode(&Sha256::digest(format!("{generation} {kept}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_comes_back_and_damage_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let (mut store, kept) = Store::open(folder.path()).unwrap();
        assert!(kept.is_none());
        assert!(matches!(Store::open(folder.path()), Err(ControllerError::Running { .. })));
        let mut kept = Kept::default();
        kept.switches.version = 7;
        kept.healths.insert("instances".into(), Health::new(1234));
        for id in 0..DONE_MAX + 5 {
            kept.remember(Done { id: id.to_string(), outcome: Ok("done".into()) });
        }
        let (path, text) = store.prepare(&kept).unwrap();
        write(&path, &text).unwrap();
        drop(store);
        let (store, kept) = Store::open(folder.path()).unwrap();
        let kept = kept.unwrap();
        assert_eq!((kept.switches.version, store.generation, kept.done.len()), (7, 1, DONE_MAX));
        assert!(kept.done("4").is_none() && kept.done("5").is_some());
        drop(store);
        for at in [0, 30, text.len() / 2, text.len() - 3] {
            let mut damaged = text.clone();
            damaged[at] = if damaged[at] == b'1' { b'2' } else { b'1' };
            fs::write(&path, &damaged).unwrap();
            let error = Store::open(folder.path()).unwrap_err().to_string();
            assert!(error.contains("restore the file"), "{error}");
        }
    }
}
