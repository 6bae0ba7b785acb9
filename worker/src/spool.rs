//! Reports on disk: files of lines, oldest first, bounded in all.
//!
//! A file is appended to by one life only and removed when the monitor has all of it. How far the monitor has it is known
//! in memory alone: after a restart it gets some reports again, which it knows by their numbers.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

use crate::{
    file_name::FileName,
    folder::UNFINISHED,
    line::{LINE_MAX, Line},
};

/// A file counts for at least so many bytes: what a disk gives it.
const FILE_COST_MIN: u64 = 4096;
/// About so many bytes are written at once.
const CHUNK: usize = 32 << 10;

/// The files of one worker.
#[derive(Debug)]
pub(crate) struct Spool {
    folder: PathBuf,
    boot: u64,
    file_bytes: u64,
    disk_bytes: u64,
    files: BTreeMap<FileName, Stored>,
    current: Option<(FileName, File)>,
    /// The file of which reports are on their way: it stays, as they may have arrived.
    held: Option<FileName>,
    lost: u64,
}

/// What is known of one file.
#[derive(Debug, Default)]
struct Stored {
    bytes: u64,
    /// The monitor has its reports up to this number.
    done: u64,
    /// Whether its states were thrown away.
    is_thinned: bool,
}

impl Spool {
    /// Over the files that earlier lives left in `folder`.
    pub(crate) fn new(
        folder: PathBuf,
        boot: u64,
        left: Vec<(FileName, u64)>,
        file_bytes: u64,
        disk_bytes: u64,
    ) -> Self {
        let files =
            left.into_iter().map(|(name, bytes)| (name, Stored { bytes, ..Stored::default() })).collect();
        Self { folder, boot, file_bytes, disk_bytes, files, current: None, held: None, lost: 0 }
    }

    /// Whether nothing is here.
    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Takes up a file that was written beside: see `panics.rs`.
    pub(crate) fn adopt(&mut self, name: FileName, bytes: u64) {
        self.files.insert(name, Stored { bytes, ..Stored::default() });
    }

