//! Two servers that can be the fleet's master, an instance, and what must be true of the IDs whatever happens to their disks.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use switchboard_fleet::InstanceName;

use super::{
    disk::Recording,
    event::{EVERYONE, Event, Who},
};
use crate::{
    Fence, Handover, IdRange, Kind, Ledger, LedgerError, Mark, Record,
    repair::{master_above, repair_on, salvage_on},
    text,
};

#[derive(Debug)]
struct Site {
    who: Who,
    disk: Recording,
    ledger: Option<Ledger>,
    /// What somebody has made of the file.
    bad: Option<Vec<u8>>,
    /// The newest that was told by this master, or to this instance.
    told: Option<Mark>,
}

#[derive(Debug)]
pub(super) struct World {
    sites: [Site; 3],
    whole: IdRange,
    /// Granted by a master.
    pub(super) granted: BTreeSet<u64>,
    /// Given to a customer or a sibling by the instance.
    pub(super) served: BTreeSet<u64>,
    /// What the instance may give.
    entitled: BTreeSet<u64>,
    handovers: Vec<Handover>,
    received: BTreeSet<u64>,
    /// What everybody in the fleet knows.
    fence: Fence,
    now_ms: u64,
}

fn name(who: Who) -> InstanceName {
    let server = if who == Who::A { "a.example.net" } else { "b.example.net" };
    InstanceName { server: server.parse().unwrap(), port: 8081 }
}

fn path() -> PathBuf {
    "/var/8081/range.ledger".into()
}

fn kind(who: Who) -> Kind {
    if who == Who::Instance { Kind::Instance } else { Kind::Master }
}

fn range(first: u64, last: u64) -> IdRange {
    IdRange::from_numbers(first, last).unwrap()
}

fn numbers(range: IdRange) -> impl Iterator<Item = u64> {
    range.first().get()..=range.last().get()
}

impl World {
    /// A has the range 101 to 400; `original`: as the original service's file, and the instance one with 1 to 20.
    pub(super) fn new(original: bool) -> Self {
        let site = |who| Site { who, disk: Recording::default(), ledger: None, bad: None, told: None };
        let mut fence = Fence::default();
        fence.confirm();
        let mut world = Self {
            sites: EVERYONE.map(site),
            whole: range(101, 400),
            granted: BTreeSet::new(),
            served: BTreeSet::new(),
            entitled: BTreeSet::new(),
            handovers: Vec::new(),
            received: BTreeSet::new(),
            fence,
            now_ms: 1_700_000_000_000,
        };
        if original {
            world.site(Who::A).disk.put(&path(), b"101\n400\n");
            world.site(Who::Instance).disk.put(&path(), b"1\n20\n");
            world.entitled.extend(1..=20);
        }
        world
    }

    /// The same world with nobody running, to try one of several outcomes in.
    pub(super) fn fork(&self) -> Self {
        let copy = |site: &Site| Site {
            disk: site.disk.fork(),
            ledger: None,
            told: site.told.clone(),
            who: site.who,
            bad: site.bad.clone(),
        };
        Self {
            sites: [copy(&self.sites[0]), copy(&self.sites[1]), copy(&self.sites[2])],
            granted: self.granted.clone(),
            served: self.served.clone(),
            entitled: self.entitled.clone(),
            handovers: self.handovers.clone(),
            received: self.received.clone(),
            fence: self.fence.clone(),
            ..*self
        }
    }

    pub(super) fn disk(&self, who: Who) -> &Recording {
        &self.sites[who as usize].disk
    }

    pub(super) fn apply(&mut self, event: &Event) {
        match *event {
            Event::Open(who) => self.open(who),
            Event::Close(who) => self.site(who).ledger = None,
            Event::Grant { master, n, back, lost } => self.grant(master, n, back, lost),
            Event::Serve { n, sibling } => self.serve(n, sibling),
            Event::Claim(who) => {
                if self.may_grant(who) && self.ledger(who).is_some_and(|ledger| ledger.claim().is_ok()) {
                    self.tell(who);
                }
            }
            Event::Seal(who) => self.seal(who),
            Event::Receive(which) => self.receive(which),
            Event::HandedOver(who) => self.handed_over(who),
            Event::Repair(who) => self.repair(who),
            Event::Damage { who, at, cut } => self.damage(who, at, cut),
            Event::Fault(who, fault) => self.disk(who).arm(fault),
            Event::Crash(who, power) => {
                let mut seed = power.unwrap_or(0);
                self.crash(who, power.is_some(), |n| {
                    seed =
                        seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    (seed >> 33) as usize % n
                });
            }
        }
    }

