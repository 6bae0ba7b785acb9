//! A machine's disk: what a process sees, what a loss of power leaves of it, and copies that somebody may put back.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

use crate::disk::{Disk, Lock, NewFile};

/// What goes wrong after so many more steps.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fault {
    /// The process ends amid a step.
    Die { after: u64 },
    /// One step fails; it may have been done all the same.
    Fail { after: u64, done: bool },
}

#[derive(Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    synced: bool,
}

/// Names that change at once: a file for each, or none.
type Change = Vec<(PathBuf, Option<u64>)>;

#[derive(Debug, Default)]
struct State {
    contents: BTreeMap<u64, Content>,
    names: BTreeMap<PathBuf, u64>,
    durable: BTreeMap<PathBuf, u64>,
    pending: Vec<Change>,
    locks: BTreeMap<PathBuf, u64>,
    numbers: u64,
    fault: Option<Fault>,
    dead: bool,
}

/// A disk; clones are the same one. All files are in one folder, which is there.
#[derive(Debug, Clone, Default)]
pub(super) struct Memory(Arc<Mutex<State>>);

/// All files with their content.
pub(super) type Copy = BTreeMap<PathBuf, Vec<u8>>;

impl Memory {
    pub(super) fn arm(&self, fault: Fault) {
        self.state().fault = Some(fault);
    }

    /// Nothing goes wrong any more.
    pub(super) fn disarm(&self) {
        self.state().fault = None;
    }

    /// Whether the process has ended amid a step.
    pub(super) fn is_dead(&self) -> bool {
        self.state().dead
    }

    /// The process is gone; what it did is all there.
    pub(super) fn restart(&self) {
        let mut state = self.state();
        (state.fault, state.dead) = (None, false);
        state.locks.clear();
    }

    /// The power is gone too. `choose(n)` says which of `n` outcomes each thing has that was not synced.
    pub(super) fn lose_power(&self, mut choose: impl FnMut(usize) -> usize) {
        self.restart();
        let mut state = self.state();
        let state = &mut *state;
        let pending = std::mem::take(&mut state.pending);
        let kept = choose(pending.len() + 1);
        state.names = std::mem::take(&mut state.durable);
        pending.into_iter().take(kept).for_each(|change| apply(&mut state.names, change));
        state.durable = state.names.clone();
        state.forget();
        for content in state.contents.values_mut().filter(|content| !content.synced) {
            let len = content.bytes.len();
            content.bytes.truncate([0, len / 2, len][choose(3)]);
            content.synced = true;
        }
    }

    /// What a backup made now would hold.
    pub(super) fn copy(&self) -> Copy {
        let state = self.state();
        state.names.iter().map(|(path, file)| (path.clone(), state.contents[file].bytes.clone())).collect()
    }

    /// Puts a copy in the place of everything.
    pub(super) fn put_back(&self, copy: &Copy) {
        *self.state() = State::default();
        copy.iter().for_each(|(path, bytes)| self.put(path, bytes));
    }

    /// Puts a file there, durably.
    pub(super) fn put(&self, path: &Path, bytes: &[u8]) {
        let mut state = self.state();
        let file = state.file(Content { bytes: bytes.to_vec(), synced: true });
        state.names.insert(path.into(), file);
        state.durable.insert(path.into(), file);
    }

    /// Takes a file away, durably.
    pub(super) fn remove(&self, path: &Path) {
        let mut state = self.state();
        state.names.remove(path);
        state.durable.remove(path);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn step<T>(&self, does: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.state();
        if state.dead {
            return Err(io::Error::other("the process has ended"));
        }
        match &mut state.fault {
            Some(Fault::Die { after: 0 }) => {
                state.dead = true;
                return Err(io::Error::other("the process ends"));
            }
            Some(Fault::Fail { after: 0, done }) => {
                let done = *done;
                state.fault = None;
                if done {
                    does(&mut state)?;
                }
                return Err(io::Error::other("the disk fails"));
            }
            Some(Fault::Die { after } | Fault::Fail { after, .. }) => *after -= 1,
            None => {}
        }
        does(&mut state)
    }
}

fn apply(names: &mut BTreeMap<PathBuf, u64>, change: Change) {
    for (path, file) in change {
        match file {
            Some(file) => drop(names.insert(path, file)),
            None => drop(names.remove(&path)),
        }
    }
}

impl State {
    fn file(&mut self, content: Content) -> u64 {
        self.numbers += 1;
        self.contents.insert(self.numbers, content);
        self.numbers
    }

    fn change(&mut self, change: Change) {
        apply(&mut self.names, change.clone());
        self.pending.push(change);
    }

    fn named(&self, path: &Path) -> io::Result<u64> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Content without a name is gone.
    fn forget(&mut self) {
        let named: BTreeSet<u64> = self.names.values().copied().collect();
        self.contents.retain(|file, _| named.contains(file));
    }
}

impl Disk for Memory {
    fn read(&self, path: &Path, _: u64) -> io::Result<Option<Vec<u8>>> {
        let state = self.state();
        Ok(state.names.get(path).map(|file| state.contents[file].bytes.clone()))
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        Ok(self.state().names.contains_key(path))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn NewFile>> {
        self.step(|state| {
            let file = state.file(Content::default());
            if state.names.contains_key(path) {
                state.change(vec![(path.into(), None)]);
            }
            state.change(vec![(path.into(), Some(file))]);
            Ok(Box::new(Writing { disk: self.clone(), file }) as Box<dyn NewFile>)
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step(|state| {
            let file = state.named(from)?;
            state.change(vec![(to.into(), Some(file)), (from.into(), None)]);
            Ok(())
        })
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step(|state| {
            let file = state.named(from)?;
            state.change(vec![(to.into(), Some(file))]);
            Ok(())
        })
    }

    fn make_folders(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        self.step(|state| {
            state.pending.clear();
            state.durable = state.names.clone();
            state.forget();
            Ok(())
        })
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Lock>> {
        let mut state = self.state();
        if state.locks.contains_key(path) {
            return Ok(None);
        }
        state.numbers += 1;
        let number = state.numbers;
        state.locks.insert(path.into(), number);
        Ok(Some(Box::new(Locked { disk: self.clone(), path: path.into(), number })))
    }
}

struct Writing {
    disk: Memory,
    file: u64,
}

impl NewFile for Writing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.disk.step(|state| {
            if let Some(content) = state.contents.get_mut(&self.file) {
                content.bytes.extend_from_slice(bytes);
            }
            Ok(())
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        self.disk.step(|state| {
            if let Some(content) = state.contents.get_mut(&self.file) {
                content.synced = true;
            }
            Ok(())
        })
    }
}

#[derive(Debug)]
struct Locked {
    disk: Memory,
    path: PathBuf,
    number: u64,
}

impl Drop for Locked {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        // A process that is gone for the disk may be dropped later.
        if state.locks.get(&self.path) == Some(&self.number) {
            state.locks.remove(&self.path);
        }
    }
}
