//! A file system that keeps apart what a process sees and what a loss of power leaves, as POSIX allows: content is durable after
//! the file's sync, names are durable after their folder's, and anything not synced may be there, or not, or in part.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

use crate::disk::{Disk, Lock, NewFile};

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    Folder,
    File(usize),
}

#[derive(Debug, Clone, Default)]
struct Content {
    seen: Vec<u8>,
    durable: Vec<u8>,
}

/// A change of names that is not durable yet: each edit gives a name something to stand for, or takes the name away. A loss of
/// power may keep all edits, none, or only the first.
#[derive(Debug, Clone)]
struct Change {
    folder: PathBuf,
    edits: Vec<(PathBuf, Option<Node>)>,
}

/// What goes wrong next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The process ends after so many more steps; of a write that follows, half is done.
    Die { after: usize },
    /// One step fails, after so many more; it may have been done all the same.
    Fail { after: usize, done: bool },
}

#[derive(Debug, Default)]
struct State {
    contents: Vec<Content>,
    names: BTreeMap<PathBuf, Node>,
    durable: BTreeMap<PathBuf, Node>,
    pending: Vec<Change>,
    locks: BTreeSet<PathBuf>,
    fault: Option<Fault>,
    steps: usize,
    dead: bool,
}

/// What is to become of a step.
enum Turn {
    Done,
    /// Fails with an error, done or not.
    Failed {
        done: bool,
    },
    Dying,
    Dead,
}

/// A recording disk; clones are the same disk.
#[derive(Debug, Clone, Default)]
pub(super) struct Recording(Arc<Mutex<State>>);

impl Recording {
    /// A disk of its own in the same state, with nobody using it.
    pub(super) fn fork(&self) -> Self {
        let state = self.state();
        let named = state.names.values().chain(state.durable.values());
        let pending =
            state.pending.iter().flat_map(|change| &change.edits).filter_map(|(_, node)| node.as_ref());
        let used: BTreeSet<usize> = named.chain(pending).filter_map(|node| node.file()).collect();
        let copy = |(n, content): (usize, &Content)| {
            if used.contains(&n) { content.clone() } else { Content::default() }
        };
        Self(Arc::new(Mutex::new(State {
            contents: state.contents.iter().enumerate().map(copy).collect(),
            names: state.names.clone(),
            durable: state.durable.clone(),
            pending: state.pending.clone(),
            locks: BTreeSet::new(),
            ..*state
        })))
    }

    /// Counts from here: the fault comes after so many steps more.
    pub(super) fn arm(&self, fault: Fault) {
        self.state().fault = Some(fault);
    }

    /// Steps done or tried so far.
    pub(super) fn steps(&self) -> usize {
        self.state().steps
    }

    pub(super) fn is_dead(&self) -> bool {
        self.state().dead
    }

    /// The process is gone; what it did is all there.
    pub(super) fn restart(&self) {
        let mut state = self.state();
        state.fault = None;
        state.dead = false;
        state.locks.clear();
    }

    /// The power is gone. `choose(n)` says which of `n` outcomes each thing has that was not synced.
    pub(super) fn lose_power(&self, mut choose: impl FnMut(usize) -> usize) {
        self.restart();
        let mut state = self.state();
        let state = &mut *state;
        for change in std::mem::take(&mut state.pending) {
            let kept = match choose(change.edits.len() + 1) {
                0 => change.edits.len(),
                n => n - 1,
            };
            state.durable.extend_edits(&change.edits[..kept]);
        }
        state.drop_orphans();
        let named: BTreeSet<usize> = state.names.values().filter_map(|node| node.file()).collect();
        for (n, content) in state.contents.iter_mut().enumerate() {
            // What nobody can see any more has no outcomes worth telling apart.
            if named.contains(&n) && content.seen != content.durable {
                content.seen = torn(content, &mut choose);
            }
            content.durable.clone_from(&content.seen);
        }
    }

    /// Puts a file there, durably; by somebody else.
    pub(super) fn put(&self, path: &Path, content: &[u8]) {
        let mut state = self.state();
        let content = Content { seen: content.to_vec(), durable: content.to_vec() };
        state.contents.push(content);
        let node = Node::File(state.contents.len() - 1);
        for folder in path.ancestors().skip(1) {
            state.names.insert(folder.into(), Node::Folder);
            state.durable.insert(folder.into(), Node::Folder);
        }
        state.names.insert(path.into(), node);
        state.durable.insert(path.into(), node);
    }

    /// The content that a process sees.
    pub(super) fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.state();
        let file = state.names.get(path)?.file()?;
        Some(state.contents[file].seen.clone())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Does a step, or what is left of it by the fault.
    fn step<T>(
        &self,
        half: impl FnOnce(&mut State),
        whole: impl FnOnce(&mut State) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut state = self.state();
        match state.turn() {
            Turn::Done => whole(&mut state),
            Turn::Failed { done } => {
                if done {
                    whole(&mut state)?;
                }
                Err(io::Error::other("the disk fails"))
            }
            Turn::Dying => {
                half(&mut state);
                Err(io::Error::other("the process ends"))
            }
            Turn::Dead => Err(io::Error::other("the process has ended")),
        }
    }
}

