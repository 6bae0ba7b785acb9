//! What people do: copies of disks and their return, the move of the master, repair; as `switchboard range` does it.

use std::{path::PathBuf, rc::Rc};

use super::{
    disk::Copy,
    marks,
    network::{Question, call},
    world::{World, master_path, own_path, record},
};
use crate::{
    IdRange, Kind, Mark, Record,
    repair::{master_above, repair_on, salvage_on},
};

/// The time of the first start, in ms since 1970.
const EPOCH_MS: u64 = 1_700_000_000_000;

/// What the others know of a machine's ledgers, as far as they run and can be reached.
struct KnownElsewhere {
    mark: Option<Mark>,
    generation: u64,
}

fn known_elsewhere(world: &World, at: usize) -> KnownElsewhere {
    let mut known = KnownElsewhere { mark: None, generation: 0 };
    let reached = |other: usize| other != at && !world.cut.borrow().contains(&other);
    for hub in world.running().into_iter().filter(|hub| reached(hub.at) && hub.started.get()) {
        known.mark = newer(known.mark, hub.newest());
        known.generation = known.generation.max(hub.ledgers.borrow().get(&at).copied().unwrap_or(0));
    }
    known
}

fn newer(a: Option<Mark>, b: Option<Mark>) -> Option<Mark> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if b.is_newer_than(&a) { b } else { a }),
        (a, b) => a.or(b),
    }
}

/// What is to be expected of a machine that starts with a copy.
#[derive(Debug, PartialEq, Eq)]
enum Older {
    /// It holds nothing that was given since.
    Harmless,
    /// Somebody knows something newer of each ledger that is older.
    Known,
    /// Nobody does.
    Unknown,
}

fn judge(world: &World, at: usize, copy: &Copy, present: Option<&Copy>) -> Older {
    if world.cut.borrow().contains(&at) {
        return Older::Unknown;
    }
    let known = known_elsewhere(world, at);
    let differs = |path: &PathBuf| present.is_none_or(|present| present.get(path) != copy.get(path));
    let own = record(copy, &own_path()).filter(|own| differs(&own_path()) && own.holdings.left() > 0);
    let master = record(copy, &master_path()).filter(|_| differs(&master_path()));
    let own = own.map(|own| known.generation > own.generation);
    let master = master.and_then(|master| judge_master(world, &master, known.mark.as_ref()));
    match (own, master) {
        (None, None) => Older::Harmless,
        (Some(false), _) | (_, Some(false)) => Older::Unknown,
        _ => Older::Known,
    }
}

/// Whether a master's ledger is known as older; `None` if it does no harm.
fn judge_master(world: &World, master: &Record, known: Option<&Mark>) -> Option<bool> {
    let Some(moved) = &master.moved else {
        return Some(
            known.is_some_and(|mark| (mark.epoch, mark.generation) > (master.epoch, master.generation)),
        );
    };
    let arrived = || {
        let there = world.record(world.at(&moved.to)?, Kind::Master)?;
        (there.epoch >= moved.epoch).then_some(())
    };
    // What is handed over once more finds the ledger that it made.
    if moved.pending && arrived().is_none() { Some(false) } else { None }
}

/// Puts an older copy of its disk into a machine: one that somebody knows as older must be refused; of another kind it starts
/// where nobody is reached.
pub(super) async fn put_back(world: &Rc<World>, at: usize) {
    let machine = &world.machines[at];
    let copies = machine.copies.borrow().len();
    if copies == 0 || machine.stale.get() || machine.superseded.get() || world.watched.get().is_some() {
        return;
    }
    let copy = machine.copies.borrow()[world.random.index(copies)].clone();
    let present = machine.disk.copy();
    // Repair looks no farther than one largest grant beyond what the others know.
    let granted_to = known_elsewhere(world, at).mark.map_or(0, |mark| mark.granted_to);
    if present == copy || world.oracle.granted_to.get() > granted_to + world.rules.size_max {
        return;
    }
    // What was refused is an older copy itself.
    let newest = Some(&present).filter(|_| machine.refused.get().is_none());
    let judgement = judge(world, at, &copy, newest);
    let alone = judgement != Older::Unknown && world.random.in_1000(200);
    if judgement == Older::Unknown || (alone && is_sealed(&copy)) {
        return;
    }
    world.kill(at, false);
    machine.disk.disarm();
    machine.disk.put_back(&copy);
    machine.refused.set(None);
    world.trace(|| format!("{at} gets an older copy of its disk, {judgement:?}, alone: {alone}"));
    if alone {
        start_alone(world, at, &copy).await;
    } else {
        world.tally.count("older copies");
        // One ledger is refused at a time: the other stays what it is until then.
        if judge_master_of(world, at) == Some(true) {
            machine.superseded.set(true);
        }
        start_watched(world, at, judgement == Older::Known).await;
    }
}

