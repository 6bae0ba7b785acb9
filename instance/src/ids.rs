//! The customer IDs of this instance: where the next new customer's comes from.
//!
//! IDs leave the ledger in blocks, on disk before any of them is given, so that a registration costs no write and a crash
//! costs a gap, never a repeat.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    path::PathBuf,
    rc::Rc,
    time::{Duration, Instant},
};

use switchboard_fleet::{
    CustomerId, InstanceName,
    config::{Order, Range},
    snapshot,
};
use switchboard_range::{IdRange, Kind, Ledger, LedgerError, Pace, Scattered, Sizing, Stalls};
use tokio::{
    sync::Notify,
    time::{Instant as Deadline, timeout_at},
};

use crate::{
    grants::{Grants, Source},
    hub::Hub,
    refill,
    seldom::Seldom,
    vault::Vault,
};

/// IDs taken from the ledger at a time while few are given.
const BLOCK_MIN: u64 = 100;
/// IDs taken from the ledger at a time, at most. A process that is killed loses up to one and a half blocks.
const BLOCK_MAX: u64 = 10_000;
/// A block lasts so many seconds, if more than the least are given in that time.
const BLOCK_LASTS: f64 = 0.2;
/// How long a registration waits for a block that is on its way.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// The IDs of one instance.
pub(crate) struct Ids {
    /// The instance's own ledger.
    pub(crate) vault: Vault,
    /// The fleet's range, if it is here, and what is known of it.
    pub(crate) grants: Grants,
    pub(crate) sizing: RefCell<Sizing>,
    pub(crate) filling: Cell<bool>,
    pub(crate) filled: Notify,
    /// Nobody had a range to give.
    pub(crate) dry: Seldom,
    /// The ledger could not be written.
    pub(crate) unwritten: Seldom,
    /// When one of these happened last, if nothing has come since.
    pub(crate) failed: Cell<Option<Instant>>,
    /// A range that was granted and could not be written down yet.
    pub(crate) kept: Cell<Option<IdRange>>,
    /// Taken from the ledger and not given yet.
    blocks: RefCell<VecDeque<Block>>,
    blocks_left: Cell<u64>,
    confirmed: Cell<bool>,
    /// The greatest generation of this instance's ledger that anybody was ever told.
    told: Cell<u64>,
    path: PathBuf,
    /// Why nothing is given any more.
    halted: RefCell<Option<String>>,
    pace: RefCell<Pace>,
    stalls: RefCell<Stalls>,
    rules: Range,
}

/// IDs that are given one by one.
type Block = Box<dyn Iterator<Item = CustomerId>>;

impl Ids {
    /// From the instance's own ledger, and with the fleet's range from `source`.
    pub(crate) fn new(ledger: Ledger, own: &InstanceName, source: Source, rules: &Range) -> Self {
        let (path, known) = (ledger.path().to_owned(), ledger.known().cloned());
        Self {
            vault: Vault::new(ledger, own.clone()),
            grants: Grants::new(source, known),
            sizing: RefCell::new(Sizing::new(rules.size, rules.size_max)),
            filling: Cell::new(false),
            filled: Notify::new(),
            dry: Seldom::default(),
            unwritten: Seldom::default(),
            failed: Cell::new(None),
            kept: Cell::new(None),
            blocks: RefCell::default(),
            blocks_left: Cell::new(0),
            confirmed: Cell::new(false),
            told: Cell::new(0),
            path,
            halted: RefCell::default(),
            pace: RefCell::default(),
            stalls: RefCell::default(),
            rules: rules.clone(),
        }
    }

    /// The next new customer's ID; `None` if there is none right now, nor within [`WAIT_MAX`]: more have been asked for.
    pub(crate) async fn next(&self, hub: &Rc<Hub>) -> Option<CustomerId> {
        if let Some(id) = self.pop() {
            if self.needs_block() {
                refill::soon(hub);
            }
            return Some(id);
        }
        self.stalls.borrow_mut().began(Instant::now());
        let deadline = Deadline::now() + WAIT_MAX;
        loop {
            let filled = self.filled.notified();
            refill::soon(hub);
            if !self.may_come() || timeout_at(deadline, filled).await.is_err() {
                return None;
            }
            if let Some(id) = self.pop() {
                return Some(id);
            }
        }
    }

    /// Whether an ID may be there in a moment.
    fn may_come(&self) -> bool {
        let on_its_way = !self.confirmed.get() || self.vault.left() > 0;
        on_its_way && self.halted.borrow().is_none() && self.failed.get().is_none()
    }

