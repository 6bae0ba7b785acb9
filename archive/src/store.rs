//! One worker's files: the archive itself (`NAME.rrd`), and what it takes to write its end again when a sample comes late: the archive
//! as it was some time ago (`NAME.base`) and the samples since (`NAME.tail`).

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use switchboard_fleet::report::Sample;

use crate::{
    archives::Written,
    error::ArchiveError,
    layout,
    order::{self, Place},
    rrd_file, tail,
};

/// A worker's archive as its writer knows it.
#[derive(Debug)]
pub(crate) struct Store {
    worker: String,
    archive: PathBuf,
    /// The archive's size, which never changes: whatever else has this name is not opened.
    bytes: Option<u64>,
    /// When the base was last written; nothing up to then can be filled in. `None`: there was nothing before the tail.
    base_s: Option<i64>,
    /// When the archive was last written.
    newest_s: Option<i64>,
    /// Samples in the tail.
    tail_samples: usize,
    /// How many of them are too many.
    cut_at: usize,
    tail_bytes: u64,
    /// Samples of the tail that are not in the archive yet.
    waiting: BTreeMap<i64, Sample>,
    /// Whether the tail has late samples, so that the end of the archive must be written again.
    stale: bool,
}

impl Store {
    /// Looks at the files of `worker`, and makes those that belong beside an archive that has none.
    pub(crate) fn open(folder: &Path, worker: &str) -> Result<Self, ArchiveError> {
        let archive = folder.join(crate::file_name::of_worker(worker)?);
        if let Some(parent) = archive.parent() {
            fs::create_dir_all(parent).map_err(|error| ArchiveError::io(parent, &error))?;
        }
        let mut store = Self {
            worker: worker.into(),
            archive,
            bytes: None,
            base_s: None,
            newest_s: None,
            tail_samples: 0,
            cut_at: order::TAIL_SAMPLES,
            tail_bytes: 0,
            waiting: BTreeMap::new(),
            stale: false,
        };
        store.load()?;
        Ok(store)
    }

    fn load(&mut self) -> Result<(), ArchiveError> {
        let mut tail = self.read_tail()?;
        if is_there(&self.archive)? {
            self.look()?;
        }
        self.load_base(&tail)?;
        // An archive of the original service, one whose base was removed, or whose tail misses what a power failure took, or what
        // another program wrote: it counts as it is.
        let known = |newest_s: i64| tail.samples.contains_key(&newest_s) || self.base_s == Some(newest_s);
        let lost_base = tail.based && self.base_s.is_none();
        match self.newest_s {
            Some(newest_s) if lost_base || !known(newest_s) => tail = self.rebase(&tail.samples)?,
            None if lost_base => {
                return Err(rrd_file::damaged(&self.beside("base"), "it is gone, and so is the archive"));
            }
            _ => {}
        }
        let base_s = self.base_s.unwrap_or(0);
        tail.samples.retain(|at_s, _| *at_s > base_s);
        self.tail_samples = tail.samples.len();
        self.tail_bytes = tail.bytes as u64;
        // Without the archive its end is written again, from its base and its tail.
        self.stale = tail.unordered || (self.newest_s.is_none() && !tail.samples.is_empty());
        let newest_s = self.newest_s.unwrap_or(0);
        self.waiting = tail.samples.split_off(&(newest_s + 1));
        Ok(())
    }

    /// A base counts only with its tail: without one, something else has the archive's name now.
    fn load_base(&mut self, tail: &tail::Tail) -> Result<(), ArchiveError> {
        let base = self.beside("base");
        if tail.bytes > 0 && is_there(&base)? {
            self.base_s = Some(rrd_file::last_s(&base)?);
        }
        Ok(())
    }

    /// Takes the archive as it stands for the base.
    fn rebase(&mut self, samples: &BTreeMap<i64, Sample>) -> Result<tail::Tail, ArchiveError> {
        let base = self.beside("base");
        replace(&base, |new| {
            fs::copy(&self.archive, new).map(|_| ()).map_err(|error| ArchiveError::io(new, &error))
        })?;
        self.base_s = self.newest_s;
        let newest_s = self.newest_s.unwrap_or(0);
        let kept = samples.range(newest_s + 1..).map(|(at_s, sample)| (*at_s, *sample)).collect();
        self.write_tail(true, kept)
    }

