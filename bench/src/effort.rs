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
    /// Very many agents at several instances.
    pub(crate) many: Many,
    /// Ordinary callers beside slow ones and a long line.
    pub(crate) even: Even,
}

/// The bounds of the row of very many agents.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Many {
    /// Instances of one server.
    pub(crate) instances: usize,
    /// Agents at each of them: as many as a process can open files for.
    pub(crate) agents_each: u64,
    /// A poll stays parked so long.
    pub(crate) poll_s: u64,
    /// How long agents are watched, at first without transactions: at least a whole poll, so that each has polled again.
    pub(crate) window: Duration,
    /// Transactions in all.
    pub(crate) per_second: u32,
    /// The row ends within this, done or not.
    pub(crate) patience: Duration,
}

/// The bounds of the row of ordinary callers beside others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Even {
    /// How often each of the instances has its turn.
    pub(crate) rounds: usize,
    /// How long one turn is measured. Waiting apps look again once in this time, so that no turn is spared it.
    pub(crate) window_s: u64,
    /// Transactions of the ordinary callers in all.
    pub(crate) per_second: u32,
    /// Apps that read slowly, and as many that send slowly.
    pub(crate) slow: u64,
    /// What they read or send before they begin anew.
    pub(crate) slow_bytes: usize,
    /// Apps in line for one customer.
    pub(crate) in_line: usize,
    /// The row ends within this, done or not.
    pub(crate) patience: Duration,
}

impl Effort {
    /// A run whose numbers are worth comparing: about sixteen minutes.
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
            many: Many {
                instances: 8,
                agents_each: 18_750,
                poll_s: 60,
                window: Duration::from_secs(61),
                per_second: 500,
                patience: Duration::from_secs(240),
            },
            even: Even {
                rounds: 5,
                window_s: 4,
                per_second: 500,
                slow: 1000,
                slow_bytes: 4 << 20,
                in_line: 10_000,
                patience: Duration::from_secs(150),
            },
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
            many: Many {
                instances: 2,
                agents_each: 400,
                poll_s: 2,
                window: Duration::from_secs(3),
                per_second: 100,
                patience: Duration::from_secs(60),
            },
            even: Even {
                rounds: 1,
                window_s: 1,
                per_second: 200,
                slow: 50,
                slow_bytes: 32 << 10,
                in_line: 200,
                patience: Duration::from_secs(60),
            },
        }
    }

    /// Files that the callers, and the server, must be able to open. Rows that need more say so themselves.
    pub(crate) fn files_needed(&self) -> u64 {
        self.parked as u64 + 500
    }
}
