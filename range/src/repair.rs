//! A way on from a ledger that is damaged, or older than what the fleet knows: always forward, past every ID that may have
//! been given.

use std::path::{Path, PathBuf};

use crate::{
    disk::{self, Disk, System},
    error::LedgerError,
    ledger::{FILE_BYTES_MAX, Ledger},
    mark::Mark,
    master,
    rules::{Holdings, IdRange},
    text::{self, COUNT_MAX, Kind, Record},
};

/// In a damaged file, more is not believed: far more than anyone reaches, far less than what ends a counter.
const BELIEVABLE_MAX: u64 = COUNT_MAX / 2;

/// What can be read of a file that is perhaps damaged, and of the next state that was being written beside it. Best effort:
/// no more than hints, of which the one that is farthest forward counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Salvage {
    /// Whose ledger it is.
    pub kind: Option<Kind>,
    /// The highest generation.
    pub generation: u64,
    /// The highest epoch, also of a move.
    pub epoch: u64,
    /// The fleet's whole range, of a master's.
    pub whole: Option<IdRange>,
    /// The newest mark known, of an instance's.
    pub known: Option<Mark>,
    /// The highest ID that is shown as granted, of a master's; 0 if none.
    pub granted_to: u64,
}

/// What a repair did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repaired {
    /// Where the old file is kept, if there was one.
    pub aside: Option<PathBuf>,
    /// What was read of it.
    pub salvage: Salvage,
    /// What the ledger says now.
    pub record: Record,
}

/// Reads what can be read at `path` and beside it, whoever uses it. Nothing readable is nothing salvaged.
pub fn salvage(path: &Path) -> Salvage {
    salvage_on(&System, path)
}

/// Makes an instance's ledger usable again: an empty one, which knows what the old one knew. What it still held is a gap.
/// `now_ms` is the time in ms since 1970: beyond every generation, as nobody writes a ledger 1000 times a second for long.
///
/// # Errors
/// `InUse`; `Foreign` if it is the master's; `Write`: the ledger is as it was.
pub fn repair_instance(path: &Path, now_ms: u64) -> Result<Repaired, LedgerError> {
    repair_on(Box::new(System), path, Record::empty(Kind::Instance), now_ms)
}

/// Makes the master's ledger usable again, or anew where it is absent: what is left of `whole` above `granted_to`, in the
/// epoch `epoch`. `now_ms` as for [`repair_instance`].
///
/// # Errors
/// `Backwards` if the old file shows that more was granted, or an epoch that is not below `epoch`; `InUse`; `Foreign` if it is
/// an instance's; `Write`: the ledger is as it was.
pub fn repair_master(
    path: &Path,
    epoch: u64,
    granted_to: u64,
    whole: IdRange,
    now_ms: u64,
) -> Result<Repaired, LedgerError> {
    repair_on(Box::new(System), path, master_above(epoch, granted_to, whole), now_ms)
}

/// What a repaired master's ledger says: all of `whole` above `granted_to` is left.
pub(crate) fn master_above(epoch: u64, granted_to: u64, whole: IdRange) -> Record {
    let first = granted_to.saturating_add(1).max(whole.first().get());
    let mut holdings = Holdings::default();
    if granted_to < whole.last().get()
        && let Some(left) = IdRange::from_numbers(first, whole.last().get())
    {
        // Nothing is held that it could overlap.
        let _ = holdings.add(left);
    }
    Record { epoch, whole: Some(whole), holdings, ..Record::empty(Kind::Master) }
}

pub(crate) fn repair_on(
    disk: Box<dyn Disk>,
    path: &Path,
    next: Record,
    now_ms: u64,
) -> Result<Repaired, LedgerError> {
    let kind = next.kind.unwrap_or(Kind::Instance);
    let mut ledger = Ledger::locked(disk, path, kind)?;
    let salvage = salvage_on(&*ledger.disk, path);
    if let Some(found) = salvage.kind.filter(|found| *found != kind) {
        return Err(LedgerError::Foreign { path: path.into(), found, expected: kind });
    }
    if kind == Kind::Master {
        forward(path, &salvage, &next)?;
    }
    let aside = disk::beside(path, &format!(".bad-{now_ms}"));
    let kept = disk::keep_aside(&*ledger.disk, path, &aside).map_err(|cause| ledger.write_error(cause))?;
    // The commit adds one.
    let generation = salvage.generation.max(now_ms.saturating_sub(1));
    let known = salvage.known.clone().filter(|_| kind == Kind::Instance);
    ledger.commit(Record { generation, known, ..next })?;
    Ok(Repaired { aside: kept.then_some(aside), salvage, record: ledger.record.clone() })
}