fn is_sealed(copy: &Copy) -> bool {
    record(copy, &master_path()).is_some_and(|master| master.moved.is_some())
}

/// Cut off while it starts, it cannot know: what it holds may be given twice.
async fn start_alone(world: &Rc<World>, at: usize, copy: &Copy) {
    world.tally.count("older copies alone");
    let machine = &world.machines[at];
    if let Some(own) = record(copy, &own_path()) {
        own.holdings.ranges().for_each(|range| world.excuse(range));
    }
    machine.stale.set(copy.contains_key(&master_path()));
    machine.deaf.set(machine.stale.get() && world.random.in_1000(300));
    world.cut.borrow_mut().insert(at);
    marks::start(world, at, false);
    world.kernel.sleep(world.rules.lookup + world.random.range(500, 5000)).await;
    world.cut.borrow_mut().remove(&at);
}

/// Starts a machine that reaches everyone who runs, and sees whether it is refused as it must be.
async fn start_watched(world: &Rc<World>, at: usize, refused: bool) {
    world.watched.set(Some(at));
    world.machines.iter().for_each(|machine| machine.disk.disarm());
    marks::start(world, at, true);
    while world.hub(at).is_some_and(|hub| !hub.started.get()) {
        world.kernel.sleep(50).await;
    }
    world.watched.set(None);
    if refused {
        world.tally.count("older copies refused");
        if world.hub(at).is_some() {
            world.fault(format!("{at} took an older copy into use that was known as older"));
        }
    }
}

/// Starts a machine that is down, unless people keep it so.
pub(super) async fn start(world: &Rc<World>, at: usize) {
    let machine = &world.machines[at];
    if machine.refused.get().is_some() || machine.hub.borrow().is_some() {
        return;
    }
    if !machine.superseded.get() {
        return marks::start(world, at, world.random.in_1000(500));
    }
    let none = world.watched.get().is_none() && !world.cut.borrow().contains(&at);
    // Where it was copied to it has been claimed: by that alone it is newer.
    let claimed = machine.copied_to.get().and_then(|to| world.hub(to)).is_some_and(|hub| {
        let grants = hub.master().is_some_and(|vault| hub.may_grant(&vault).is_ok());
        hub.started.get()
            && grants
            && !world.cut.borrow().contains(&hub.at)
            && !world.machines[hub.at].stale.get()
    });
    if none && (claimed || judge_master_of(world, at) == Some(true)) {
        world.tally.count("superseded masters");
        start_watched(world, at, true).await;
    }
}

/// A master's ledger that was copied away, which nobody in the fleet knows any more: a person does.
pub(super) fn repair_superseded(world: &World, at: usize) {
    let machine = &world.machines[at];
    if machine.superseded.get() && machine.hub.borrow().is_none() {
        machine.disk.disarm();
        repair_fleets(world, at);
    }
}

fn judge_master_of(world: &World, at: usize) -> Option<bool> {
    judge_master(world, &world.record(at, Kind::Master)?, known_elsewhere(world, at).mark.as_ref())
}

/// The master's ledger is copied to another machine, which becomes the master; the old one may come back any time.
pub(super) async fn copy_master(world: &Rc<World>, to: usize) {
    let newest = newest(world);
    let Some(from) = newest.and_then(|mark| world.at(&mark.place)).filter(|from| *from != to) else { return };
    let Some(hub) = world.hub(from) else { return };
    let grants = hub.master().is_some_and(|vault| hub.may_grant(&vault).is_ok());
    let (old, new) = (&world.machines[from], &world.machines[to]);
    let doubtful = |at: usize| {
        let machine = &world.machines[at];
        machine.stale.get() || machine.superseded.get() || machine.refused.get().is_some()
    };
    let absent = world.record(to, Kind::Master).is_none();
    let sealed = world.record(from, Kind::Master).is_none_or(|master| master.moved.is_some());
    if !grants || sealed || doubtful(from) || doubtful(to) || !absent || world.watched.get().is_some() {
        return;
    }
    world.tally.count("masters copied");
    world.trace(|| format!("the master's ledger is copied from {from} to {to}"));
    world.kill(from, false);
    world.kill(to, false);
    new.disk.put(&master_path(), &old.disk.copy()[&master_path()]);
    old.superseded.set(true);
    old.copied_to.set(Some(to));
    if !world.cut.borrow().contains(&to) {
        start_watched(world, to, false).await;
    }
}

