//! A ledger's text: a header that names its kind, its state, the ranges, and a checksum over all that.
//!
//! ```text
//! switchboard-ledger v2 instance                        switchboard-ledger v2 master
//! generation 17                                         generation 912
//! master 1 912 26019362 80000000 eu.example.net/8081    epoch 1
//! 26018363 26019362                                     whole 26018363 80000000
//! sha256 5f3c…                                          26019363 80000000
//!                                                       moved 2 us.example.net/8081 pending
//!                                                       sha256 09ab…
//! ```
//!
//! `master` and `moved` are there if there is something to say.

use std::fmt::{self, Write as _};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use switchboard_fleet::{CustomerId, InstanceName};

use crate::{
    mark::Mark,
    rules::{Holdings, IdRange},
};

/// Epochs and generations above this are not read, so that there is always a next one.
pub(crate) const COUNT_MAX: u64 = 1 << 62;

const HEADER: &str = "switchboard-ledger ";
pub(crate) const GENERATION: &str = "generation ";
pub(crate) const EPOCH: &str = "epoch ";
pub(crate) const WHOLE: &str = "whole ";
pub(crate) const MASTER: &str = "master ";
pub(crate) const MOVED: &str = "moved ";
const CHECKSUM: &str = "sha256 ";

/// Whose ledger it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The fleet's: what the master has not granted yet.
    Master,
    /// An instance's: what was granted to it and not given to a customer yet.
    Instance,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Master => "master",
            Self::Instance => "instance",
        })
    }
}

/// Where the fleet's range has gone from a master's ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// The new master.
    pub to: InstanceName,
    /// The epoch that began with the move.
    pub epoch: u64,
    /// Whether the new master has not yet said that it has it.
    pub pending: bool,
}

/// `EPOCH SERVER/PORT pending` or `… done`.
impl fmt::Display for Moved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.pending { "pending" } else { "done" };
        write!(f, "{} {} {state}", self.epoch, self.to)
    }
}

/// What a ledger's file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Whose it is; `None` in a file of the original service, which does not say.
    pub kind: Option<Kind>,
    /// How many times it has been written. A repair makes it jump.
    pub generation: u64,
    /// Of a master's: how many times the fleet's range has moved or was repaired, from 1. Of an instance's: 0.
    pub epoch: u64,
    /// Of a master's: the fleet's whole range, given or not.
    pub whole: Option<IdRange>,
    /// What is left.
    pub holdings: Holdings,
    /// Of an instance's: the newest state of the fleet's ledger that it has heard of.
    pub known: Option<Mark>,
    /// Of a master's: where the range has gone.
    pub moved: Option<Moved>,
}

impl Record {
    /// Nothing held, nothing known, never written.
    pub(crate) fn empty(kind: Kind) -> Self {
        let epoch = u64::from(kind == Kind::Master);
        Self {
            kind: Some(kind),
            generation: 0,
            epoch,
            whole: None,
            holdings: Holdings::default(),
            known: None,
            moved: None,
        }
    }
}

/// The text of a ledger.
pub(crate) fn encode(record: &Record) -> String {
    let mut text = String::new();
    let kind = record.kind.unwrap_or(Kind::Instance);
    line(&mut text, HEADER, format_args!("v2 {kind}"));
    line(&mut text, GENERATION, record.generation);
    match kind {
        Kind::Master => {
            line(&mut text, EPOCH, record.epoch);
            if let Some(whole) = record.whole {
                line(&mut text, WHOLE, numbers(whole));
            }
        }
        Kind::Instance => {
            if let Some(known) = &record.known {
                line(&mut text, MASTER, known);
            }
        }
    }
    ranges(&mut text, &record.holdings);
    if let Some(moved) = &record.moved {
        line(&mut text, MOVED, moved);
    }
    sealed(text)
}

/// Reads a ledger's text, or that of the original service; `Err` says in a few words what is wrong.
pub(crate) fn decode(text: &str) -> Result<Record, &'static str> {
    if text.is_empty() {
        return Err("the file is empty");
    }
    if text.starts_with(|first: char| first.is_ascii_digit()) {
        return decode_original(text);
    }
    let mut lines = Lines::new(unsealed(text)?);
    let header = lines.next(HEADER).and_then(version);
    let (version, kind) = header.ok_or("not a ledger of this version")?;
    let mut record = Record::empty(kind);
    record.generation = lines.next(GENERATION).and_then(count).ok_or("the generation is no number")?;
    match (version, kind) {
        (1, _) => {}
        (_, Kind::Master) => {
            record.epoch = lines.next(EPOCH).and_then(count).ok_or("the epoch is no number")?;
            let whole = lines.next(WHOLE).and_then(range).ok_or("the whole range is no range")?;
            record.whole = Some(whole);
        }
        (_, Kind::Instance) => {
            let known = lines.next(MASTER).map(str::parse).transpose();
            record.known = known.map_err(|_| "the master's mark is no mark")?;
        }
    }
    record.holdings = lines.ranges()?;
    if (version, kind) == (2, Kind::Master) {
        let moved = lines.next(MOVED).map(|moved| parse_moved(moved).ok_or("the move is no move"));
        record.moved = moved.transpose()?;
    }
    lines.end()?;
    if (version, kind) == (1, Kind::Master) {
        // Used up, and nothing tells from where to where it went: so no ID is known to be free.
        record.whole = span(&record.holdings).or(anything());
    }
    Ok(record)
}

