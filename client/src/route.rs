//! An agent's way through the fleet: which server next, after which pause. Pure: events and `now` in,
//! decisions out.
//!
//! After a loss a *round* begins: every server is tried once, without pause. The round ends when a place has
//! held for [`SETTLED`]; a place lost before that continues it, so that a server that greets and then drops
//! its agents is left as surely as one that does not answer. Pauses come between rounds only.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use switchboard_fleet::{InstanceName, ServerName};

/// A place held so long is good.
pub(crate) const SETTLED: Duration = Duration::from_secs(1);
/// Hints followed in a row before a place held.
const HINTS_MAX: u32 = 4;
/// A poll that ends empty sooner than this was not parked.
const PARKED_MIN: Duration = Duration::from_millis(200);
/// The shortest and longest pause between rounds.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// How a place was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    /// It answered with an error, or its connection broke: another instance of the server may do.
    Broken,
    /// It no longer answers: the whole server may be cut off.
    Silent,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// `/connect` there, waiting for the answer so long.
    Connect {
        /// Where.
        server: ServerName,
        /// The deadline.
        within: Duration,
    },
    /// Wait, then ask again.
    Pause(Duration),
}

/// The way of one agent.
#[derive(Debug)]
pub(crate) struct Route {
    /// Closest first, never empty.
    ranked: Vec<ServerName>,
    /// Where it is, and since when.
    at: Option<Place>,
    /// To be tried in this round.
    left: VecDeque<ServerName>,
    /// Rounds in which no server held.
    failed_rounds: u32,
    /// Hints followed since a place held.
    hints: u32,
    /// Empty polls in a row that were not parked.
    hasty: u32,
}

#[derive(Debug)]
struct Place {
    server: ServerName,
    since: Instant,
    by_hint: bool,
}

impl Place {
    fn held(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= SETTLED
    }
}

/// A pause that doubles with each failure (from 1) from `shortest` to `longest`; `jitter` from 0 to 1 takes up
/// to half of it away, so that many agents do not come back at one moment.
pub(crate) fn pause(shortest: Duration, longest: Duration, failures: u32, jitter: f64) -> Duration {
    let doubled = shortest.saturating_mul(1 << failures.saturating_sub(1).min(20));
    doubled.min(longest).mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 2.0)
}

/// How long a watched instance may take to answer, given how long it usually takes.
pub(crate) fn patience(usual: Option<Duration>) -> Duration {
    usual.unwrap_or_default().saturating_mul(4).clamp(Duration::from_millis(800), Duration::from_secs(10))
}

impl Route {
    /// An agent that is nowhere yet. `ranked`: the servers, closest first, at least one.
    pub(crate) fn new(ranked: Vec<ServerName>) -> Self {
        let left = ranked.iter().cloned().collect();
        Self { ranked, at: None, left, failed_rounds: 0, hints: 0, hasty: 0 }
    }

    /// New distances; the round that runs keeps its order.
    pub(crate) fn rank(&mut self, ranked: Vec<ServerName>) {
        self.ranked = ranked;
    }

    /// Rounds in which no server held, since a place last did.
    pub(crate) fn failed_rounds(&self) -> u32 {
        self.failed_rounds
    }

    /// The agent's place is lost.
    pub(crate) fn lost(&mut self, loss: Loss, now: Instant) {
        self.settle(now);
        if let Some(place) = self.at.take() {
            // The first hint since a place held leads out of that round: what it led to is lost, not tried.
            let first_hint = place.by_hint && self.hints == 1;
            if place.held(now) || first_hint {
                self.begin_round(&place.server, loss);
            }
        }
    }

    /// The next server to try, or the pause before the next round.
    pub(crate) fn step(&mut self, jitter: f64) -> Step {
        if let Some(server) = self.left.pop_front() {
            let within = match self.failed_rounds {
                0 => Duration::from_secs(1),
                1 => Duration::from_secs(2),
                _ => Duration::from_secs(5),
            };
            return Step::Connect { server, within };
        }
        self.failed_rounds = self.failed_rounds.saturating_add(1);
        self.left = self.ranked.iter().cloned().collect();
        Step::Pause(pause(PAUSES.0, PAUSES.1, self.failed_rounds, jitter))
    }

    /// A server took the agent.
    pub(crate) fn arrived(&mut self, server: &ServerName, now: Instant) {
        self.settle(now);
        self.at = Some(Place { server: server.clone(), since: now, by_hint: false });
    }

    /// An instance sends the agent on. True: go there; false: it leads in circles, the place is lost.
    pub(crate) fn hinted(&mut self, from: &InstanceName, to: &InstanceName, now: Instant) -> bool {
        self.settle(now);
        if from == to || self.hints >= HINTS_MAX {
            return false;
        }
        self.hints += 1;
        self.at = Some(Place { server: to.server.clone(), since: now, by_hint: true });
        true
    }

    /// A poll ended empty after `lasted`: the pause before the next one.
    pub(crate) fn empty(&mut self, lasted: Duration, jitter: f64) -> Duration {
        if lasted >= PARKED_MIN {
            self.hasty = 0;
            return Duration::ZERO;
        }
        self.hasty = self.hasty.saturating_add(1);
        pause(PAUSES.0, PAUSES.1, self.hasty, jitter)
    }

    /// Forgets earlier failures once the place has held.
    fn settle(&mut self, now: Instant) {
        if self.at.as_ref().is_some_and(|place| place.held(now)) {
            self.left.clear();
            (self.failed_rounds, self.hints, self.hasty) = (0, 0, 0);
        }
    }

    /// Every server once: the lost one first, or last if it fell silent, the others by distance.
    fn begin_round(&mut self, lost: &ServerName, loss: Loss) {
        self.left = self.ranked.iter().filter(|server| *server != lost).cloned().collect();
        match loss {
            Loss::Broken => self.left.push_front(lost.clone()),
            Loss::Silent => self.left.push_back(lost.clone()),
        }
    }
}

#[cfg(test)]
mod tests;
