//! One run: a fleet comes up, everything goes wrong, all is put right, every agent is looked for, all end, and nothing
//! is left.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    time::Duration,
};

use crate::{
    agent::Agent,
    app::{self, Ended},
    faults::{drain, go_wrong},
    kernel::Random,
    transact,
    world::{CALM, Timers, World, count},
};

/// A dropped peer is tried again after 15 s; the rest is for what follows from that.
const RECOVERY: Duration = Duration::from_secs(20);
/// An agent that lost its instance is parked again by then, if there is an instance.
const PARKED_AGAIN: Duration = Duration::from_secs(10);
/// An agent in a calm fleet answers within this.
const PROMPT: Duration = Duration::from_secs(3);

/// What came of a run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) fault: Option<String>,
    /// Steps taken, and the state of chance in the end: the same for the same seed.
    pub(crate) steps: (u64, u64),
    /// Answers, probes, redirects, waits, unread, no replies, nobody, errors.
    pub(crate) tally: [u64; 8],
}

/// Runs the fleet of a seed.
pub(crate) fn run(seed: u64, traced: bool) -> Outcome {
    let random = Random::new(seed);
    // Most fleets are small: they are quick, and what goes wrong in them is easy to see.
    let few = |random: &Random, most| random.range(1, most).min(random.range(1, most));
    let sizes: Vec<usize> =
        (0..few(&random, 4)).map(|_| few(&random, 4).min(few(&random, 4)) as usize).collect();
    let agents = few(&random, 30).min(few(&random, 30));
    let seconds = |low: u64, high: u64| random.millis(low * 1000, high * 1000);
    let timers = Timers {
        agent: seconds(3, 10),
        cache: seconds(2, 8),
        client: seconds(1, 8),
        no_reply: seconds(4, 20),
        lookup: seconds(1, 2),
        drain: seconds(3, 30),
    };
    // Room for every customer in one of the table's two generations, sometimes no more than that.
    let locations = if random.in_1000(500) { 2 * agents as usize } else { 1000 };
    let world = World::new(random, timers, locations, &sizes, traced);
    world.trace(|| format!("servers {sizes:?}, agents {agents}, {timers:?}"));
    let agents: Vec<_> = (1..=agents).map(|number| Agent::new(&world, number)).collect();
    let ended = world.kernel.run(story(world.clone(), agents));
    let fault = world.first_fault().or(ended.err());
    let tally = &world.tally;
    let tally = [
        &tally.answers,
        &tally.probes,
        &tally.redirects,
        &tally.waits,
        &tally.unread,
        &tally.no_replies,
        &tally.nobody,
        &tally.errors,
    ];
    let outcome =
        Outcome { fault, steps: (world.kernel.steps(), world.random.next()), tally: tally.map(Cell::get) };
    world.close();
    outcome
}

async fn story(world: Rc<World>, agents: Vec<Rc<Agent>>) {
    for machine in 0..world.machines.len() {
        world.kernel.sleep(world.random.millis(0, 500)).await;
        world.start(machine);
    }
    agents.iter().for_each(|agent| agent.start());
    let rounds = if world.random.in_1000(300) { 2 } else { 1 };
    for _ in 0..rounds {
        go_wrong(&world, &agents).await;
        put_right(&world, &agents).await;
        look_for_all(&world, &agents, "after all was put right").await;
        if world.random.in_1000(500) {
            change_addresses(&world, &agents).await;
        }
        // An instance that is about to end asks nobody any more, and a clock that was wrong may have misled it.
        if !world.jumping_clocks {
            planned_stop(&world, &agents).await;
        }
        if world.random.in_1000(300) {
            sudden_death(&world, &agents).await;
        }
        agree(&world);
    }
    end(&world, &agents).await;
}

/// The network is whole, the clocks are nearly right, the agents run; a few instances may stay away for good.
async fn put_right(world: &Rc<World>, agents: &[Rc<Agent>]) {
    world.trace(|| "all is put right".into());
    world.later.take().into_iter().for_each(|task| world.kernel.abort(task));
    world.weather.set(CALM);
    world.cut.borrow_mut().clear();
    world.servers.iter().for_each(|server| server.hidden.set(false));
    for machine in 0..world.machines.len() {
        let skew = if world.jumping_clocks { world.random.range(0, 2000) as i64 - 1000 } else { 0 };
        world.machines[machine].skew.set(skew);
        if world.random.in_1000(150) {
            world.kill(machine);
        } else {
            world.start(machine);
        }
    }
    // A planned stop that was begun is carried through.
    world.kernel.sleep(Duration::from_secs(1)).await;
    while world.running().into_iter().filter_map(|machine| world.hub(machine)).any(|hub| hub.is_draining()) {
        world.kernel.sleep(Duration::from_secs(1)).await;
    }
    for server in &world.servers {
        // One of each stays: it may be the only one through which others know of each other.
        if !server.machines.iter().any(|machine| world.is_up(*machine)) {
            world.start(server.machines[0]);
        }
    }
    agents.iter().for_each(|agent| agent.start());
    world.kernel.sleep(RECOVERY + world.timers.agent + world.timers.cache).await;
}