/// Has the master hand the fleet's range over.
pub(super) async fn move_master(world: &Rc<World>, to: usize) {
    let Some(from) = newest(world).and_then(|mark| world.at(&mark.place)) else { return };
    let doubtful = |at: usize| world.machines[at].stale.get() || world.machines[at].superseded.get();
    let doubtful = |at: usize| doubtful(at) && !world.hub(at).is_some_and(|hub| hub.is_fenced());
    if from != to && !doubtful(from) && !doubtful(to) {
        world.tally.count("moves asked for");
        call(world, from, from, Question::Move(to), false).await;
    }
}

pub(super) fn newest(world: &World) -> Option<Mark> {
    world.running().into_iter().map(|hub| hub.newest()).reduce(newer).flatten()
}

/// Repairs a machine's ledger for which it was refused.
pub(super) fn repair(world: &Rc<World>, at: usize) {
    let machine = &world.machines[at];
    machine.disk.disarm();
    match machine.refused.get() {
        Some(Kind::Instance) => repair_own(world, at),
        Some(Kind::Master) => repair_fleets(world, at),
        None => {}
    }
}

pub(super) fn repair_own(world: &World, at: usize) {
    let machine = &world.machines[at];
    let (disk, empty) = (Box::new(machine.disk.clone()), Record::empty(Kind::Instance));
    match repair_on(disk, &own_path(), empty, EPOCH_MS + world.kernel.now()) {
        Ok(_) => world.tally.count("repairs of an instance's"),
        Err(error) => world.fault(format!("{at} is not repaired: {error}")),
    }
    machine.refused.set(None);
}

/// Makes the fleet's range again where it was; if it is elsewhere now, the ledger here is of no use.
pub(super) fn repair_fleets(world: &World, at: usize) {
    let machine = &world.machines[at];
    if world.running().iter().any(|hub| world.cut.borrow().contains(&hub.at)) {
        // Not everyone answers.
        return;
    }
    let mut known = Vec::new();
    let mut granted_to = 0;
    for other in world.all() {
        match world.hub(other) {
            Some(hub) => known.extend(hub.newest()),
            // One that does not run: what lies on its disk makes `--above`.
            None => {
                let own = world.record(other, Kind::Instance);
                granted_to = granted_to.max(own.as_ref().map_or(0, highest));
                known.extend(own.and_then(|own| own.known));
            }
        }
    }
    let there = salvage_on(&machine.disk, &master_path());
    let newest = known.iter().cloned().map(Some).reduce(newer).flatten();
    let place = newest.as_ref().and_then(|mark| world.at(&mark.place));
    machine.stale.set(false);
    machine.deaf.set(false);
    machine.superseded.set(false);
    machine.copied_to.set(None);
    machine.refused.set(None);
    if let Some(place) = place.filter(|place| *place != at) {
        world.tally.count("set aside");
        world.trace(|| format!("{at}: the master's ledger is set aside: {place} is the master"));
        machine.disk.remove(&master_path());
        return machine.master.set(place);
    }
    let marks = known.iter().map(|mark| mark.granted_to).max().unwrap_or(0);
    let mut granted_to = granted_to.max(marks).max(there.granted_to) + world.rules.size_max;
    if granted_to < world.oracle.granted_to.get() {
        world.tally.count("beyond by hand");
        granted_to = world.oracle.granted_to.get();
    }
    let epoch = known.iter().map(|mark| mark.epoch).chain([there.epoch]).max().unwrap_or(0) + 1;
    let whole = there.whole.or_else(|| IdRange::from_numbers(1, world.whole.last().get()));
    let next = master_above(epoch, granted_to, whole.unwrap_or(world.whole));
    let disk = Box::new(machine.disk.clone());
    match repair_on(disk, &master_path(), next, EPOCH_MS + world.kernel.now()) {
        Ok(_) => world.tally.count("repairs of the fleet's"),
        Err(error) => world.fault(format!("{at}: the fleet's range is not repaired: {error}")),
    }
    world.trace(|| format!("{at}: the fleet's range is repaired above {granted_to} in epoch {epoch}"));
}

fn highest(record: &Record) -> u64 {
    record.holdings.ranges().map(|range| range.last().get()).max().unwrap_or(0)
}