    /// Stores a sample, and brings it into the archive if its place is at the end.
    pub(crate) fn write(&mut self, now_s: i64, at_s: i64, sample: &Sample) -> Result<Written, ArchiveError> {
        let place = order::place(now_s, at_s, self.base_s, self.newest_s);
        match place {
            Place::TooOld(oldest_s) => {
                Err(ArchiveError::TooOld { worker: self.worker.clone(), at_s, oldest_s })
            }
            Place::TooFar => Err(ArchiveError::TooFar { worker: self.worker.clone(), at_s }),
            Place::Late => {
                if self.read_tail()?.samples.contains_key(&at_s) {
                    return Ok(Written::Repeated);
                }
                self.append(at_s, sample)?;
                self.stale = true;
                Ok(Written::Late)
            }
            Place::Held | Place::Next => {
                let repeated = self.waiting.contains_key(&at_s);
                if !repeated {
                    self.append(at_s, sample)?;
                    self.waiting.insert(at_s, *sample);
                }
                self.apply(if place == Place::Next { at_s.max(now_s) } else { now_s })?;
                Ok(match (repeated, place) {
                    (true, _) => Written::Repeated,
                    (false, Place::Held) => Written::Held,
                    (false, _) => Written::Added,
                })
            }
        }
    }

    /// Brings what waits into the archive, up to a time.
    pub(crate) fn apply(&mut self, upto_s: i64) -> Result<(), ArchiveError> {
        let due: BTreeMap<_, _> =
            self.waiting.range(..=upto_s).map(|(at_s, sample)| (*at_s, *sample)).collect();
        if self.stale || due.is_empty() {
            return Ok(());
        }
        match self.newest_s {
            None => self.begin(&due)?,
            Some(newest_s) => {
                self.check_size()?;
                rrd_file::update(&self.archive, &order::updates(newest_s, &due))?;
            }
        }
        self.newest_s = due.last_key_value().map(|(at_s, _)| *at_s).or(self.newest_s);
        self.waiting.retain(|at_s, _| *at_s > upto_s);
        Ok(())
    }

    /// Makes the archive with its first samples.
    fn begin(&mut self, samples: &BTreeMap<i64, Sample>) -> Result<(), ArchiveError> {
        replace(&self.archive, |new| fresh(new, samples))?;
        self.look()
    }

    /// Whether the end of the archive must be written again.
    pub(crate) fn is_stale(&self) -> bool {
        self.stale
    }

    /// Whether the tail is due to be cut.
    pub(crate) fn is_long(&self) -> bool {
        self.tail_samples >= self.cut_at
    }

    /// Whether there are samples that wait for their time, or for a file that could not be written.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// When the archive was last written.
    pub(crate) fn newest_s(&self) -> Option<i64> {
        self.newest_s
    }

    /// Writes the end of the archive again, with the samples that came late.
    pub(crate) fn rebuild(&mut self, now_s: i64) -> Result<(), ArchiveError> {
        let samples = self.read_tail()?.samples;
        let mut due = samples.clone();
        let later = due.split_off(&(now_s + order::AHEAD_S + 1).max(self.newest_s.unwrap_or(0) + 1));
        if !due.is_empty() {
            replace(&self.archive, |new| self.replay(new, &due))?;
            self.look()?;
        }
        // In order again, which says that the archive has them.
        self.write_tail(self.base_s.is_some(), samples)?;
        self.waiting = later;
        self.stale = false;
        Ok(())
    }

    /// Cuts the tail: what is older than a day becomes part of the base.
    pub(crate) fn cut(&mut self) -> Result<(), ArchiveError> {
        let mut old = self.read_tail()?.samples;
        let kept = old.split_off(&(self.newest_s.unwrap_or(0) - order::KEPT_S));
        if !old.is_empty() {
            let base = self.beside("base");
            replace(&base, |new| self.replay(new, &old))?;
            self.base_s = Some(rrd_file::last_s(&base)?);
        }
        self.cut_at = order::TAIL_SAMPLES.max(2 * kept.len());
        self.write_tail(self.base_s.is_some(), kept).map(|_| ())
    }

