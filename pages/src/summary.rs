//! The one sentence on top that says it all.

use switchboard_alert::letter::count;
use switchboard_fleet::report::WorkerKind;

use crate::{health::Health, overview::Server, text::list, worker::Worker};

/// Most workers named for one thing.
const NAMED_MAX: usize = 4;

/// How the fleet is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Summary {
    /// The sentences, the worst first.
    pub(crate) sentences: Vec<String>,
    /// A few words for the window's title.
    pub(crate) short: String,
    /// How it looks.
    pub(crate) worst: Health,
}

/// How bad it is, the worst first, with what is said of one and of several.
const ORDER: [(Health, &str, &str); 5] = [
    (Health::Down, "is down", "are down"),
    (Health::Silent, "is silent", "are silent"),
    (Health::Stopped, "was stopped", "were stopped"),
    (Health::NeverHeard, "was never heard of", "were never heard of"),
    (Health::Overloaded, "is overloaded", "are overloaded"),
];

impl Summary {
    pub(crate) fn first(&self) -> &str {
        self.sentences.first().map_or("", String::as_str)
    }

    pub(crate) fn rest(&self) -> &[String] {
        self.sentences.get(1..).unwrap_or_default()
    }

    /// Of all workers that are expected.
    pub(crate) fn of(servers: &[Server]) -> Self {
        let all: Vec<&Worker> = servers.iter().flat_map(|server| &server.workers).collect();
        let instances: Vec<&Worker> =
            all.iter().copied().filter(|w| w.kind == WorkerKind::Instance).collect();
        let others: Vec<&Worker> = all.iter().copied().filter(|w| w.kind != WorkerKind::Instance).collect();
        let heard = all.iter().any(|worker| worker.heard_ms.is_some());
        if !heard {
            let sentences = vec!["Nobody has reported yet.".into()];
            return Self { sentences, short: "nobody has reported yet".into(), worst: Health::NeverHeard };
        }
        let up = instances.iter().filter(|worker| worker.health.is_up()).count();
        let mut sentences = Vec::new();
        for (health, one, many) in ORDER {
            sentences.extend(sentence(&instances, health, one, many));
            sentences.extend(other_sentence(&others, health, one, many));
        }
        if up == instances.len() && up > 0 {
            sentences.insert(0, all_up(up, servers));
        } else if sentences.is_empty() {
            sentences.push("All programs are up; no instance is expected or has reported.".into());
        }
        let worst =
            ORDER.iter().map(|(health, ..)| *health).find(|health| all.iter().any(|w| w.health == *health));
        let short = match instances.len() {
            0 => "no instance".into(),
            all if all == up => format!("{up} up"),
            all => format!("{up} of {all} up"),
        };
        Self { sentences, short, worst: worst.unwrap_or(Health::Up) }
    }
}

fn all_up(up: usize, servers: &[Server]) -> String {
    let with = servers.iter().filter(|s| s.workers.iter().any(|w| w.kind == WorkerKind::Instance)).count();
    match (up, with) {
        (1, _) => "The one instance is up.".into(),
        (_, 1) => format!("All {up} instances are up."),
        _ => format!("All {up} instances of {with} servers are up."),
    }
}

/// `2 of 8 instances are down: a and b.`
fn sentence(instances: &[&Worker], health: Health, one: &str, many: &str) -> Option<String> {
    let names = named(instances, health);
    let verb = if names.len() == 1 { one } else { many };
    let total = count(instances.len(), "instance", "instances");
    match names.len() {
        0 => None,
        1 if instances.len() == 1 => Some(format!("The one instance {verb}: {}.", list(&names, NAMED_MAX))),
        all if all == instances.len() => Some(format!("All {total} {verb}.")),
        some => Some(format!("{some} of {total} {verb}: {}.", list(&names, NAMED_MAX))),
    }
}

/// `eu/front and us/front are down.`
fn other_sentence(others: &[&Worker], health: Health, one: &str, many: &str) -> Option<String> {
    let names = named(others, health);
    let verb = if names.len() == 1 { one } else { many };
    (!names.is_empty()).then(|| format!("{} {verb}.", list(&names, NAMED_MAX)))
}

fn named(workers: &[&Worker], health: Health) -> Vec<String> {
    workers.iter().filter(|worker| worker.health == health).map(|worker| worker.name.clone()).collect()
}

#[cfg(test)]
#[path = "summary_tests.rs"]
mod tests;