fn forward(path: &Path, salvage: &Salvage, next: &Record) -> Result<(), LedgerError> {
    let backwards = |reason| Err(LedgerError::Backwards { path: path.into(), reason });
    if next.epoch <= salvage.epoch {
        return backwards(format!("epoch {}, not below {}", salvage.epoch, next.epoch));
    }
    let granted_to = next.whole.map_or(0, |whole| master::granted_to(whole, &next.holdings));
    if granted_to < salvage.granted_to {
        return backwards(format!("IDs granted up to {}, not {granted_to}", salvage.granted_to));
    }
    Ok(())
}

pub(crate) fn salvage_on(disk: &dyn Disk, path: &Path) -> Salvage {
    let mut salvage = Salvage::default();
    for path in [path.to_owned(), disk::beside(path, ".new")] {
        if let Ok(Some(bytes)) = disk.read(&path, FILE_BYTES_MAX) {
            salvage.learn(&String::from_utf8_lossy(&bytes));
        }
    }
    salvage
}

impl Salvage {
    /// Takes from one file what is farther forward.
    fn learn(&mut self, text: &str) {
        let found = text::decode(text).map_or_else(|_| Self::of_damaged(text), Self::of_whole);
        self.kind = self.kind.or(found.kind);
        self.generation = self.generation.max(found.generation);
        self.epoch = self.epoch.max(found.epoch);
        self.whole = self.whole.or(found.whole);
        self.granted_to = self.granted_to.max(found.granted_to);
        self.hear(found.known);
    }

    fn hear(&mut self, mark: Option<Mark>) {
        let newer = |mark: &Mark| self.known.as_ref().is_none_or(|known| mark.is_newer_than(known));
        if let Some(mark) = mark.filter(newer) {
            self.known = Some(mark);
        }
    }

    fn of_whole(record: Record) -> Self {
        let Record { kind, generation, epoch, whole, holdings, known, moved } = record;
        let whole = whole.filter(|whole| Some(*whole) != text::anything());
        let granted_to = match kind {
            Some(Kind::Instance) => 0,
            _ => whole.map_or(0, |whole| master::granted_to(whole, &holdings)),
        };
        let epoch = moved.map_or(epoch, |moved| moved.epoch);
        Self { kind, generation, epoch, whole, known, granted_to }
    }

    /// Line by line, as each may be what was written. A line without an end is not one.
    fn of_damaged(text: &str) -> Self {
        let mut found = Self::default();
        let mut left_over = Vec::new();
        for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            if let Some(header) = line.strip_prefix("switchboard-ledger ") {
                found.kind = found.kind.or(text::version(header).map(|(_, kind)| kind));
            } else if let Some(generation) = line.strip_prefix(text::GENERATION).and_then(believable) {
                found.generation = found.generation.max(generation);
            } else if let Some(epoch) = line.strip_prefix(text::EPOCH).and_then(believable) {
                found.epoch = found.epoch.max(epoch);
            } else if let Some(whole) = line.strip_prefix(text::WHOLE).and_then(text::range) {
                found.whole = found.whole.or(Some(whole));
            } else if let Some(mark) = line.strip_prefix(text::MASTER) {
                found.hear(mark.parse().ok());
            } else if let Some(moved) = line.strip_prefix(text::MOVED).and_then(text::parse_moved) {
                found.epoch = found.epoch.max(moved.epoch.min(BELIEVABLE_MAX));
            } else if let Some(left) = text::range(line) {
                left_over.push(left.first().get());
            }
        }
        if found.kind == Some(Kind::Master) {
            let inside = |first: &u64| {
                found.whole.is_none_or(|whole| (whole.first().get()..=whole.last().get()).contains(first))
            };
            found.granted_to = left_over.into_iter().filter(inside).min().map_or(0, |lowest| lowest - 1);
        }
        found
    }
}

fn believable(text: &str) -> Option<u64> {
    text::count(text).filter(|count| *count < BELIEVABLE_MAX)
}

#[cfg(test)]
#[path = "repair_tests.rs"]
mod tests;
