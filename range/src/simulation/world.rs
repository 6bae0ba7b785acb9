//! Machines, their disks and processes, the network between them, and what is kept of all that for the checks.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    future::pending,
    path::{Path, PathBuf},
    rc::Rc,
    task::{Poll, Waker},
};

use switchboard_fleet::InstanceName;

use super::{
    disk::{Copy, Memory},
    hub::Hub,
    kernel::{Kernel, Random},
};
use crate::{IdRange, Kind, Ledger, LedgerError, Record, text};

/// What a question and its answer meet, in 1000.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weather {
    pub(super) lost: u64,
    pub(super) late: u64,
    pub(super) doubled: u64,
    /// Callers that go away before they have their answer, and with them the work for it.
    pub(super) hung_up: u64,
}

pub(super) const CALM: Weather = Weather { lost: 0, late: 0, doubled: 0, hung_up: 0 };

/// The configuration.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub(super) size: u64,
    pub(super) size_max: u64,
    /// How long an answer is waited for, in ms.
    pub(super) lookup: u64,
}

/// How often things happened.
#[derive(Debug, Default)]
pub(super) struct Tally(RefCell<BTreeMap<&'static str, u64>>);

impl Tally {
    pub(super) fn count(&self, what: &'static str) {
        *self.0.borrow_mut().entry(what).or_default() += 1;
    }

    pub(super) fn take(&self) -> BTreeMap<&'static str, u64> {
        self.0.take()
    }
}

/// What somebody knows who is not part of the fleet.
#[derive(Debug, Default)]
pub(super) struct Oracle {
    given: RefCell<BTreeSet<u64>>,
    /// IDs that decision 17 says may be given twice.
    excused: RefCell<Vec<IdRange>>,
    /// The highest ID that was granted.
    pub(super) granted_to: Cell<u64>,
}

/// A server with one instance.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) name: InstanceName,
    pub(super) disk: Memory,
    /// `master` in its configuration.
    pub(super) master: Cell<usize>,
    pub(super) hub: RefCell<Option<Rc<Hub>>>,
    /// The ledger for which the process did not start.
    pub(super) refused: Cell<Option<Kind>>,
    /// The fleet's range was copied from here: this is an older copy now.
    pub(super) superseded: Cell<bool>,
    /// Where it was copied to.
    pub(super) copied_to: Cell<Option<usize>>,
    /// Runs on a copy that nobody could tell as older when it started.
    pub(super) stale: Cell<bool>,
    /// Hears no marks, as a master of another make might.
    pub(super) deaf: Cell<bool>,
    pub(super) copies: RefCell<Vec<Copy>>,
}

pub(super) struct World {
    pub(super) kernel: Kernel,
    pub(super) random: Random,
    pub(super) machines: Vec<Machine>,
    pub(super) rules: Rules,
    pub(super) whole: IdRange,
    pub(super) weather: Cell<Weather>,
    /// Whom nobody reaches.
    pub(super) cut: RefCell<BTreeSet<usize>>,
    /// An older copy starts here: as long as it does nobody dies, and it reaches everyone.
    pub(super) watched: Cell<Option<usize>>,
    pub(super) oracle: Oracle,
    pub(super) tally: Tally,
    fault: RefCell<Option<String>>,
    traced: bool,
}

pub(super) fn own_path() -> PathBuf {
    "/state/range.ledger".into()
}

pub(super) fn master_path() -> PathBuf {
    "/state/master.ledger".into()
}

fn name(at: usize) -> InstanceName {
    let server = ["a", "b", "c", "d", "e", "f"][at];
    InstanceName { server: format!("{server}.example.net").parse().unwrap(), port: 8081 }
}

impl World {
    pub(super) fn new(seed: u64, traced: bool) -> Rc<Self> {
        let random = Random::new(seed);
        let machine = |at| Machine {
            name: name(at),
            disk: Memory::default(),
            master: Cell::new(0),
            hub: RefCell::default(),
            refused: Cell::new(None),
            superseded: Cell::new(false),
            copied_to: Cell::new(None),
            stale: Cell::new(false),
            deaf: Cell::new(false),
            copies: RefCell::default(),
        };
        let size = random.range(10, 60);
        let count = if random.in_1000(100) { random.range(5, 30) } else { 100_000 } * size;
        let first = random.range(1, 1_000_000);
        Rc::new(Self {
            kernel: Kernel::default(),
            machines: (0..random.range(3, 6) as usize).map(machine).collect(),
            rules: Rules { size, size_max: size * random.range(1, 4), lookup: random.range(500, 2000) },
            whole: IdRange::from_numbers(first, first + count - 1).unwrap(),
            weather: Cell::new(CALM),
            cut: RefCell::default(),
            watched: Cell::new(None),
            oracle: Oracle::default(),
            tally: Tally::default(),
            fault: RefCell::default(),
            traced,
            random,
        })
    }

