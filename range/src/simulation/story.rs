//! One run: a fleet comes up, everything goes wrong, all is put right, and every instance registers customers again.

use std::{cell::Cell, collections::BTreeMap, rc::Rc};

use super::{
    disk::Fault,
    marks, operator,
    world::{CALM, Weather, World, master_path},
};
use crate::{Kind, Ledger};

/// Copies of a disk that are kept.
const COPIES_MAX: usize = 4;
/// Looks at a fleet in which all was put right, until it is sound.
const LOOKS_MAX: u64 = 60;
/// Between two looks, in ms.
const LOOK_EVERY: u64 = 3000;
/// A customer is registered within this in a calm fleet, in ms.
const PATIENCE: u64 = 20_000;

/// What came of a run.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) fault: Option<String>,
    /// Steps taken, and the state of chance in the end: the same for the same seed.
    pub(super) steps: (u64, u64),
    pub(super) tally: BTreeMap<&'static str, u64>,
}

/// Runs the fleet of a seed.
pub(super) fn run(seed: u64, traced: bool) -> Outcome {
    let world = World::new(seed, traced);
    let over = Rc::new(Cell::new(false));
    let (there, done) = (world.clone(), over.clone());
    world.kernel.spawn(None, async move {
        story(&there).await;
        done.set(true);
    });
    let ended = world.kernel.run(|| over.get() || world.first_fault().is_some());
    let fault = world.first_fault().or(ended.err());
    let steps = (world.kernel.steps.get(), world.random.next());
    let outcome = Outcome { fault, steps, tally: world.tally.take() };
    world.close();
    outcome
}

async fn story(world: &Rc<World>) {
    let disk = Box::new(world.machines[0].disk.clone());
    if let Err(error) = Ledger::init_master_on(disk, &master_path(), world.whole) {
        return world.fault(error.to_string());
    }
    world.all().for_each(|at| marks::start(world, at, true));
    world.all().for_each(|at| customers(world, at));
    let until = world.random.range(20_000, 60_000);
    while world.kernel.now() < until {
        world.kernel.sleep(world.random.range(1, 1000)).await;
        something(world);
    }
    put_right(world).await;
    if is_used_up(world) {
        return world.tally.count("used up");
    }
    for at in world.all() {
        register_all(world, at).await;
    }
}

/// Customers come in bursts. One whose instance ends or has no ID goes away.
fn customers(world: &Rc<World>, at: usize) {
    let world = world.clone();
    world.clone().kernel.spawn(None, async move {
        loop {
            world.kernel.sleep(world.random.range(100, 5000)).await;
            let Some(hub) = world.hub(at) else { continue };
            world.kernel.spawn(Some(at), async move {
                for _ in 0..hub.world.random.range(1, hub.world.rules.size) {
                    let Some(id) = hub.register().await else { return };
                    hub.world.given(hub.at, id);
                    if hub.world.random.in_1000(200) {
                        hub.world.kernel.sleep(hub.world.random.range(1, 100)).await;
                    }
                }
            });
        }
    });
}