/// All IDs there are: what stands for a whole range that is not known.
pub(crate) fn anything() -> Option<IdRange> {
    IdRange::from_numbers(1, u64::MAX)
}

/// From the lowest to the highest ID that is held.
pub(crate) fn span(holdings: &Holdings) -> Option<IdRange> {
    let first = holdings.ranges().map(IdRange::first).min()?;
    IdRange::new(first, holdings.ranges().map(IdRange::last).max()?)
}

/// The original service's file: the first and the last ID, a line each. One that is used up has the first behind
/// the last. A cut file cannot be told by a checksum, but only makes the range smaller.
fn decode_original(text: &str) -> Result<Record, &'static str> {
    let wrong = "expected two lines, the first and the last ID";
    let (first, rest) = text.split_once('\n').ok_or(wrong)?;
    let (first, last) = (first.trim_end(), rest.trim_end());
    let number = |text: &str| text.parse::<CustomerId>().map_err(|_| wrong);
    let (first, last) = (number(first)?, number(last)?);
    let mut record = Record { kind: None, epoch: 1, ..Record::empty(Kind::Instance) };
    record.whole = IdRange::new(first.min(last), last);
    if let Some(range) = IdRange::new(first, last) {
        record.holdings.add(range).map_err(|_| wrong)?;
    }
    Ok(record)
}

/// The lines of a text that has been found whole, each with a word that names it.
pub(crate) struct Lines<'a> {
    rest: std::iter::Peekable<std::str::Lines<'a>>,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(body: &'a str) -> Self {
        Self { rest: body.lines().peekable() }
    }

    /// What the next line says, if it is the one so named.
    pub(crate) fn next(&mut self, name: &str) -> Option<&'a str> {
        let said = self.rest.peek()?.strip_prefix(name)?;
        self.rest.next();
        Some(said)
    }

    /// The lines that are ranges.
    pub(crate) fn ranges(&mut self) -> Result<Holdings, &'static str> {
        let mut holdings = Holdings::default();
        while let Some(line) =
            self.rest.next_if(|line| line.starts_with(|first: char| first.is_ascii_digit()))
        {
            let range = range(line).ok_or("a line is no range")?;
            holdings.add(range).map_err(|_| "the ranges overlap or are too many")?;
        }
        Ok(holdings)
    }

    /// There is nothing more.
    pub(crate) fn end(mut self) -> Result<(), &'static str> {
        self.rest.next().map_or(Ok(()), |_| Err("there is a line too many"))
    }
}

/// Writes a line.
pub(crate) fn line(text: &mut String, name: &str, said: impl fmt::Display) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "{name}{said}");
}

/// Writes a line for each range.
pub(crate) fn ranges(text: &mut String, holdings: &Holdings) {
    for range in holdings.ranges() {
        line(text, "", numbers(range));
    }
}

/// `FIRST LAST`.
pub(crate) fn numbers(range: IdRange) -> String {
    format!("{} {}", range.first(), range.last())
}

/// The text and its checksum.
pub(crate) fn sealed(text: String) -> String {
    let checksum = checksum(&text);
    format!("{text}{CHECKSUM}{checksum}\n")
}

/// The text above the checksum, which fits.
pub(crate) fn unsealed(text: &str) -> Result<&str, &'static str> {
    let text = text.strip_suffix('\n').ok_or("the end is missing")?;
    let (_, last) = text.rsplit_once('\n').ok_or("the end is missing")?;
    let body = &text[..text.len() - last.len()];
    if last.strip_prefix(CHECKSUM) != Some(checksum(body).as_str()) {
        return Err("the checksum does not fit");
    }
    Ok(body)
}

fn checksum(text: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(text))
}

/// The version and the kind that a header's end names.
pub(crate) fn version(text: &str) -> Option<(u8, Kind)> {
    let (version, kind) = text.split_once(' ')?;
    let version = match version {
        "v1" => 1,
        "v2" => 2,
        _ => return None,
    };
    match kind {
        "master" => Some((version, Kind::Master)),
        "instance" => Some((version, Kind::Instance)),
        _ => None,
    }
}

/// An epoch or a generation.
pub(crate) fn count(text: &str) -> Option<u64> {
    let plain = text.starts_with(|first: char| first.is_ascii_digit());
    text.parse().ok().filter(|count| plain && *count <= COUNT_MAX)
}

/// `FIRST LAST`.
pub(crate) fn range(text: &str) -> Option<IdRange> {
    let (first, last) = text.split_once(' ')?;
    IdRange::new(first.parse().ok()?, last.parse().ok()?)
}

/// As [`Moved`] is written.
pub(crate) fn parse_moved(text: &str) -> Option<Moved> {
    let (epoch, rest) = text.split_once(' ')?;
    let (to, state) = rest.rsplit_once(' ')?;
    let pending = match state {
        "pending" => true,
        "done" => false,
        _ => return None,
    };
    Some(Moved { to: to.parse().ok()?, epoch: count(epoch)?, pending })
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
