//! Scripts, stopped after each single step, with every outcome of what was not synced then.

use super::{
    disk::Fault,
    event::{EVERYONE, Event, Who},
    world::World,
};

/// Most IDs that an event of a script is about, and so may be lost by a crash in it.
const EVENT_IDS: u64 = 10;

fn grant(master: Who) -> Event {
    Event::Grant { master, n: EVENT_IDS, back: false, lost: false }
}

fn serve(sibling: bool) -> Event {
    Event::Serve { n: EVENT_IDS / 2, sibling }
}

/// The life of a fleet: made, used, started again.
fn usual() -> Vec<Event> {
    let mut events = vec![Event::Open(Who::A), Event::Open(Who::Instance), Event::Claim(Who::A)];
    for _ in 0..2 {
        events.extend([grant(Who::A), serve(false), grant(Who::A), serve(true), serve(false)]);
        events.extend([Event::Close(Who::A), Event::Open(Who::A), Event::Claim(Who::A)]);
        events.extend([Event::Close(Who::Instance), Event::Open(Who::Instance), serve(false)]);
    }
    events
}

/// The range moves to B and back again, with handovers that come twice.
fn moving() -> Vec<Event> {
    let mut events = vec![Event::Open(Who::A), Event::Open(Who::Instance), grant(Who::A)];
    events.extend([Event::Seal(Who::A), grant(Who::A), Event::Receive(0), grant(Who::B), Event::Receive(0)]);
    events.extend([Event::HandedOver(Who::A), grant(Who::B), serve(false)]);
    events.extend([Event::Seal(Who::B), Event::Receive(1), grant(Who::A), Event::Receive(1)]);
    events.extend([Event::HandedOver(Who::B), grant(Who::A), Event::Receive(0)]);
    events
}

/// Files are spoilt and repaired.
fn repairing() -> Vec<Event> {
    let damage = |who, cut| Event::Damage { who, at: 40, cut };
    let mut events =
        vec![Event::Open(Who::A), Event::Open(Who::Instance), Event::Claim(Who::A), grant(Who::A)];
    for (who, cut) in [(Who::Instance, true), (Who::A, false)] {
        events.extend([grant(Who::A), Event::Close(who), damage(who, cut), Event::Open(who)]);
        events.extend([Event::Repair(who), grant(Who::A), serve(false)]);
    }
    events
}

fn run(world: &mut World, events: &[Event]) {
    for event in events {
        world.apply(event);
        if EVERYONE.iter().any(|who| world.disk(*who).is_dead()) {
            return;
        }
    }
}

/// Runs `events` and stops it after each step of each site; gives how many ends were tried. `lost_max`: most IDs that may be
/// lost, if that is to be looked at.
fn try_every_end(original: bool, events: &[Event], lost_max: Option<usize>) -> usize {
    let mut ends = 0;
    for who in EVERYONE {
        let mut uncut = World::new(original);
        run(&mut uncut, events);
        let steps = uncut.disk(who).steps();
        assert!(who == Who::B || steps > 5, "{who:?} does next to nothing");
        for after in 0..=steps {
            let mut stopped = World::new(original);
            stopped.apply(&Event::Fault(who, Fault::Die { after }));
            run(&mut stopped, events);
            ends += try_every_outcome(&stopped, who, lost_max);
        }
    }
    ends
}

/// What may follow a stop: a start; a loss of power and a start; a start, and then the loss of power.
fn try_every_outcome(stopped: &World, who: Who, lost_max: Option<usize>) -> usize {
    let mut killed = stopped.fork();
    killed.crash(who, false, |_| 0);
    let mut started = killed.fork();
    started.apply(&Event::Open(who));
    recover(&mut killed, lost_max);
    1 + lose_power(stopped, who, lost_max) + lose_power(&started, who, lost_max)
}

fn lose_power(before: &World, who: Who, lost_max: Option<usize>) -> usize {
    let mut outcomes = Outcomes::default();
    for tried in 1.. {
        let mut dark = before.fork();
        dark.crash(who, true, |n| outcomes.choose(n));
        recover(&mut dark, lost_max);
        if !outcomes.advance() {
            return tried;
        }
    }
    0
}

fn recover(world: &mut World, lost_max: Option<usize>) {
    world.drain();
    if let Some(lost_max) = lost_max {
        let lost = world.lost();
        assert!(lost <= lost_max, "{lost} IDs are lost");
    }
}

/// Goes through all answers to a row of questions, each with so many answers.
#[derive(Default)]
struct Outcomes {
    chosen: Vec<(usize, usize)>,
    at: usize,
}

impl Outcomes {
    fn choose(&mut self, n: usize) -> usize {
        if self.at == self.chosen.len() {
            self.chosen.push((0, n));
        }
        let (chosen, among) = self.chosen[self.at];
        assert_eq!(among, n, "the same questions come again");
        self.at += 1;
        chosen
    }

    /// Whether there is another row of answers.
    fn advance(&mut self) -> bool {
        self.at = 0;
        while let Some((chosen, n)) = self.chosen.pop() {
            if chosen + 1 < n {
                self.chosen.push((chosen + 1, n));
                return true;
            }
        }
        false
    }
}

#[test]
fn a_usual_life_stopped_anywhere() {
    for original in [false, true] {
        let ends = try_every_end(original, &usual(), Some(EVENT_IDS as usize));
        assert!(ends > 400, "{ends}");
    }
}

#[test]
fn a_move_stopped_anywhere() {
    let ends = try_every_end(false, &moving(), Some(EVENT_IDS as usize));
    assert!(ends > 400, "{ends}");
}

#[test]
fn a_repair_stopped_anywhere() {
    let ends = try_every_end(false, &repairing(), None);
    assert!(ends > 400, "{ends}");
}
