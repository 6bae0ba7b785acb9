//! How everything stands, for pages and for `/status`: one rule for both, with the limits of the letters.

use std::collections::BTreeMap;

use switchboard_alert::rules::{Covers, Silence};
use switchboard_fleet::report::WorkerKind;
use switchboard_journal::Standing;
use switchboard_pages::{Fault, Health, Server, Signs, Worker};

use crate::{desk::Desk, roster::Entry};

/// All workers that report or are expected, by name.
pub(super) fn workers(desk: &Desk, silences: &[Silence], now_ms: u64) -> BTreeMap<String, Worker> {
    let expected = desk.watched.expected().map(|(name, kind)| (name.clone(), never_heard(name, kind)));
    let mut all: BTreeMap<String, Worker> = expected.collect();
    let roster = desk.roster();
    all.extend(roster.iter().map(|(name, entry)| (name.clone(), seen(desk, name, entry, now_ms))));
    drop(roster);
    for worker in all.values_mut() {
        let until = silences
            .iter()
            .filter(|silence| covers(desk, silence, &worker.name))
            .map(|silence| silence.until_ms);
        worker.silenced_until_ms = until.max();
    }
    all
}

/// The workers that are the fleet's, by server; and those that are not.
pub(super) fn sorted(desk: &Desk, all: BTreeMap<String, Worker>) -> (Vec<Server>, Vec<Worker>) {
    let (unknown, known): (Vec<_>, Vec<_>) =
        all.into_values().partition(|worker| worker.health == Health::Unknown);
    let mut servers: BTreeMap<String, Vec<Worker>> = BTreeMap::new();
    for worker in known {
        servers.entry(desk.watched.server_of(&worker.name).to_owned()).or_default().push(worker);
    }
    let servers = servers.into_iter().map(|(name, workers)| Server { name, workers }).collect();
    (servers, unknown)
}

/// What is wrong with the monitor itself.
pub(super) async fn faults(desk: &Desk) -> Vec<Fault> {
    let mut faults = Vec::new();
    faults.extend(desk.journal.fault().map(|error| Fault::Journal(error.to_string())));
    // Of one that was forgotten nobody wants to hear.
    let mut problems = desk.archives.problems();
    problems.retain(|problem| desk.roster().get(&problem.worker).is_some());
    if !problems.is_empty() {
        faults.push(Fault::Archives(problems.into_iter().map(|p| (p.worker, p.error.to_string())).collect()));
    }
    let (waiting, why) = (letters(desk).await, desk.mail_fault());
    if waiting > 0 || why.is_some() {
        faults.push(Fault::Letters { waiting, why });
    }
    faults
}

/// Letters that wait for the mail server.
pub(super) async fn letters(desk: &Desk) -> usize {
    let outbox = desk.outbox.clone();
    tokio::task::spawn_blocking(move || outbox.len().unwrap_or(0)).await.unwrap_or(0)
}

fn seen(desk: &Desk, name: &str, entry: &Entry, now_ms: u64) -> Worker {
    let overloaded =
        entry.kind == WorkerKind::Instance && entry.cpu().is_some_and(|share| share > desk.rules.cpu_over);
    let signs = Signs {
        heard_ms: Some(entry.heard_ms),
        stopping_ms: entry.stopping_ms,
        overloaded,
        listening_ms: desk.started_ms,
        down_after_ms: desk.rules.down_after_ms,
    };
    let health = match entry.standing {
        Standing::Known => Health::of(&signs, now_ms),
        Standing::Unknown => Health::Unknown,
    };
    Worker {
        name: name.into(),
        kind: entry.kind,
        health,
        heard_ms: Some(entry.heard_ms),
        stopping_ms: entry.stopping_ms,
        cpu: entry.cpu(),
        state: entry.state.as_ref().map(|(_, state)| state.clone()),
        taken: entry.taken,
        missing: entry.missing,
        silenced_until_ms: None,
    }
}

fn never_heard(name: String, kind: WorkerKind) -> Worker {
    Worker {
        name,
        kind,
        health: Health::NeverHeard,
        heard_ms: None,
        stopping_ms: None,
        cpu: None,
        state: None,
        taken: 0,
        missing: 0,
        silenced_until_ms: None,
    }
}

fn covers(desk: &Desk, silence: &Silence, name: &str) -> bool {
    match &silence.covers {
        Covers::All => true,
        Covers::Server(server) => desk.watched.server_of(name) == server,
        Covers::Worker(worker) => name == worker,
    }
}