fn torn(content: &Content, choose: &mut impl FnMut(usize) -> usize) -> Vec<u8> {
    let len = content.seen.len();
    match choose(6) {
        0 => content.seen.clone(),
        1 => content.durable.clone(),
        2 => Vec::new(),
        3 => content.seen[..len / 2].to_vec(),
        4 => content.seen[..len.saturating_sub(1)].to_vec(),
        _ => vec![0; len],
    }
}

trait Edits {
    fn extend_edits(&mut self, edits: &[(PathBuf, Option<Node>)]);
}

impl Edits for BTreeMap<PathBuf, Node> {
    fn extend_edits(&mut self, edits: &[(PathBuf, Option<Node>)]) {
        for (path, node) in edits {
            match node {
                Some(node) => drop(self.insert(path.clone(), *node)),
                None => drop(self.remove(path)),
            }
        }
    }
}

impl Node {
    fn file(self) -> Option<usize> {
        match self {
            Self::File(file) => Some(file),
            Self::Folder => None,
        }
    }
}

impl State {
    fn turn(&mut self) -> Turn {
        if self.dead {
            return Turn::Dead;
        }
        self.steps += 1;
        match &mut self.fault {
            None => Turn::Done,
            Some(Fault::Die { after: 0 }) => {
                self.dead = true;
                Turn::Dying
            }
            Some(Fault::Fail { after: 0, done }) => {
                let done = *done;
                self.fault = None;
                Turn::Failed { done }
            }
            Some(Fault::Die { after } | Fault::Fail { after, .. }) => {
                *after -= 1;
                Turn::Done
            }
        }
    }

    fn change(&mut self, folder: &Path, edits: Vec<(PathBuf, Option<Node>)>) {
        self.names.extend_edits(&edits);
        self.pending.push(Change { folder: folder.into(), edits });
    }

    fn named(&self, path: &Path) -> io::Result<Node> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// After a loss of power: a name lives only as long as the folders above it.
    fn drop_orphans(&mut self) {
        let all = self.durable.clone();
        let there = |path: &Path| path == Path::new("/") || all.contains_key(path);
        self.durable.retain(|path, _| path.ancestors().all(there));
        self.names.clone_from(&self.durable);
    }
}

fn folder_of(path: &Path) -> PathBuf {
    path.parent().unwrap().into()
}

impl Disk for Recording {
    fn read(&self, path: &Path, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
        let content = self.content(path);
        Ok(content.map(|content| content.into_iter().take(bytes_max as usize).collect()))
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        Ok(self.state().names.contains_key(path))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn NewFile>> {
        self.step(nothing, |state| {
            let folder = folder_of(path);
            if folder != Path::new("/") {
                state.named(&folder)?;
            }
            if state.names.contains_key(path) {
                state.change(&folder, vec![(path.into(), None)]);
            }
            state.contents.push(Content::default());
            let file = state.contents.len() - 1;
            state.change(&folder, vec![(path.into(), Some(Node::File(file)))]);
            Ok(Box::new(Writing { disk: self.clone(), file }) as Box<dyn NewFile>)
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step(nothing, |state| {
            let node = state.named(from)?;
            state.change(&folder_of(to), vec![(to.into(), Some(node)), (from.into(), None)]);
            Ok(())
        })
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step(nothing, |state| {
            let node = state.named(from)?;
            if state.names.contains_key(to) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            state.change(&folder_of(to), vec![(to.into(), Some(node))]);
            Ok(())
        })
    }

    fn make_folders(&self, folder: &Path) -> io::Result<()> {
        let above: Vec<_> = folder.ancestors().filter(|above| *above != Path::new("/")).collect();
        for above in above.into_iter().rev() {
            if !self.exists(above)? {
                self.step(nothing, |state| {
                    state.change(&folder_of(above), vec![(above.into(), Some(Node::Folder))]);
                    Ok(())
                })?;
            }
        }
        Ok(())
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.step(nothing, |state| {
            for change in std::mem::take(&mut state.pending) {
                if change.folder == folder {
                    state.durable.extend_edits(&change.edits);
                } else {
                    state.pending.push(change);
                }
            }
            Ok(())
        })
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Lock>> {
        let free = self.state().locks.insert(path.into());
        Ok(free.then(|| Box::new(Locked { disk: self.clone(), path: path.into() }) as Lock))
    }
}

struct Writing {
    disk: Recording,
    file: usize,
}

impl NewFile for Writing {
    fn write(&mut self, content: &[u8]) -> io::Result<()> {
        let file = self.file;
        let write = |state: &mut State, content: &[u8]| state.contents[file].seen.extend_from_slice(content);
        self.disk.step(
            |state| write(state, &content[..content.len() / 2]),
            |state| {
                write(state, content);
                Ok(())
            },
        )
    }

    fn sync(&mut self) -> io::Result<()> {
        self.disk.step(nothing, |state| {
            let content = &mut state.contents[self.file];
            content.durable.clone_from(&content.seen);
            Ok(())
        })
    }
}

#[derive(Debug)]
struct Locked {
    disk: Recording,
    path: PathBuf,
}

impl Drop for Locked {
    fn drop(&mut self) {
        self.disk.state().locks.remove(&self.path);
    }
}

/// A step that is not a write is done or not.
fn nothing(_: &mut State) {}
