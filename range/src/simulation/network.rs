//! Calls between instances: lost, late, doubled, or given up.

use std::rc::Rc;

use super::{
    handover,
    hub::Hub,
    marks, refill,
    world::{Slot, World},
};
use crate::{IdRange, Mark};

#[derive(Debug, Clone)]
pub(super) enum Question {
    /// A greeting; without a generation from the command.
    Hello {
        mark: Option<Mark>,
        generation: Option<u64>,
    },
    Range {
        size: u64,
        mark: Option<Mark>,
        /// For the server, not for this instance: it asks the master if it is not the master.
        for_server: bool,
    },
    /// Whether it would take the fleet's range.
    Offer,
    Handover(String),
    /// From the command: hand the range over to this one.
    Move(usize),
}

#[derive(Debug, Clone)]
pub(super) enum Answer {
    Hello { mark: Option<Mark>, known: Option<u64> },
    Range { range: Option<IdRange>, mark: Option<Mark> },
    Done { mark: Option<Mark> },
    Refused,
}

/// Asks another instance; `None` if there is no answer in time. `sure`: the network does its best.
pub(super) async fn call(
    world: &Rc<World>,
    from: usize,
    to: usize,
    question: Question,
    sure: bool,
) -> Option<Answer> {
    let slot = Slot::new();
    let (random, weather) = (&world.random, world.weather.get());
    let doubled = !sure && random.in_1000(weather.doubled);
    for copy in 0..=u64::from(doubled) {
        let (world_, question, slot) = (world.clone(), question.clone(), slot.clone());
        let late = copy * random.range(0, 4000);
        world.kernel.spawn(None, async move {
            world_.kernel.sleep(late).await;
            if travel(&world_, from, to, sure).await
                && let Some(hub) = world_.hub(to)
            {
                let carried = carry_out(hub, from, question, slot, copy > 0, sure);
                world_.kernel.spawn(Some(to), carried);
            }
        });
    }
    // The command speaks from nowhere and waits longer.
    let patience = if from == to { 10_000 } else { world.rules.lookup };
    world.kernel.timeout(patience, slot.get()).await
}

/// A way through the network. False if it leads nowhere.
async fn travel(world: &World, from: usize, to: usize, sure: bool) -> bool {
    let (random, weather) = (&world.random, world.weather.get());
    let lost = !sure && random.in_1000(weather.lost);
    let most = if !sure && random.in_1000(weather.late) { 3000 } else { 20 };
    world.kernel.sleep(random.range(1, most)).await;
    let cut = world.cut.borrow();
    !lost && !cut.contains(&from) && !cut.contains(&to)
}

async fn carry_out(
    hub: Rc<Hub>,
    from: usize,
    question: Question,
    slot: Slot<Answer>,
    again: bool,
    sure: bool,
) {
    let (world, at) = (hub.world.clone(), hub.at);
    let hangs_up = !sure && world.random.in_1000(world.weather.get().hung_up);
    let patience = if hangs_up { world.random.range(0, 60) } else { u64::MAX / 2 };
    let Some(answer) = world.kernel.timeout(patience, answer(&hub, from, question)).await else {
        world.tally.count("hung up");
        return;
    };
    let granted = matches!(answer, Answer::Range { range: Some(_), .. });
    if again && granted {
        world.tally.count("doubled grants");
    }
    let world_ = world.clone();
    // An answer that has left does not end with the process.
    world.kernel.spawn(None, async move {
        if travel(&world_, at, from, sure).await {
            slot.put(answer);
        } else if granted {
            world_.tally.count("lost answers");
        }
    });
}

async fn answer(hub: &Rc<Hub>, from: usize, question: Question) -> Answer {
    match question {
        Question::Hello { mark, generation } => marks::greeted(hub, from, mark.as_ref(), generation),
        Question::Range { size, mark, for_server } => {
            marks::hear(hub, mark.as_ref());
            let (range, mark) = refill::grant(hub, size, for_server, mark).await;
            Answer::Range { range, mark }
        }
        Question::Offer => handover::offered(hub),
        Question::Handover(text) => handover::take(hub, &text).await,
        Question::Move(to) => handover::give(hub, to).await,
    }
}
