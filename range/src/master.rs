//! What only the master's ledger does: it says how far it has got, and moves to another master.

use std::path::Path;

use switchboard_fleet::InstanceName;

use crate::{
    disk::{Disk, System},
    error::LedgerError,
    handover::Handover,
    ledger::Ledger,
    mark::Mark,
    rules::{Holdings, IdRange},
    text::{Kind, Moved, Record},
};

impl Ledger {
    /// How far this master's ledger has got, if the master is `place`. Of a sealed one, that the range has moved: newer than
    /// all that was ever said from here, and older than all that is said there.
    pub fn mark(&self, place: &InstanceName) -> Mark {
        let Record { whole, holdings, moved, .. } = &self.record;
        let (epoch, generation, place) = match moved {
            Some(moved) => (moved.epoch, 0, &moved.to),
            None => (self.record.epoch, self.record.generation, place),
        };
        let last = whole.map_or(0, |whole| whole.last().get());
        let granted_to = whole.map_or(0, |whole| granted_to(whole, holdings));
        Mark { epoch, generation, granted_to, last, place: place.clone() }
    }

    /// The fleet's whole range, given or not, of a master's ledger.
    pub fn whole(&self) -> Option<IdRange> {
        self.record.whole
    }

    /// How many times the fleet's range has moved or was repaired, from 1; 0 of an instance's ledger.
    pub fn epoch(&self) -> u64 {
        self.record.epoch
    }

    /// Where the range has gone, if this ledger is sealed.
    pub fn moved(&self) -> Option<&Moved> {
        self.record.moved.as_ref()
    }

    /// Writes the ledger once more, so that its generation is this process's own.
    ///
    /// # Errors
    /// `Moved` if it is sealed; `Write`.
    pub fn claim(&mut self) -> Result<(), LedgerError> {
        self.not_moved()?;
        self.commit(self.record.clone())
    }

    /// From now on this ledger grants nothing: written down when this returns. What is left goes to the master `to` by the
    /// handover, which is the same however often it is asked for until [`Ledger::handed_over`].
    ///
    /// # Errors
    /// `Moved` if it was sealed for another master, or has been handed over already; `Foreign` for an instance's; `Write`.
    pub fn seal(&mut self, to: &InstanceName) -> Result<Handover, LedgerError> {
        self.of_master()?;
        if self.moved().is_none_or(|moved| !moved.pending || moved.to != *to) {
            self.not_moved()?;
            let moved = Moved { to: to.clone(), epoch: self.record.epoch.saturating_add(1), pending: true };
            self.commit(Record { moved: Some(moved), ..self.record.clone() })?;
        }
        let Record { generation, ref holdings, .. } = self.record;
        let whole = self.record.whole.ok_or_else(|| self.of_instance())?;
        let epoch = self.moved().map_or(self.record.epoch, |moved| moved.epoch);
        Ok(Handover { epoch, generation, whole, holdings: holdings.clone(), to: to.clone() })
    }

    /// The new master has what was sealed: this ledger forgets it. Nothing is changed if there is nothing to hand over.
    ///
    /// # Errors
    /// `Write`.
    pub fn handed_over(&mut self) -> Result<(), LedgerError> {
        let Some(moved) = self.moved().filter(|moved| moved.pending) else { return Ok(()) };
        let moved = Moved { pending: false, ..moved.clone() };
        self.commit(Record { moved: Some(moved), holdings: Holdings::default(), ..self.record.clone() })
    }

    /// The new master's ledger: made from a handover, or [taken over](Ledger::take_over) by one that is there.
    ///
    /// # Errors
    /// As [`Ledger::open`] and [`Ledger::take_over`].
    pub fn receive(path: &Path, handover: &Handover) -> Result<Self, LedgerError> {
        Self::receive_on(Box::new(System), path, handover)
    }

    pub(crate) fn receive_on(
        disk: Box<dyn Disk>,
        path: &Path,
        handover: &Handover,
    ) -> Result<Self, LedgerError> {
        let mut ledger = Self::locked(disk, path, Kind::Master)?;
        if ledger.is_there()? {
            ledger.load()?;
            ledger.take_over(handover)?;
        } else {
            ledger.commit(taken(handover, 0))?;
        }
        Ok(ledger)
    }

    /// The range comes back to a master that had handed it over. A handover of an epoch that this ledger has reached changes
    /// nothing: its IDs may have been granted from here since.
    ///
    /// # Errors
    /// `Exists` if this ledger was never sealed; `Moved` if it is the handover that went out from here; `Foreign` for an
    /// instance's; `Write`.
    pub fn take_over(&mut self, handover: &Handover) -> Result<(), LedgerError> {
        self.of_master()?;
        if handover.epoch <= self.record.epoch {
            return Ok(());
        }
        let Some(moved) = self.moved() else { return Err(LedgerError::Exists { path: self.path.clone() }) };
        // A later epoch began at the new master, which so had what is still pending here.
        if handover.epoch <= moved.epoch {
            self.not_moved()?;
        }
        self.commit(taken(handover, self.record.generation))
    }

    fn of_master(&self) -> Result<(), LedgerError> {
        if self.kind == Kind::Master { Ok(()) } else { Err(self.of_instance()) }
    }

    fn of_instance(&self) -> LedgerError {
        LedgerError::Foreign { path: self.path.clone(), found: Kind::Instance, expected: Kind::Master }
    }
}

/// The state that a handover makes, in a file that has been written `generation` times.
fn taken(handover: &Handover, generation: u64) -> Record {
    Record {
        generation: generation.max(handover.generation),
        epoch: handover.epoch,
        whole: Some(handover.whole),
        holdings: handover.holdings.clone(),
        ..Record::empty(Kind::Master)
    }
}

/// The highest ID of `whole` that is not held any more, or the one below it: nothing above was ever given.
pub(crate) fn granted_to(whole: IdRange, holdings: &Holdings) -> u64 {
    let mut ranges: Vec<_> = holdings.ranges().collect();
    ranges.sort_unstable_by_key(|range| std::cmp::Reverse(range.last()));
    let mut granted_to = whole.last().get();
    for range in ranges {
        if range.last().get() < granted_to {
            break;
        }
        granted_to = granted_to.min(range.first().get() - 1);
    }
    granted_to
}

#[cfg(test)]
#[path = "master_tests.rs"]
mod tests;
