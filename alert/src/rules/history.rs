//! How often a matter changed within the last hour, whether or not it was one incident.

use serde::{Deserialize, Serialize};

use super::{CHANGES_MAX, HOUR_MS, Kind};

/// Changes of each matter, for unrest that goes on from incident to incident.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct History(Vec<Matter>);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Matter {
    kind: Kind,
    server: String,
    /// Oldest first, at most one more than what is unrest.
    changes_ms: Vec<u64>,
}

impl History {
    /// Forgets what is older than an hour, and what is in the future of a clock that was set back.
    pub(super) fn prune(&mut self, now_ms: u64) {
        for matter in &mut self.0 {
            matter.changes_ms.retain(|at| (now_ms.saturating_sub(HOUR_MS) + 1..=now_ms).contains(at));
        }
        self.0.retain(|matter| !matter.changes_ms.is_empty());
    }

    pub(super) fn note(&mut self, kind: Kind, server: &str, now_ms: u64) {
        let found = self.0.iter().position(|m| m.kind == kind && m.server == server);
        let at = found.unwrap_or_else(|| {
            self.0.push(Matter { kind, server: server.into(), changes_ms: Vec::new() });
            self.0.len() - 1
        });
        let changes = &mut self.0[at].changes_ms;
        if changes.len() > CHANGES_MAX {
            changes.remove(0);
        }
        changes.push(now_ms);
    }

    /// Changes within the hour before the last [`History::prune`]; counts no further than one more than [`CHANGES_MAX`].
    pub(super) fn count(&self, kind: Kind, server: &str) -> usize {
        self.0.iter().find(|m| m.kind == kind && m.server == server).map_or(0, |m| m.changes_ms.len())
    }

    pub(super) fn forget(&mut self, kind: Kind, server: &str) {
        self.0.retain(|m| m.kind != kind || m.server != server);
    }
}