    /// The process of one site ends, and if `power`, what it did not sync has an outcome that `choose` chooses.
    pub(super) fn crash(&mut self, who: Who, power: bool, choose: impl FnMut(usize) -> usize) {
        let site = self.site(who);
        site.ledger = None;
        if power { site.disk.lose_power(choose) } else { site.disk.restart() }
    }

    fn site(&mut self, who: Who) -> &mut Site {
        &mut self.sites[who as usize]
    }

    fn ledger(&mut self, who: Who) -> Option<&mut Ledger> {
        self.site(who).ledger.as_mut()
    }

    /// As an instance starts; at A, whose file may be missing, as `switchboard range init` and then.
    fn open(&mut self, who: Who) {
        let whole = self.whole;
        let Site { disk, ledger: None, bad, told, .. } = self.site(who) else { return };
        let damaged = bad.is_some() && *bad == disk.content(&path());
        let mut opened = Ledger::open_on(Box::new(disk.clone()), &path(), kind(who));
        if who == Who::A && told.is_none() && matches!(opened, Err(LedgerError::Absent { .. })) {
            opened = Ledger::init_master_on(Box::new(disk.clone()), &path(), whole);
        }
        let ledger = match opened {
            Ok(ledger) => ledger,
            Err(LedgerError::Damaged { .. }) if damaged => return,
            Err(LedgerError::Absent { .. }) if who != Who::Instance && told.is_none() => return,
            Err(LedgerError::Write { .. }) => return,
            Err(error) => panic!("{who:?} does not start: {error}"),
        };
        assert!(!damaged, "a damaged ledger was taken");
        let here = if who == Who::Instance { ledger.known().cloned() } else { Some(ledger.mark(&name(who))) };
        if let Some(told) = told {
            assert!(here.is_some_and(|here| !told.is_newer_than(&here)), "{who:?} has forgotten {told}");
        }
        if who == Who::Instance {
            self.site(who).ledger = Some(ledger);
            return;
        }
        // One made without knowing all, by a repair, does not come into use.
        if ledger.moved().is_some() || self.fence.may_claim(&ledger.mark(&name(who))).is_ok() {
            self.site(who).ledger = Some(ledger);
            self.tell(who);
        }
    }

    /// The fleet hears where this master is.
    fn tell(&mut self, who: Who) {
        let Some(ledger) = &self.site(who).ledger else { return };
        let mark = ledger.mark(&name(who));
        self.site(who).told = Some(mark.clone());
        if self.fence.hear(&mark) {
            let granted = self.granted.last().copied().unwrap_or(0);
            assert!(mark.granted_to >= granted, "{mark} hides a grant of {granted}");
        }
    }

    fn may_grant(&self, who: Who) -> bool {
        let ledger = self.sites[who as usize].ledger.as_ref();
        ledger.is_some_and(|ledger| {
            ledger.kind() == Kind::Master && self.fence.may_grant(&ledger.mark(&name(who))).is_ok()
        })
    }

    fn grant(&mut self, master: Who, n: u64, back: bool, lost: bool) {
        if !self.may_grant(master) {
            return;
        }
        let Some(ledger) = self.ledger(master) else { return };
        let sealed = ledger.moved().is_some();
        let Ok(Some(range)) = (if back { ledger.cut(n) } else { ledger.take(n) }) else { return };
        assert!(!sealed, "a sealed ledger grants");
        let mark = ledger.mark(&name(master));
        for id in numbers(range) {
            assert!(numbers(self.whole).any(|known| known == id), "{id} is not the fleet's");
            assert!(self.granted.insert(id), "{id} is granted twice");
        }
        self.tell(master);
        if lost {
            return;
        }
        let instance = self.site(Who::Instance);
        let added = instance.ledger.as_mut().map(|ledger| ledger.add(range, Some(&mark)));
        if let Some(Ok(())) = added {
            instance.told = Some(mark);
        }
        if added.is_some() {
            self.entitled.extend(numbers(range));
        }
    }

    fn serve(&mut self, n: u64, sibling: bool) {
        let Some(ledger) = self.ledger(Who::Instance) else { return };
        let Ok(Some(range)) = (if sibling { ledger.cut(n) } else { ledger.take(n) }) else { return };
        for id in numbers(range) {
            assert!(self.entitled.contains(&id), "{id} was never the instance's");
            assert!(self.served.insert(id), "{id} is given twice");
        }
    }

    fn seal(&mut self, who: Who) {
        let other = if who == Who::A { Who::B } else { Who::A };
        if !self.may_grant(who) && self.ledger(who).is_none_or(|ledger| ledger.moved().is_none()) {
            return;
        }
        let Some(Ok(handover)) = self.ledger(who).map(|ledger| ledger.seal(&name(other))) else { return };
        assert_eq!(Handover::decode(&handover.encode()), Ok(handover.clone()));
        let again = self.handovers.iter().find(|sent| sent.epoch == handover.epoch);
        assert!(again.is_none_or(|again| *again == handover), "two handovers of one epoch");
        self.handovers.push(handover);
        self.tell(who);
    }

