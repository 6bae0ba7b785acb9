//! One process: its ledgers, what it knows, and the IDs it gives; as `ids`, `grants` and `vault` of the instance.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, VecDeque},
    fmt,
    rc::Rc,
    time::Instant,
};

use switchboard_fleet::InstanceName;

use super::{
    refill,
    world::{Slot, World},
};
use crate::{Fence, Fenced, IdRange, Kind, Ledger, LedgerError, Mark, Moved, Sizing};

/// How long a registration waits for a block, in ms.
const WAIT_MAX: u64 = 2000;

/// A process.
pub(super) struct Hub {
    pub(super) at: usize,
    pub(super) world: Rc<World>,
    pub(super) vault: Rc<Vault>,
    /// The ledger of the fleet's range, if it is or was here.
    pub(super) source: RefCell<Option<Rc<Vault>>>,
    pub(super) fence: RefCell<Fence>,
    pub(super) told: Cell<u64>,
    pub(super) confirmed: Cell<bool>,
    /// It has asked everyone, and uses its ledgers.
    pub(super) started: Cell<bool>,
    pub(super) halted: Cell<bool>,
    pub(super) sizing: RefCell<Sizing>,
    pub(super) filling: Cell<bool>,
    pub(super) ledgers: RefCell<BTreeMap<usize, u64>>,
    /// First and last ID.
    blocks: RefCell<VecDeque<(u64, u64)>>,
    began: Instant,
}

/// A machine, and which of its ledgers.
pub(super) type Owner = (usize, &'static str);

/// A ledger, and what it held when it was written last.
#[derive(Debug)]
pub(super) struct Vault {
    ledger: RefCell<Ledger>,
    own: InstanceName,
    seen: RefCell<Seen>,
}

#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) left: u64,
    pub(super) generation: u64,
    pub(super) mark: Mark,
    pub(super) moved: Option<Moved>,
}

/// Why the fleet's range grants nothing.
#[derive(Debug)]
pub(super) enum NoGrant {
    Elsewhere,
    #[expect(dead_code, reason = "shown in a trace")]
    Fenced(Fenced),
    Ledger,
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.at)
    }
}

impl Vault {
    pub(super) fn new(ledger: Ledger, own: InstanceName) -> Rc<Self> {
        let seen = RefCell::new(look(&ledger, &own));
        Rc::new(Self { ledger: RefCell::new(ledger), own, seen })
    }

    pub(super) fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    pub(super) fn left(&self) -> u64 {
        self.seen.borrow().left
    }
}

fn look(ledger: &Ledger, own: &InstanceName) -> Seen {
    Seen {
        left: ledger.left(),
        generation: ledger.generation(),
        mark: ledger.mark(own),
        moved: ledger.moved().cloned(),
    }
}

impl Hub {
    pub(super) fn open(world: &Rc<World>, at: usize) -> Result<Self, LedgerError> {
        let machine = &world.machines[at];
        let own = world.open(at, Kind::Instance)?;
        let is_there = world.record(at, Kind::Master).is_some();
        let source = if is_there || machine.master.get() == at {
            Some(Vault::new(world.open(at, Kind::Master)?, machine.name.clone()))
        } else {
            None
        };
        Ok(Self {
            at,
            world: world.clone(),
            fence: RefCell::new(Fence::new(own.known().cloned())),
            vault: Vault::new(own, machine.name.clone()),
            source: RefCell::new(source),
            told: Cell::new(0),
            confirmed: Cell::new(false),
            started: Cell::new(false),
            halted: Cell::new(false),
            sizing: RefCell::new(Sizing::new(world.rules.size, world.rules.size_max)),
            filling: Cell::new(false),
            ledgers: RefCell::default(),
            blocks: RefCell::default(),
            began: Instant::now(),
        })
    }