    /// Writes reports of this life, oldest first. The number of the last one written: after an error of the disk, not all
    /// are.
    pub(crate) fn append<'a>(&mut self, lines: impl Iterator<Item = &'a Line>) -> Option<u64> {
        let mut written = None;
        let (mut chunk, mut first) = (String::new(), 0);
        let mut lines = lines.peekable();
        while let Some(line) = lines.next() {
            if chunk.is_empty() {
                first = line.seq;
            }
            chunk.push_str(&line.text);
            chunk.push('\n');
            if chunk.len() >= CHUNK || lines.peek().is_none() {
                if self.write(first, &chunk).is_err() {
                    break;
                }
                written = Some(line.seq);
                chunk.clear();
            }
        }
        written
    }

    /// The oldest reports that the monitor has not, of one file. Until [`Spool::release`] that file is not thrown away.
    pub(crate) fn next(&mut self, reports_max: usize, bytes_max: usize) -> Option<(FileName, Vec<Line>)> {
        let names: Vec<FileName> = self.files.keys().copied().collect();
        for name in names {
            match self.read(name, reports_max, bytes_max) {
                Ok(lines) if lines.is_empty() => self.remove(name),
                Ok(lines) => {
                    self.held = Some(name);
                    return Some((name, lines));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => self.remove(name),
                // Too many open files, or a bad sector: others may be readable, this one later.
                Err(_) => {}
            }
        }
        None
    }

    /// What became of the reports that were on their way is known, or they are not awaited any more.
    pub(crate) fn release(&mut self) {
        self.held = None;
    }

    /// The monitor has the reports of a file up to a number.
    pub(crate) fn done(&mut self, name: FileName, upto: u64) {
        if let Some(stored) = self.files.get_mut(&name) {
            stored.done = stored.done.max(upto);
        }
    }

    /// How many reports were thrown away since this was last asked.
    pub(crate) fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    fn write(&mut self, first: u64, text: &str) -> io::Result<()> {
        self.make_room(text.len() as u64)?;
        if self.current.as_ref().is_none_or(|(name, _)| self.bytes(*name) >= self.file_bytes) {
            let name = FileName { boot: self.boot, first };
            let file =
                OpenOptions::new().append(true).create_new(true).open(self.folder.join(name.text()))?;
            self.files.insert(name, Stored::default());
            self.current = Some((name, file));
        }
        let Some((name, file)) = &mut self.current else { return Ok(()) };
        let name = *name;
        let bytes = self.files.get(&name).map_or(0, |stored| stored.bytes);
        if let Err(error) = file.write_all(text.as_bytes()) {
            // Half a line must not be followed by another.
            let is_whole = file.set_len(bytes).is_ok();
            if bytes == 0 {
                self.remove(name);
            } else if !is_whole {
                self.current = None;
            }
            return Err(error);
        }
        if let Some(stored) = self.files.get_mut(&name) {
            stored.bytes += text.len() as u64;
            stored.is_thinned = false;
        }
        Ok(())
    }

    fn bytes(&self, name: FileName) -> u64 {
        self.files.get(&name).map_or(u64::MAX, |stored| stored.bytes)
    }

    /// Throws away until `bytes` more fit: the states of the oldest file that has some, and the oldest file when none has.
    fn make_room(&mut self, bytes: u64) -> io::Result<()> {
        // A file that is begun costs more than what is written to it.
        let bytes = bytes.max(FILE_COST_MIN);
        while self.held() + bytes > self.disk_bytes {
            let free = || self.files.iter().filter(|(name, _)| Some(**name) != self.held);
            let with_states = free().find(|(_, stored)| !stored.is_thinned).map(|(name, _)| *name);
            if let Some(name) = with_states {
                self.thin_or_leave(name);
            } else if let Some(name) = free().next().map(|(name, _)| *name) {
                self.lost += self.pending(name);
                self.remove(name);
            } else {
                return Err(io::Error::new(io::ErrorKind::FileTooLarge, "more than the spool may hold"));
            }
        }
        Ok(())
    }

    fn held(&self) -> u64 {
        self.files.values().map(|stored| stored.bytes.max(FILE_COST_MIN)).sum()
    }

    fn thin_or_leave(&mut self, name: FileName) {
        if self.thin(name).is_err() {
            let _ = fs::remove_file(self.folder.join(name.text() + UNFINISHED));
        }
        if let Some(stored) = self.files.get_mut(&name) {
            stored.is_thinned = true;
        }
    }

    /// Writes a file anew without its states and without what the monitor has.
    fn thin(&mut self, name: FileName) -> io::Result<()> {
        if self.current.as_ref().is_some_and(|(current, _)| *current == name) {
            self.current = None;
        }
        let path = self.folder.join(name.text());
        let unfinished = self.folder.join(name.text() + UNFINISHED);
        let done = self.files.get(&name).map_or(0, |stored| stored.done);
        let (mut bytes, mut states) = (0, 0);
        let mut to = BufWriter::new(File::create(&unfinished)?);
        for line in Lines::open(&path)? {
            let line = line?;
            if line.seq <= done {
                continue;
            }
            if line.is_state {
                states += 1;
                continue;
            }
            to.write_all(line.text.as_bytes())?;
            to.write_all(b"\n")?;
            bytes += line.text.len() as u64 + 1;
        }
        to.flush()?;
        fs::rename(&unfinished, &path)?;
        self.lost += states;
        if bytes == 0 {
            self.remove(name);
        } else if let Some(stored) = self.files.get_mut(&name) {
            stored.bytes = bytes;
        }
        Ok(())
    }

    /// Reports of a file that the monitor has not.
    fn pending(&self, name: FileName) -> u64 {
        let done = self.files.get(&name).map_or(0, |stored| stored.done);
        let lines = Lines::open(&self.folder.join(name.text()));
        lines.map_or(0, |lines| lines.map_while(Result::ok).filter(|line| line.seq > done).count() as u64)
    }

    fn read(&self, name: FileName, reports_max: usize, bytes_max: usize) -> io::Result<Vec<Line>> {
        let done = self.files.get(&name).map_or(0, |stored| stored.done);
        let (mut lines, mut bytes) = (Vec::new(), 0);
        for line in Lines::open(&self.folder.join(name.text()))? {
            let line = line?;
            if line.seq <= done {
                continue;
            }
            bytes += line.text.len();
            if lines.len() >= reports_max || (bytes > bytes_max && !lines.is_empty()) {
                break;
            }
            lines.push(line);
        }
        Ok(lines)
    }

    /// Removes a file. One that stays on the disk all the same is sent again by the next life.
    fn remove(&mut self, name: FileName) {
        self.files.remove(&name);
        if self.current.as_ref().is_some_and(|(current, _)| *current == name) {
            self.current = None;
        }
        let _ = fs::remove_file(self.folder.join(name.text()));
    }
}

/// The reports of a file. What is none is passed over: a line torn by the end of the process, or damage.
struct Lines {
    reader: BufReader<File>,
    text: Vec<u8>,
}

impl Lines {
    fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { reader: BufReader::new(File::open(path)?), text: Vec::new() })
    }

    /// The next line, report or not; `None` at the end.
    fn line(&mut self) -> io::Result<Option<Option<Line>>> {
        self.text.clear();
        let most = LINE_MAX as u64 + 1;
        let read = self.reader.by_ref().take(most).read_until(b'\n', &mut self.text)?;
        if self.text.last() == Some(&b'\n') {
            self.text.pop();
        } else if read as u64 == most {
            self.reader.skip_until(b'\n')?;
            return Ok(Some(None));
        }
        Ok((read > 0).then(|| Line::parse(&self.text)))
    }
}

impl Iterator for Lines {
    type Item = io::Result<Line>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.line() {
                Ok(Some(Some(line))) => return Some(Ok(line)),
                Ok(Some(None)) => {}
                Ok(None) => return None,
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

#[cfg(test)]
#[path = "spool_tests.rs"]
mod tests;