    fn receive(&mut self, which: usize) {
        if self.handovers.is_empty() {
            return;
        }
        let handover = self.handovers[which % self.handovers.len()].clone();
        if self.fence.newest().is_some_and(|newest| newest.epoch > handover.epoch) {
            return;
        }
        let who = if handover.to == name(Who::A) { Who::A } else { Who::B };
        let site = self.site(who);
        let received = match &mut site.ledger {
            Some(ledger) => ledger.take_over(&handover),
            None => {
                let made = Ledger::receive_on(Box::new(site.disk.clone()), &path(), &handover);
                made.map(|ledger| site.ledger = Some(ledger))
            }
        };
        if received.is_ok() {
            self.received.insert(handover.epoch);
            self.tell(who);
        }
    }

    fn handed_over(&mut self, who: Who) {
        let received = self.received.clone();
        if let Some(ledger) = self.ledger(who)
            && ledger.moved().is_some_and(|moved| received.contains(&moved.epoch))
        {
            let _ = ledger.handed_over();
        }
    }

    fn repair(&mut self, who: Who) {
        if who != Who::Instance && !self.is_alone(who) {
            return;
        }
        self.now_ms += 1000;
        let (newest, now_ms, whole) = (self.fence.newest().cloned(), self.now_ms, self.whole);
        let granted_to = self.granted.last().copied().unwrap_or(0);
        let site = self.site(who);
        site.ledger = None;
        let salvage = salvage_on(&site.disk, &path());
        let next = match kind(who) {
            Kind::Instance => Record::empty(Kind::Instance),
            Kind::Master => {
                let epoch = newest.map_or(0, |newest| newest.epoch).max(salvage.epoch) + 1;
                master_above(epoch, granted_to.max(salvage.granted_to), whole)
            }
        };
        let before = site.disk.content(&path());
        let aside = format!("/var/8081/range.ledger.bad-{now_ms}");
        match repair_on(Box::new(site.disk.clone()), &path(), next, now_ms) {
            Ok(repaired) => {
                assert_eq!(repaired.aside.is_some(), before.is_some());
                assert_eq!(site.disk.content(Path::new(&aside)), before);
                assert!(repaired.record.generation >= now_ms);
            }
            Err(LedgerError::Write { .. }) => return,
            // Its header may be what was spoilt.
            Err(LedgerError::Foreign { .. }) if site.bad == before => return,
            Err(error) => panic!("{who:?} is not repaired: {error}"),
        }
        self.open(who);
    }

    /// There is no second ledger that could grant: the operator's part of a master's repair.
    fn is_alone(&self, who: Who) -> bool {
        let other = if who == Who::A { Who::B } else { Who::A };
        let content = self.disk(other).content(&path());
        let record = content.map(|content| text::decode(&String::from_utf8(content).unwrap_or_default()));
        record.is_none_or(|record| record.is_ok_and(|record| record.moved.is_some()))
    }

    fn damage(&mut self, who: Who, at: usize, cut: bool) {
        let site = self.site(who);
        let Some(mut content) = site.disk.content(&path()) else { return };
        if site.ledger.is_some() || content.is_empty() || site.told.is_none() {
            return;
        }
        let at = at % content.len();
        if cut {
            content.truncate(at);
        } else {
            content[at] ^= 1;
        }
        site.disk.put(&path(), &content);
        site.bad = Some(content);
        if who == Who::Instance {
            // What it knew may be what was spoilt.
            site.told = None;
        }
    }

    /// Starts everybody, ends a move that is under way, and gives out all that is left.
    pub(super) fn drain(&mut self) {
        for who in EVERYONE {
            self.open(who);
        }
        for who in [Who::A, Who::B] {
            if self.ledger(who).is_some_and(|ledger| ledger.moved().is_some_and(|moved| moved.pending)) {
                self.seal(who);
                self.receive(self.handovers.len().saturating_sub(1));
                self.handed_over(who);
            }
        }
        for _ in 0..10 {
            self.grant(Who::A, 200, false, false);
            self.grant(Who::B, 200, false, false);
            self.serve(400, false);
        }
    }

    /// IDs of the fleet and of the instance that nobody can give any more and nobody was given.
    pub(super) fn lost(&self) -> usize {
        let ungranted = numbers(self.whole).filter(|id| !self.granted.contains(id)).count();
        ungranted + self.entitled.difference(&self.served).count()
    }
}