    /// The base and `samples` as a new archive.
    fn replay(&self, new: &Path, samples: &BTreeMap<i64, Sample>) -> Result<(), ArchiveError> {
        let Some(base_s) = self.base_s else { return fresh(new, samples) };
        fs::copy(self.beside("base"), new).map_err(|error| ArchiveError::io(new, &error))?;
        rrd_file::update(new, &order::updates(base_s, samples))
    }

    /// Notes when the archive was last written, and its size.
    fn look(&mut self) -> Result<(), ArchiveError> {
        self.newest_s = Some(rrd_file::last_s(&self.archive)?);
        self.bytes =
            Some(fs::metadata(&self.archive).map_err(|error| ArchiveError::io(&self.archive, &error))?.len());
        Ok(())
    }

    /// librrd maps the file into memory: one cut short would end the process.
    fn check_size(&self) -> Result<(), ArchiveError> {
        let bytes =
            fs::metadata(&self.archive).map_err(|error| ArchiveError::io(&self.archive, &error))?.len();
        if Some(bytes) == self.bytes {
            return Ok(());
        }
        Err(rrd_file::damaged(
            &self.archive,
            &format!("it has {bytes} bytes, expected {}", self.bytes.unwrap_or(0)),
        ))
    }

    fn beside(&self, ending: &str) -> PathBuf {
        self.archive.with_extension(ending)
    }

    fn read_tail(&self) -> Result<tail::Tail, ArchiveError> {
        let path = self.beside("tail");
        match fs::read(&path) {
            Ok(text) => tail::parse(&text).map_err(|line| {
                rrd_file::damaged(
                    &path,
                    &format!(
                        "line {line} is none of a tail's: remove that file to go on without late samples"
                    ),
                )
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(tail::Tail::default()),
            Err(error) => Err(ArchiveError::io(&path, &error)),
        }
    }

    fn write_tail(
        &mut self,
        based: bool,
        samples: BTreeMap<i64, Sample>,
    ) -> Result<tail::Tail, ArchiveError> {
        let text = tail::print(based, &samples);
        let path = self.beside("tail");
        replace(&path, |new| fs::write(new, &text).map_err(|error| ArchiveError::io(new, &error)))?;
        self.tail_samples = samples.len();
        self.tail_bytes = text.len() as u64;
        Ok(tail::Tail { based, samples, bytes: text.len(), unordered: false })
    }

    /// Adds a line to the tail; one that could not be written in full is taken away again.
    fn append(&mut self, at_s: i64, sample: &Sample) -> Result<(), ArchiveError> {
        let path = self.beside("tail");
        let failed = |error: io::Error| ArchiveError::io(&path, &error);
        let mut text = if self.tail_bytes == 0 { tail::header(self.base_s.is_some()) } else { String::new() };
        text.push_str(&tail::line(at_s, sample));
        let mut file = OpenOptions::new().create(true).append(true).open(&path).map_err(failed)?;
        if file.metadata().map_err(failed)?.len() != self.tail_bytes {
            file.set_len(self.tail_bytes).map_err(failed)?;
        }
        file.write_all(text.as_bytes()).map_err(failed)?;
        self.tail_bytes += text.len() as u64;
        self.tail_samples += 1;
        Ok(())
    }
}

/// A new archive with `samples`.
fn fresh(new: &Path, samples: &BTreeMap<i64, Sample>) -> Result<(), ArchiveError> {
    let start_s = samples.keys().next().map_or(0, |first| first - layout::STEP_S);
    rrd_file::create(new, start_s)?;
    rrd_file::update(new, &order::updates(start_s, samples))
}

/// Writes a file beside and gives it the name when it is whole.
fn replace(path: &Path, write: impl FnOnce(&Path) -> Result<(), ArchiveError>) -> Result<(), ArchiveError> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    let done =
        write(&new).and_then(|()| fs::rename(&new, path).map_err(|error| ArchiveError::io(path, &error)));
    if done.is_err() {
        // It may never have been made.
        let _ = fs::remove_file(&new);
    }
    done
}

fn is_there(path: &Path) -> Result<bool, ArchiveError> {
    match fs::metadata(path) {
        // librrd would wait for ever at the end of a pipe.
        Ok(found) if !found.is_file() => {
            Err(ArchiveError::Damaged { path: path.into(), why: "it is no file".into() })
        }
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(ArchiveError::io(path, &error)),
    }
}
