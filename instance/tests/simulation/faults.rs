//! What goes wrong: instances die or are stopped, servers are cut off, clocks jump, agents move, and apps ask all the while.

use std::{cell::Cell, rc::Rc, time::Duration};

use crate::{
    agent::Agent,
    app,
    world::{Weather, World, customer},
};

/// Any two clocks are less apart than a signature lasts: an instance with a worse clock is out of the fleet.
const SKEW_MAX_MS: u64 = 14_000;

/// Faults and apps, at random, for a while.
pub(crate) async fn go_wrong(world: &Rc<World>, agents: &[Rc<Agent>]) {
    let random = &world.random;
    let until = world.kernel.now() + random.millis(5_000, 30_000);
    let pace = random.range(200, 5000);
    let (lost, repeated, late) = (random.range(1, 60), random.range(0, 100), random.range(0, 100));
    world.weather.set(Weather { lost, repeated, late, delay: random.range(5, 400) });
    world.trace(|| format!("{:?}", world.weather.get()));
    let apps = world.kernel.spawn(keep_asking(world.clone(), agents.len() as u64));
    while world.kernel.now() < until {
        world.kernel.sleep(random.millis(0, pace)).await;
        disturb(world, agents);
    }
    world.kernel.abort(apps);
}

/// Apps come, ask, and sometimes go before they are answered.
async fn keep_asking(world: Rc<World>, customers: u64) {
    let pace = world.random.range(50, 1000);
    loop {
        world.kernel.sleep(world.random.millis(0, pace)).await;
        // One customer more than there are agents: nobody is there.
        let id = customer(world.random.range(1, customers + 1));
        let crowd = if world.random.in_1000(50) { 8 } else { 1 };
        for _ in 0..crowd {
            let world = world.clone();
            let patience = if world.random.in_1000(100) {
                world.random.millis(0, 2000)
            } else {
                Duration::from_secs(3600)
            };
            world.kernel.clone().spawn(async move {
                world.kernel.timeout(patience, app::ask_fleet(&world, id)).await;
            });
        }
    }
}

/// One fault.
fn disturb(world: &Rc<World>, agents: &[Rc<Agent>]) {
    let random = &world.random;
    let machine = random.index(world.machines.len());
    let server = random.index(world.servers.len());
    let agent = &agents[random.index(agents.len())];
    match random.range(0, 11) {
        0 | 1 => {
            world.kill(machine);
            later(world, 500, 30_000, move |world| world.start(machine));
        }
        2 => {
            drop(drain(world, machine));
            later(world, 2_000, 60_000, move |world| world.start(machine));
        }
        3 | 4 => {
            let other = random.index(world.servers.len());
            if other != server {
                let pair = (server.min(other), server.max(other));
                world.trace(|| format!("servers {pair:?} are cut"));
                world.cut.borrow_mut().push(pair);
                later(world, 500, 20_000, move |world| world.cut.borrow_mut().retain(|cut| *cut != pair));
            }
        }
        5 => {
            world.trace(|| format!("server {server} is hidden"));
            world.servers[server].hidden.set(true);
            later(world, 500, 20_000, move |world| world.servers[server].hidden.set(false));
        }
        6 if world.jumping_clocks => {
            let skew = random.range(0, 2 * SKEW_MAX_MS) as i64 - SKEW_MAX_MS as i64;
            world.trace(|| format!("the clock of {} is {skew} ms ahead", world.machines[machine].name));
            world.machines[machine].skew.set(skew);
        }
        7 => agent.change_address(),
        8 => {
            agent.stop(random.in_1000(500));
            let agent = agent.clone();
            later(world, 0, 15_000, move |_| agent.start());
        }
        9 | 10 => agent.wander(),
        _ => world.start(machine),
    }
}

fn later(world: &Rc<World>, low: u64, high: u64, what: impl FnOnce(&Rc<World>) + 'static) {
    let (here, after) = (world.clone(), world.random.millis(low, high));
    let task = world.kernel.spawn(async move {
        here.kernel.sleep(after).await;
        what(&here);
    });
    world.later.borrow_mut().push(task);
}

/// Begins a planned stop; gives what is set when it is over.
pub(crate) fn drain(world: &Rc<World>, machine: usize) -> Option<Rc<Cell<bool>>> {
    let hub = world.hub(machine).filter(|hub| !hub.is_draining())?;
    let (over, world) = (Rc::new(Cell::new(false)), world.clone());
    let set = over.clone();
    world.kernel.clone().spawn(async move {
        hub.clone().drain().await;
        // It may have been killed and started again meanwhile.
        if world.hub(machine).is_some_and(|now| Rc::ptr_eq(&now, &hub)) {
            world.kill(machine);
        }
        set.set(true);
    });
    Some(over)
}
