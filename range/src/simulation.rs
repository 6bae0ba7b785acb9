//! Hundreds of fleets in virtual time, each from a seed: what becomes of customer IDs while instances die amid a write, the
//! network loses, delays and repeats, masters move and are copied, older copies of disks come back, and people repair.
//!
//! The ledgers, marks, the fence and repair are the crate's own, on disks that lose what was not synced. `hub`, `refill`, `marks` and
//! `handover` drive them as the files of these names in `instance/src` do (`hub` as `ids`, `grants` and `vault`), `operator` as
//! `switchboard range` does; what is decided there must be changed here too. What is checked in every run:
//!
//! - no ID is given twice, and none that is not the fleet's; but for what decision 17 excepts: what an older copy granted to itself and
//!   to others as ignorant, after a start at which it reached nobody;
//! - no two ledgers from which IDs may be taken hold the same one;
//! - an older copy is refused if anyone reached at its start knows something newer;
//! - once all has been put right, every instance registers customers again, unless the fleet's range is used up.
//!
//! Excepted by nature: copies of which nobody left knows that they are older, and what a master granted beyond one largest grant above
//! all that the others heard of; such copies are not put back here.
//!
//! `SWITCHBOARD_SIM_SEEDS=n` runs n fleets; `SWITCHBOARD_SIM_SEED=n` runs one, and tells what happens in it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod disk;
mod handover;
mod hub;
mod kernel;
mod marks;
mod network;
mod operator;
mod refill;
mod story;
mod world;

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use story::Outcome;

/// Fleets of a usual run.
const SEEDS: u64 = 200;

/// What must happen in every tenth fleet at least.
const HAPPENS: [&str; 15] = [
    "deaths amid a write",
    "doubled grants",
    "hung up",
    "ids",
    "kills",
    "lost answers",
    "masters copied",
    "moves",
    "moves resumed",
    "older copies alone",
    "older copies refused",
    "repairs of an instance's",
    "repairs of the fleet's",
    "set aside",
    "tenths",
];

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}

/// Runs one fleet; what is wrong with it, and how to run it again.
fn run(seed: u64, traced: bool) -> Result<Outcome, String> {
    let again = format!(
        "again: SWITCHBOARD_SIM_SEED={seed} cargo test -p switchboard-range simulation -- --nocapture"
    );
    let outcome = catch_unwind(AssertUnwindSafe(|| story::run(seed, traced)))
        .map_err(|_| format!("seed {seed}: panic; {again}"))?;
    match &outcome.fault {
        Some(fault) => Err(format!("seed {seed}: {fault}; {again}")),
        None => Ok(outcome),
    }
}

type Tally = BTreeMap<&'static str, u64>;

fn add(sum: &mut Tally, more: Tally) {
    more.into_iter().for_each(|(what, often)| *sum.entry(what).or_default() += often);
}

#[test]
#[allow(clippy::print_stdout, reason = "what happened, for who asks")]
fn no_id_is_given_twice_and_every_fleet_recovers() {
    if let Some(seed) = number("SWITCHBOARD_SIM_SEED") {
        let outcome = run(seed, true).unwrap_or_else(|fault| panic!("{fault}"));
        println!("{outcome:?}");
        return;
    }
    let seeds = number("SWITCHBOARD_SIM_SEEDS").unwrap_or(SEEDS);
    let next = AtomicU64::new(0);
    let worker = || {
        let (mut faults, mut tally) = (Vec::new(), Tally::new());
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return (faults, tally);
            }
            match run(seed, false) {
                Ok(outcome) => add(&mut tally, outcome.tally),
                Err(fault) => faults.push((seed, fault)),
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let (mut faults, mut tally) = (Vec::new(), Tally::new());
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        for worker in workers {
            let (some, part) = worker.join().expect("a worker catches the panics of its fleets");
            faults.extend(some);
            add(&mut tally, part);
        }
    });
    faults.sort();
    println!("{tally:?}");
    let rare = HAPPENS.iter().filter(|what| tally.get(*what).copied().unwrap_or(0) <= seeds / 10);
    let rare: Vec<_> = rare.collect();
    let shown: Vec<_> = faults.iter().take(10).map(|(_, fault)| fault.as_str()).collect();
    assert!(faults.is_empty(), "{} of {seeds} fleets failed:\n{}", faults.len(), shown.join("\n"));
    // A run in which little happened would prove little.
    assert!(seeds < 100 || rare.is_empty(), "too rare: {rare:?} in {tally:?}");
}

#[test]
fn the_same_seed_takes_the_same_steps() {
    for seed in 0..20 {
        assert_eq!(story::run(seed, false), story::run(seed, false), "seed {seed}");
    }
}
