//! Whether the monitor itself is the one cut off: it asks its own listener and the other servers.

use std::{collections::BTreeSet, time::Duration};

use futures_util::{StreamExt, future, stream::FuturesUnordered};
use switchboard_alert::rules::Reach;
use switchboard_fleet::{ServerName, report::WorkerKind};
use switchboard_journal::Standing;

use crate::{caller::Caller, clock::now_ms, desk::Desk, roster::Entry};

/// An answer must come within this.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// A server whose workers are silent for longer is asked no more, in ms.
const DAY_MS: u64 = 86_400_000;
/// Servers asked at a time; one that answers is enough.
const ASKED_MAX: usize = 16;

/// Asks.
pub(crate) async fn look(desk: &Desk, caller: &Caller, own: &str) -> Reach {
    let others = others(desk);
    let ask_others = async {
        if others.is_empty() {
            return None;
        }
        let mut asked: FuturesUnordered<_> = others
            .iter()
            .take(ASKED_MAX)
            .map(|server| caller.answers(server.url("/"), ANSWER_WITHIN))
            .collect();
        while let Some(answers) = asked.next().await {
            if answers {
                return Some(true);
            }
        }
        Some(false)
    };
    let (own, others) =
        future::join(caller.answers(format!("{own}/status"), ANSWER_WITHIN), ask_others).await;
    Reach { own, others }
}

/// The other servers of the fleet: those configured, and those that reported within the last day.
fn others(desk: &Desk) -> BTreeSet<ServerName> {
    let own = &desk.config.server;
    let since_ms = now_ms().saturating_sub(DAY_MS);
    let roster = desk.roster();
    let counts = |entry: &Entry| {
        entry.standing == Standing::Known && entry.kind != WorkerKind::Program && entry.heard_ms >= since_ms
    };
    let reported = roster.iter().filter(|(_, entry)| counts(entry));
    let reported = reported.filter_map(|(name, _)| desk.watched.server_of(name).parse().ok());
    desk.config.servers.iter().cloned().chain(reported).filter(|server| server != own).collect()
}
