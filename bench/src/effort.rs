//! How long a run lasts and how much it tries.

use std::time::Duration;

/// The bounds of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    /// How often each of the compared servers has its turn.
    pub(crate) rounds: usize,
    /// Load before the clock starts.
    pub(crate) warm_up: Duration,
    /// How long one turn is measured.
    pub(crate) window: Duration,
    /// Calls of one turn, one at a time, of which latencies are taken.
    pub(crate) calls: usize,
    /// Polls parked for the memory row.
    pub(crate) parked: usize,
    /// Customers announced for the row of the location table.
    pub(crate) located: u64,
    /// Customers in a location table by itself.
    pub(crate) table: u64,
    /// Lookups in it of each kind.
    pub(crate) lookups: u64,
    /// How long agents connect while other servers are told.
    pub(crate) connecting: Duration,
    /// Archives that are written in each minute.
    pub(crate) archives: usize,
    /// Minutes, after the one that makes them.
    pub(crate) minutes: usize,
    /// Charts that are drawn.
    pub(crate) charts: usize,
    /// How long one turn of a program that works little is measured: whole times what the library waits between two states.
    pub(crate) idle_window: Duration,
    /// How long the monitor is killed again and again.
    pub(crate) killing: Duration,
    /// How often each nginx has its turn where two do the same but for a few µs.
    pub(crate) fine_rounds: usize,
    /// How long one of those turns is measured.
    pub(crate) fine_window: Duration,
    /// Backends that die behind the front, one after the other.
    pub(crate) deaths: usize,
    /// Instances that join, one after the other.
    pub(crate) joins: usize,
    /// Switches of a backend, off and on again each.
    pub(crate) switches: usize,
}

impl Effort {
    /// A run whose numbers are worth comparing: about eleven minutes.
    pub(crate) fn full() -> Self {
        Self {
            rounds: 3,
            warm_up: Duration::from_millis(500),
            window: Duration::from_secs(4),
            calls: 2000,
            parked: 10_000,
            located: 100_000,
            table: 10_000_000,
            lookups: 2_000_000,
            connecting: Duration::from_secs(5),
            archives: 1000,
            minutes: 7,
            charts: 31,
            idle_window: Duration::from_secs(12),
            killing: Duration::from_secs(60),
            fine_rounds: 5,
            fine_window: Duration::from_secs(2),
            deaths: 5,
            joins: 7,
            switches: 8,
        }
    }

    /// A few seconds a row.
    pub(crate) fn quick() -> Self {
        Self {
            rounds: 1,
            warm_up: Duration::from_millis(100),
            window: Duration::from_millis(400),
            calls: 300,
            parked: 1000,
            located: 5000,
            table: 200_000,
            lookups: 50_000,
            connecting: Duration::from_secs(1),
            archives: 50,
            minutes: 2,
            charts: 3,
            idle_window: Duration::from_secs(3),
            killing: Duration::from_secs(5),
            fine_rounds: 1,
            fine_window: Duration::from_millis(400),
            deaths: 1,
            joins: 2,
            switches: 3,
        }
    }

    /// Files that the callers, and the server, must be able to open.
    pub(crate) fn files_needed(&self) -> u64 {
        self.parked as u64 + 500
    }
}