/// Every agent is looked for at every instance.
async fn look_for_all(world: &Rc<World>, agents: &[Rc<Agent>], when: &'static str) {
    let searches = agents.iter().map(|agent| async move {
        let Some(place) = agent.parked(PARKED_AGAIN) else {
            return world.fault(format!("agent {} is not parked {when}", agent.id));
        };
        for machine in world.running() {
            let name = &world.machines[machine].name;
            count(&world.tally.probes);
            if app::locate(world, agent.id, machine).await.is_none() {
                world.fault(format!("{name} knows no place of {}, parked at {place}, {when}", agent.id));
            }
            let found = world.kernel.timeout(PROMPT, app::follow(world, agent.id, machine)).await;
            if found != Some(Ended::Answer) {
                world.fault(format!(
                    "an app at {name} gets {found:?} of {}, parked at {place}, {when}",
                    agent.id
                ));
            }
        }
    });
    futures_util::future::join_all(searches).await;
}

/// Old polls whose agents are no longer behind them do no harm.
async fn change_addresses(world: &Rc<World>, agents: &[Rc<Agent>]) {
    agents.iter().for_each(|agent| agent.change_address());
    world.kernel.sleep(Duration::from_millis(200)).await;
    look_for_all(world, agents, "after its address changed").await;
    // Until the old polls have ended they may be handed a second request.
    world.kernel.sleep(world.timers.agent).await;
}

/// An instance is stopped as planned while apps ask: nobody is refused.
async fn planned_stop(world: &Rc<World>, agents: &[Rc<Agent>]) {
    let running = world.running();
    if running.len() < 2 {
        return;
    }
    let machine = running[world.random.index(running.len())];
    let Some(over) = drain(world, machine) else { return };
    let lost = Rc::new(RefCell::new(BTreeMap::<&'static str, u64>::new()));
    let mut asked = 0;
    while !over.get() {
        asked += 1;
        let (here, lost) = (world.clone(), lost.clone());
        let id = agents[world.random.index(agents.len())].id;
        world.kernel.spawn(async move {
            let ended = app::ask_patiently(&here, id, Duration::from_secs(10)).await;
            if ended != Ended::Answer {
                let why = if let Ended::Error(reason) = ended { reason } else { "nobody" };
                here.trace(|| format!("app of {id}: {why}"));
                *lost.borrow_mut().entry(why).or_default() += 1;
            }
        });
        world.kernel.sleep(world.random.millis(0, 60)).await;
    }
    world.kernel.sleep(RECOVERY).await;
    if !lost.borrow().is_empty() {
        let name = &world.machines[machine].name;
        world.fault(format!(
            "of {asked} apps that asked during the planned stop of {name} these got nothing: {:?}",
            lost.borrow()
        ));
    }
    look_for_all(world, agents, "after a planned stop").await;
}

/// An instance dies in a calm fleet, and comes back knowing nobody.
async fn sudden_death(world: &Rc<World>, agents: &[Rc<Agent>]) {
    let running = world.running();
    if running.len() < 2 {
        return;
    }
    let machine = running[world.random.index(running.len())];
    world.kill(machine);
    world.kernel.sleep(RECOVERY).await;
    look_for_all(world, agents, "after an instance died").await;
    world.start(machine);
    world.kernel.sleep(RECOVERY).await;
    look_for_all(world, agents, "after an instance came back").await;
}

/// Every instance holds the newest of what it was told of each customer: so all that were told the same agree.
fn agree(world: &World) {
    for hub in world.running().into_iter().filter_map(|machine| world.hub(machine)) {
        for (id, heard) in hub.heard.borrow().iter() {
            let known = hub.directory.borrow().get(*id).map(|location| (location.since, location.place));
            if known.as_ref() != heard.last() {
                world.fault(format!("{} was told {heard:?} of {id} and holds {known:?}", hub.own));
            }
        }
    }
}

/// Everybody goes home; then nothing is left anywhere.
async fn end(world: &Rc<World>, agents: &[Rc<Agent>]) {
    world.trace(|| "the end".into());
    agents.iter().for_each(|agent| agent.stop(world.random.in_1000(300)));
    world.ending.set(true);
    let timers = &world.timers;
    world.kernel.sleep(transact::longest_question(world) + timers.agent + timers.cache + RECOVERY).await;
    for machine in world.running() {
        let Some(hub) = world.hub(machine) else { continue };
        let mut exchange = hub.exchange.borrow_mut();
        exchange.sweep(world.instant());
        let left = (exchange.parked(), exchange.unique(), exchange.waiting(), exchange.remembered());
        let (questions, transactions) = (hub.questions.get(), hub.transactions.borrow().len());
        let outbox = hub.outbox.is_empty();
        if left != (0, 0, 0, 0) || (questions, transactions) != (0, 0) || !outbox {
            let left = format!(
                "(parked, unique, waiting, remembered) {left:?}, {questions} questions, {transactions} transactions"
            );
            world.fault(format!("left at {}: {left}, all announcements sent: {outbox}", hub.own));
        }
    }
}