/// Something goes wrong, or somebody does something.
fn something(world: &Rc<World>) {
    let random = &world.random;
    let at = random.index(world.machines.len());
    let machine = &world.machines[at];
    match random.range(0, 99) {
        0..10 => {
            let some = |most| random.range(0, most) * random.range(0, 1);
            let weather =
                Weather { lost: some(500), late: some(300), doubled: some(300), hung_up: some(200) };
            world.weather.set(weather);
        }
        10..20 => {
            later(world, move |world| async move { operator::move_master(&world, at).await });
            if random.in_1000(200) {
                // Two people at once, who do not agree.
                let other = random.index(world.machines.len());
                later(world, move |world| async move { operator::move_master(&world, other).await });
            }
        }
        20..23 => later(world, move |world| async move { operator::copy_master(&world, at).await }),
        23..40 => {
            let mut copies = machine.copies.borrow_mut();
            if copies.len() == COPIES_MAX {
                copies.remove(random.index(COPIES_MAX));
            }
            copies.push(machine.disk.copy());
        }
        40..55 => later(world, move |world| async move { operator::put_back(&world, at).await }),
        55..62 => later(world, move |world| async move {
            if world.watched.get().is_none() && world.cut.borrow_mut().insert(at) {
                world.kernel.sleep(world.random.range(500, 5000)).await;
                world.cut.borrow_mut().remove(&at);
            }
        }),
        62..75 => operator::repair(world, at),
        _ if world.watched.get().is_some() => {}
        75..80 => machine.disk.arm(Fault::Fail { after: random.range(0, 4), done: random.in_1000(500) }),
        80..85 => machine.disk.arm(Fault::Die { after: random.range(0, 9) }),
        85..90 => {
            world.tally.count("kills");
            world.kill(at, random.in_1000(400));
        }
        _ => later(world, move |world| async move { operator::start(&world, at).await }),
    }
}

fn later<F: Future<Output = ()> + 'static>(world: &Rc<World>, does: impl FnOnce(Rc<World>) -> F) {
    world.kernel.spawn(None, does(world.clone()));
}

/// The network is whole, every process runs, every ledger is repaired, and a master grants.
async fn put_right(world: &Rc<World>) {
    world.trace(|| "all is put right".into());
    world.kernel.sleep(10_000).await;
    world.weather.set(CALM);
    world.cut.borrow_mut().clear();
    for machine in &world.machines {
        machine.disk.disarm();
        machine.deaf.set(false);
    }
    for look in 0..LOOKS_MAX {
        for at in world.all() {
            if world.hub(at).is_some_and(|hub| hub.halted.get()) {
                world.kill(at, false);
                operator::repair_own(world, at);
            }
            operator::repair(world, at);
            operator::start(world, at).await;
        }
        world.kernel.sleep(LOOK_EVERY).await;
        if look > LOOKS_MAX / 2 {
            world.all().for_each(|at| operator::repair_superseded(world, at));
        }
        let running = world.running().iter().filter(|hub| !hub.halted.get()).count();
        if running == world.machines.len() && is_granted(world) {
            return;
        }
    }
    world.fault("the fleet does not come up again".into());
}

/// Whether somebody grants; if nobody will, the fleet's range is repaired where it was.
fn is_granted(world: &Rc<World>) -> bool {
    let Some(at) = operator::newest(world).and_then(|mark| world.at(&mark.place)) else { return false };
    let Some(hub) = world.hub(at) else { return false };
    if hub.master().is_some_and(|vault| hub.may_grant(&vault).is_ok()) {
        return true;
    }
    let on_its_way = |from: usize| {
        let moved = world.record(from, Kind::Master).and_then(|master| master.moved);
        moved.is_some_and(|moved| moved.pending && moved.to == world.machines[at].name)
    };
    // An older copy that was never sealed takes no handover.
    if hub.is_fenced() || !world.all().any(on_its_way) {
        world.kill(at, false);
        operator::repair_fleets(world, at);
    }
    false
}

fn is_used_up(world: &World) -> bool {
    world.all().all(|at| {
        let hub = world.hub(at);
        let master = hub.as_ref().and_then(|hub| hub.master());
        hub.zip(master).is_none_or(|(hub, master)| hub.may_grant(&master).is_err() || master.left() < 10_000)
    })
}

/// Enough customers that a range runs out, each in time.
async fn register_all(world: &Rc<World>, at: usize) {
    let Some(hub) = world.hub(at) else { return };
    for _ in 0..world.rules.size + world.rules.size / 2 {
        let until = world.kernel.now() + PATIENCE;
        let id = loop {
            match hub.register().await {
                Some(id) => break id,
                None if world.kernel.now() > until => {
                    return world.fault(format!("{at} cannot register customers again: {}", hub.state()));
                }
                None => world.kernel.sleep(100).await,
            }
        };
        world.given(at, id);
    }
}
