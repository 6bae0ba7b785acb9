//! Thousands of fleets in virtual time, each from a seed: servers, instances, agents and apps over a network that
//! loses, delays and repeats, with instances that die or drain, servers that are cut off, and clocks that jump.
//!
//! The rules under test are the instance's own pure types. `hub`, `transact`, `gossip` and `lookup` drive them as the files
//! of the same names in `instance/src` do, over a network of their own; what is decided there must be changed here too.
//! What is checked in every run:
//!
//! - no request reaches the wrong agent and no reply the wrong app; no transaction is answered twice, or by another customer;
//! - every question ends within a bound made of the timers;
//! - once all has been put right, every agent is parked, and found by an app that asks at any instance; also after an
//!   instance has died, and after one that knows nobody has come;
//! - a poll whose agent has vanished behind it does not hide the newer one;
//! - a planned stop in a calm fleet whose clocks were right costs no app its answer;
//! - every instance holds the newest of what it was told of a customer, in whatever order: so all agree;
//! - when all is over, nothing is left.
//!
//! `SWITCHBOARD_SIM_SEEDS=n` runs n fleets; `SWITCHBOARD_SIM_SEED=n` runs one, and tells what happens in it.

#![allow(clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test")]

#[path = "simulation/agent.rs"]
mod agent;
#[path = "simulation/app.rs"]
mod app;
#[path = "simulation/faults.rs"]
mod faults;
#[path = "simulation/gossip.rs"]
mod gossip;
#[path = "simulation/hub.rs"]
mod hub;
#[path = "simulation/kernel.rs"]
mod kernel;
#[path = "simulation/lookup.rs"]
mod lookup;
#[path = "simulation/network.rs"]
mod network;
#[path = "simulation/story.rs"]
mod story;
#[path = "simulation/transact.rs"]
mod transact;
#[path = "simulation/world.rs"]
mod world;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use story::Outcome;

/// Fleets of a usual run.
const SEEDS: u64 = 1500;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}

/// Runs one fleet; what is wrong with it, and how to run it again.
fn run(seed: u64, traced: bool) -> Result<Outcome, String> {
    let again = format!(
        "again: SWITCHBOARD_SIM_SEED={seed} cargo test -p switchboard-instance --test simulation -- --nocapture"
    );
    let outcome = catch_unwind(AssertUnwindSafe(|| story::run(seed, traced)))
        .map_err(|_| format!("seed {seed}: panic; {again}"))?;
    match &outcome.fault {
        Some(fault) => Err(format!("seed {seed}: {fault}; {again}")),
        None => Ok(outcome),
    }
}

#[test]
fn fleets_keep_their_word() {
    if let Some(seed) = number("SWITCHBOARD_SIM_SEED") {
        let outcome = run(seed, true).unwrap_or_else(|fault| panic!("{fault}"));
        println!("{outcome:?}");
        return;
    }
    let seeds = number("SWITCHBOARD_SIM_SEEDS").unwrap_or(SEEDS);
    let next = AtomicU64::new(0);
    let worker = || {
        let (mut faults, mut tally) = (Vec::new(), [0; 8]);
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return (faults, tally);
            }
            match run(seed, false) {
                Ok(outcome) => tally.iter_mut().zip(outcome.tally).for_each(|(sum, more)| *sum += more),
                Err(fault) => faults.push((seed, fault)),
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let (mut faults, mut tally) = (Vec::new(), [0; 8]);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        for worker in workers {
            let (some, part) = worker.join().expect("a worker catches the panics of its fleets");
            faults.extend(some);
            tally.iter_mut().zip(part).for_each(|(sum, more): (&mut u64, u64)| *sum += more);
        }
    });
    faults.sort();
    let shown: Vec<_> = faults.iter().take(10).map(|(_, fault)| fault.as_str()).collect();
    assert!(faults.is_empty(), "{} of {seeds} fleets failed:\n{}", faults.len(), shown.join("\n"));
    println!("[answers, probes, redirects, waits, unread, no replies, nobody, errors]: {tally:?}");
    // A run in which little happened would prove little.
    assert!(seeds < 100 || tally.iter().all(|happened| *happened > seeds / 10), "{tally:?}");
}

#[test]
fn the_same_seed_takes_the_same_steps() {
    for seed in 0..20 {
        assert_eq!(story::run(seed, false), story::run(seed, false), "seed {seed}");
    }
}
