//! An older copy of a ledger is put back half way through, as when a disk is restored.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::ValueEnum;

use crate::fleet::{Fleet, MASTER};

/// Whose older ledger is put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OldDisk {
    /// The fleet's, while all instances are down: the others have its state on their disks.
    Master,
    /// One instance's, while the others run on, unharmed from then on: they remember how far it was.
    Instance,
    /// One instance's, while all are down: nobody remembers, and IDs are given twice.
    Unseen,
}

/// The plan, and how far it is.
pub(crate) struct Replacement {
    whose: Option<OldDisk>,
    victim: usize,
    copy_at: Duration,
    replace_at: Duration,
    copied: bool,
    done: bool,
}

impl Replacement {
    /// Plans it for a run of `length`; nothing if `whose` is `None`. `other` is an instance that is not the master.
    pub(crate) fn new(whose: Option<OldDisk>, length: Duration, other: usize) -> Self {
        let victim = if whose == Some(OldDisk::Master) { MASTER } else { other };
        Self { whose, victim, copy_at: length / 4, replace_at: length / 2, copied: false, done: false }
    }

    /// The instance whose ledger it is, once it has been replaced.
    pub(crate) fn victim(&self) -> Option<usize> {
        self.done.then_some(self.victim)
    }

    /// Whether one has been replaced that only the memory of the others can tell: they are not to be killed any more.
    pub(crate) fn is_remembered(&self) -> bool {
        self.done && self.whose == Some(OldDisk::Instance)
    }

    /// Does what is due `now` after the beginning.
    pub(crate) fn look(&mut self, fleet: &mut Fleet, now: Duration) -> anyhow::Result<()> {
        let Some(whose) = self.whose.filter(|_| !self.done) else { return Ok(()) };
        let instance = &fleet.instances()[self.victim];
        let ledger = if whose == OldDisk::Master { instance.master_ledger() } else { instance.ledger() };
        if now >= self.copy_at && !self.copied {
            self.copied = copy(&ledger, &kept(&ledger))?;
        }
        if now >= self.replace_at && self.copied {
            self.done = true;
            replace(fleet, whose, self.victim, &ledger)?;
        }
        Ok(())
    }
}

/// Beside the disk, which may be full.
fn kept(ledger: &Path) -> PathBuf {
    ledger.parent().unwrap_or(ledger).with_extension("old")
}

/// Keeps a copy, if there are IDs in it that could be given again.
fn copy(ledger: &Path, to: &Path) -> anyhow::Result<bool> {
    fs::copy(ledger, to)?;
    Ok(switchboard_range::Ledger::read_only(to)?.holdings.left() > 0)
}

fn replace(fleet: &mut Fleet, whose: OldDisk, victim: usize, ledger: &Path) -> anyhow::Result<()> {
    let all = 0..fleet.instances().len();
    let down: Vec<usize> = if whose == OldDisk::Instance { vec![victim] } else { all.collect() };
    for number in &down {
        fleet.end(*number)?;
    }
    fleet.free(victim)?;
    fs::copy(kept(ledger), ledger)?;
    eprintln!("an older copy of {} is put back", ledger.display());
    down.iter().try_for_each(|number| fleet.restart(*number))
}