    #[allow(clippy::print_stdout, reason = "asked for")]
    pub(super) fn trace(&self, what: impl FnOnce() -> String) {
        if self.traced {
            println!("{:>7} {}", self.kernel.now(), what());
        }
    }

    /// Something is wrong; what went wrong first counts.
    pub(super) fn fault(&self, what: String) {
        self.trace(|| format!("FAULT {what}"));
        let at = self.kernel.now();
        self.fault.borrow_mut().get_or_insert_with(|| format!("after {at} ms: {what}"));
    }

    pub(super) fn first_fault(&self) -> Option<String> {
        self.fault.borrow().clone()
    }

    pub(super) fn all(&self) -> std::ops::Range<usize> {
        0..self.machines.len()
    }

    pub(super) fn at(&self, name: &InstanceName) -> Option<usize> {
        self.machines.iter().position(|machine| machine.name == *name)
    }

    pub(super) fn hub(&self, at: usize) -> Option<Rc<Hub>> {
        self.machines[at].hub.borrow().clone()
    }

    pub(super) fn running(&self) -> Vec<Rc<Hub>> {
        self.all().filter_map(|at| self.hub(at)).collect()
    }

    /// The process ends where it stands; with `power`, what was not synced may be lost.
    pub(super) fn kill(&self, at: usize, power: bool) {
        let machine = &self.machines[at];
        let Some(hub) = machine.hub.take() else { return };
        self.trace(|| format!("{at} ends"));
        self.kernel.abort(at);
        drop(hub);
        if power {
            machine.disk.lose_power(|n| self.random.index(n));
        } else {
            machine.disk.restart();
        }
    }

    /// Ends a process whose disk has stopped it amid a step; it does nothing after that.
    pub(super) async fn end_if_dead(&self, at: usize) {
        if self.machines[at].disk.is_dead() {
            self.tally.count("deaths amid a write");
            self.kill(at, self.random.in_1000(500));
            pending::<()>().await;
        }
    }

    /// A customer has got an ID.
    pub(super) fn given(&self, at: usize, id: u64) {
        self.tally.count("ids");
        if !(self.whole.first().get()..=self.whole.last().get()).contains(&id) {
            self.fault(format!("{at} gave {id}, which is none of the fleet's"));
        }
        if !self.oracle.given.borrow_mut().insert(id) && !self.is_excused(id) {
            self.fault(format!("{at} gave {id} for the second time"));
        }
    }

    pub(super) fn excuse(&self, range: IdRange) {
        self.oracle.excused.borrow_mut().push(range);
    }

    fn is_excused(&self, id: u64) -> bool {
        self.oracle
            .excused
            .borrow()
            .iter()
            .any(|range| (range.first().get()..=range.last().get()).contains(&id))
    }

    /// No two ledgers from which IDs may be taken hold the same one.
    pub(super) fn check_overlaps(&self) {
        let mut held: Vec<_> = self.running().iter().flat_map(|hub| hub.usable()).collect();
        held.sort_unstable();
        for pair in held.windows(2) {
            let (_, last, one) = &pair[0];
            let (first, _, other) = &pair[1];
            if first <= last && one != other && !self.is_excused(*first) {
                self.fault(format!("{one:?} and {other:?} both hold {first}"));
            }
        }
    }

    /// What a ledger's file says.
    pub(super) fn record(&self, at: usize, kind: Kind) -> Option<Record> {
        let path = if kind == Kind::Master { master_path() } else { own_path() };
        record(&self.machines[at].disk.copy(), &path)
    }

    /// A ledger of this machine.
    pub(super) fn open(&self, at: usize, kind: Kind) -> Result<Ledger, LedgerError> {
        let path = if kind == Kind::Master { master_path() } else { own_path() };
        Ledger::open_on(Box::new(self.machines[at].disk.clone()), &path, kind)
    }

    /// Everybody goes home.
    pub(super) fn close(&self) {
        self.kernel.close();
        self.machines.iter().for_each(|machine| drop(machine.hub.take()));
    }
}

pub(super) fn record(copy: &Copy, path: &Path) -> Option<Record> {
    text::decode(std::str::from_utf8(copy.get(path)?).ok()?).ok()
}

/// Where something is put once, for someone who waits.
#[derive(Debug)]
pub(super) struct Slot<T>(Rc<RefCell<(Option<T>, Option<Waker>)>>);

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Slot<T> {
    pub(super) fn new() -> Self {
        Self(Rc::new(RefCell::new((None, None))))
    }

    /// What is put second is dropped.
    pub(super) fn put(&self, what: T) {
        let mut slot = self.0.borrow_mut();
        slot.0.get_or_insert(what);
        if let Some(waker) = slot.1.take() {
            waker.wake();
        }
    }

    pub(super) async fn get(self) -> T {
        std::future::poll_fn(|context| {
            let mut slot = self.0.borrow_mut();
            slot.1 = Some(context.waker().clone());
            slot.0.take().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}