    fn pop(&self) -> Option<CustomerId> {
        let mut blocks = self.blocks.borrow_mut();
        let id = loop {
            match blocks.front_mut()?.next() {
                Some(id) => break id,
                None => blocks.pop_front(),
            };
        };
        self.blocks_left.set(self.blocks_left.get().saturating_sub(1));
        let now = Instant::now();
        self.pace.borrow_mut().given(1, now);
        self.stalls.borrow_mut().ended(now);
        Some(id)
    }

    /// Whether the next block should be taken from the ledger.
    pub(crate) fn needs_block(&self) -> bool {
        self.blocks_left.get() < self.block_size() / 2 + 1 && self.vault.left() > 0 && self.is_usable()
    }

    /// Whether it is time to ask for another range.
    pub(crate) fn needs_range(&self) -> bool {
        self.is_usable() && self.sizing.borrow().needs_more(self.vault.left(), self.rules.refill_below)
    }

    /// Whether the ledger is known to be no older copy, as far as anybody could tell.
    pub(crate) fn is_usable(&self) -> bool {
        self.confirmed.get() && self.halted.borrow().is_none()
    }

    /// IDs to take from the ledger at a time: what is given while the disk is written a few times, so that a fast pace costs few
    /// writes and a slow one few IDs when the process is killed.
    pub(crate) fn block_size(&self) -> u64 {
        let in_that_time = (self.pace.borrow().per_second(Instant::now()) * BLOCK_LASTS) as u64;
        let usual = (self.rules.size / 10).clamp(1, BLOCK_MIN);
        match self.rules.order {
            Order::Sequential => in_that_time.clamp(usual, BLOCK_MAX),
            // The order can be foretold no better than the block is large.
            Order::Scattered => self.rules.size.clamp(1, BLOCK_MAX),
        }
    }

    /// Takes in a block that has left the ledger. If that has been found to be an older copy meanwhile, nothing of it is given.
    pub(crate) fn add_block(&self, range: IdRange) {
        if !self.is_usable() {
            return;
        }
        let block: Block = match self.rules.order {
            Order::Sequential => Box::new(range.ids()),
            Order::Scattered => Box::new(Scattered::new(range, &rand::random::<[u8; 32]>())),
        };
        self.blocks.borrow_mut().push_back(block);
        self.blocks_left.set(self.blocks_left.get() + range.count());
    }

    /// Somebody has been told that this instance's ledger was at `generation`.
    pub(crate) fn known_at(&self, generation: u64) {
        self.told.set(self.told.get().max(generation));
        if self.confirmed.get() && self.is_older() && self.halted.borrow().is_none() {
            let error = self.older().to_string();
            tracing::error!(%error, "no customer IDs are given any more");
            self.blocks.borrow_mut().clear();
            self.blocks_left.set(0);
            *self.halted.borrow_mut() = Some(error);
        }
    }

    /// Everyone who could be reached has been asked: the ledger may be used.
    ///
    /// # Errors
    /// [`LedgerError::Older`] if it has been written more often than its content shows.
    pub(crate) fn confirm(&self) -> Result<(), LedgerError> {
        if self.is_older() {
            return Err(self.older());
        }
        self.confirmed.set(true);
        Ok(())
    }

    /// Whether the ledger is an older copy. One that holds nothing gives nothing twice: it has been begun anew.
    fn is_older(&self) -> bool {
        self.told.get() > self.vault.seen().generation && self.left() > 0
    }

    fn older(&self) -> LedgerError {
        let here = format!("written {} times", self.vault.seen().generation);
        let known = format!("{} times", self.told.get());
        LedgerError::Older { path: self.path.clone(), kind: Kind::Instance, here, known }
    }

    /// The greatest generation of this instance's ledger that anybody was ever told.
    pub(crate) fn told(&self) -> u64 {
        self.told.get()
    }

    /// IDs of this instance's own range that are not given yet.
    pub(crate) fn left(&self) -> u64 {
        self.vault.left().saturating_add(self.blocks_left.get())
    }

    /// What `/status` shows.
    pub(crate) fn snapshot(&self) -> snapshot::Ids {
        let now = Instant::now();
        let left = self.left();
        let (pace, stalls, master) = (self.pace.borrow(), self.stalls.borrow(), self.grants.vault());
        snapshot::Ids {
            left,
            master_left: master.as_ref().map(|vault| vault.left()),
            master_lasts_s: master.as_ref().and_then(|vault| self.grants.lasts(vault.left())),
            master_whole: master.and_then(|vault| vault.seen().whole).map(IdRange::count),
            size: self.sizing.borrow().size(),
            per_second: pace.per_second(now),
            lasts_s: pace.lasts(left, now).map(|lasts| lasts.as_secs()),
            stalls: stalls.count(),
            stalled_ms: stalls.total(now).as_millis() as u64,
            fault: self.halted.borrow().clone().or_else(|| self.grants.fault()),
        }
    }
}