    /// Changes a ledger on a thread of its own: the change goes on if nobody waits for it any more.
    pub(super) async fn change<T: 'static>(
        &self,
        vault: &Rc<Vault>,
        change: impl FnOnce(&mut Ledger) -> Result<T, LedgerError> + 'static,
    ) -> Result<T, LedgerError> {
        let slot = Slot::new();
        let (world, at, there, done) = (self.world.clone(), self.at, vault.clone(), slot.clone());
        self.world.kernel.spawn(Some(at), async move {
            slow(&world).await;
            let outcome = change(&mut there.ledger.borrow_mut());
            world.end_if_dead(at).await;
            let seen = look(&there.ledger.borrow(), &there.own);
            slow(&world).await;
            done.put((outcome, seen));
        });
        let (outcome, seen) = slot.get().await;
        if seen.generation >= vault.seen.borrow().generation {
            *vault.seen.borrow_mut() = seen;
        }
        self.world.check_overlaps();
        outcome
    }

    /// A customer's ID; `None` if there is none in time.
    pub(super) async fn register(self: &Rc<Self>) -> Option<u64> {
        let until = self.world.kernel.now() + WAIT_MAX;
        loop {
            if let Some(id) = self.pop() {
                if self.needs_block() {
                    refill::soon(self);
                }
                return Some(id);
            }
            refill::soon(self);
            let on_its_way = !self.confirmed.get() || self.vault.left() > 0;
            if !on_its_way || self.world.kernel.now() >= until {
                return None;
            }
            self.world.kernel.sleep(100).await;
        }
    }

    fn pop(&self) -> Option<u64> {
        let mut blocks = self.blocks.borrow_mut();
        let (first, last) = blocks.front_mut()?;
        let id = *first;
        if first == last {
            blocks.pop_front();
        } else {
            *first += 1;
        }
        Some(id)
    }

    pub(super) fn needs_block(&self) -> bool {
        self.blocks_left() < self.block_size() / 2 + 1 && self.vault.left() > 0 && self.is_usable()
    }

    pub(super) fn needs_range(&self) -> bool {
        self.is_usable() && self.sizing.borrow().needs_more(self.vault.left(), 0.1)
    }

    pub(super) fn is_usable(&self) -> bool {
        self.confirmed.get() && !self.halted.get()
    }

    pub(super) fn block_size(&self) -> u64 {
        (self.world.rules.size / 10).clamp(1, 100)
    }

    pub(super) fn add_block(&self, range: IdRange) {
        self.blocks.borrow_mut().push_back((range.first().get(), range.last().get()));
    }

    fn blocks_left(&self) -> u64 {
        self.blocks.borrow().iter().map(|(first, last)| last - first + 1).sum()
    }

    /// Somebody has been told that this instance's ledger was at `generation`.
    pub(super) fn known_at(&self, generation: u64) {
        self.told.set(self.told.get().max(generation));
        if self.confirmed.get() && self.is_older() && !self.halted.get() {
            self.world.tally.count("halted");
            self.world.trace(|| format!("{} stops: {}", self.at, self.state()));
            self.blocks.borrow_mut().clear();
            self.halted.set(true);
        }
    }

    /// Whether the instance's own ledger is an older copy.
    pub(super) fn is_older(&self) -> bool {
        self.told.get() > self.vault.seen().generation && self.vault.left() + self.blocks_left() > 0
    }

    pub(super) fn newest(&self) -> Option<Mark> {
        self.fence.borrow().newest().cloned()
    }

    pub(super) fn written(&self, vault: &Vault) {
        self.fence.borrow_mut().hear(&vault.seen().mark);
    }

    /// The ledger of the fleet's range, if it is here and has not moved.
    pub(super) fn master(&self) -> Option<Rc<Vault>> {
        self.source.borrow().clone().filter(|vault| vault.seen().moved.is_none())
    }

    pub(super) fn may_grant(&self, vault: &Vault) -> Result<(), Fenced> {
        self.fence.borrow().may_grant(&vault.seen().mark)
    }

    /// Whether the ledger of the fleet's range is here, and is not the newest.
    pub(super) fn is_fenced(&self) -> bool {
        self.master().is_some_and(|vault| matches!(self.may_grant(&vault), Err(Fenced::Older(_))))
    }

    /// Grants from the fleet's range for somebody who knows `known`.
    pub(super) async fn take(
        &self,
        size: u64,
        patience: u64,
        known: Option<Mark>,
    ) -> Result<Option<IdRange>, NoGrant> {
        let source = self.source.borrow().clone();
        let vault = source.filter(|vault| vault.seen().moved.is_none()).ok_or(NoGrant::Elsewhere)?;
        let until = self.world.kernel.now() + patience;
        while self.may_grant(&vault) == Err(Fenced::Unconfirmed) && self.world.kernel.now() < until {
            self.world.kernel.sleep(50).await;
        }
        self.may_grant(&vault).map_err(NoGrant::Fenced)?;
        let (world, at) = (self.world.clone(), self.at);
        let granting = move |ledger: &mut Ledger| {
            let granted = ledger.take(size)?;
            if let Some(range) = granted {
                account(&world, at, range, &ledger.mark(&world.machines[at].name), known.as_ref());
            }
            Ok(granted)
        };
        let granted = self.change(&vault, granting).await;
        self.written(&vault);
        granted.map_err(|_| NoGrant::Ledger)
    }

    /// What there is to say if it goes wrong.
    pub(super) fn state(&self) -> String {
        let Self { told, confirmed, halted, filling, .. } = self;
        let seen = self.vault.seen();
        format!("{seen:?}, told {told:?}, confirmed {confirmed:?}, halted {halted:?}, filling {filling:?}")
    }

    /// What may be taken from here: first and last ID, and whose.
    pub(super) fn usable(&self) -> Vec<(u64, u64, Owner)> {
        let mut usable = Vec::new();
        if self.is_usable() {
            let own = (self.at, "own");
            usable.extend(ranges(&self.vault.ledger.borrow(), own));
            usable.extend(self.blocks.borrow().iter().map(|(first, last)| (*first, *last, own)));
        }
        let vault = self.source.borrow().clone();
        if let Some(vault) = vault.filter(|vault| self.may_grant(vault).is_ok())
            && vault.ledger.borrow().moved().is_none()
            && !self.world.machines[self.at].stale.get()
        {
            usable.extend(ranges(&vault.ledger.borrow(), (self.at, "fleet's")));
        }
        usable
    }

    /// The time for rules that want one.
    pub(super) fn now(&self) -> Instant {
        self.began + std::time::Duration::from_millis(self.world.kernel.now())
    }
}

fn ranges(ledger: &Ledger, of: Owner) -> impl Iterator<Item = (u64, u64, Owner)> {
    ledger.holdings().ranges().map(move |range| (range.first().get(), range.last().get(), of))
}

/// Notes a grant, and whether decision 17 allows it to be given twice: by an older copy that could not be told, to itself and to
/// others who knew nothing newer.
fn account(world: &World, at: usize, range: IdRange, mark: &Mark, known: Option<&Mark>) {
    world.trace(|| format!("{at} grants {range} at {mark}"));
    if world.machines[at].stale.get() && known.is_none_or(|known| mark.is_newer_than(known)) {
        world.excuse(range);
    }
    let highest = &world.oracle.granted_to;
    highest.set(highest.get().max(range.last().get()));
}

pub(super) async fn slow(world: &World) {
    let ms = if world.random.in_1000(50) { 200 } else { 5 };
    world.kernel.sleep(world.random.range(0, ms)).await;
}
