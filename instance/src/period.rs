//! What is counted anew for every period: the statistics line's, and the monitor's minute.

use std::{
    cell::{Cell, RefCell},
    time::Duration,
};

use hashbrown::HashSet;
use switchboard_fleet::CustomerId;

/// Customers told apart within one period; beyond it the numbers of unique ones stand still.
const UNIQUE_MAX: usize = 1 << 20;

/// The periods of all who read, fed together.
#[derive(Debug, Default)]
pub(crate) struct Periods {
    /// The statistics line's.
    pub(crate) line: Period,
    /// The monitor's.
    pub(crate) minute: Period,
}

impl Periods {
    /// An agent has parked a poll.
    pub(crate) fn polled(&self, id: CustomerId) {
        self.read().for_each(|period| period.polled(id));
    }

    /// A transaction has begun.
    pub(crate) fn began(&self, id: CustomerId) {
        self.read().for_each(|period| period.began(id));
    }

    /// A transaction is no longer running.
    pub(crate) fn ended(&self) {
        self.read().for_each(Period::ended);
    }

    /// A transaction was answered in full, or broke off, after so long.
    pub(crate) fn finished(&self, completed: bool, took: Duration) {
        self.read().for_each(|period| period.finished(completed, took));
    }

    fn read(&self) -> impl Iterator<Item = &Period> {
        [&self.line, &self.minute].into_iter().filter(|period| period.is_read.get())
    }
}

/// What happened in the current period. Counted only where somebody reads it.
#[derive(Debug, Default)]
pub(crate) struct Period {
    is_read: Cell<bool>,
    pub(crate) polls: Cell<u64>,
    pub(crate) agents: RefCell<HashSet<CustomerId>>,
    pub(crate) customers: RefCell<HashSet<CustomerId>>,
    pub(crate) completed: Cell<u64>,
    pub(crate) failed: Cell<u64>,
    /// Time that those which completed took in all.
    pub(crate) took_completed: Cell<Duration>,
    /// The same of those which failed.
    pub(crate) took_failed: Cell<Duration>,
    running: Cell<u64>,
    pub(crate) running_min: Cell<u64>,
    pub(crate) running_max: Cell<u64>,
}

impl Period {
    /// From now on it is counted: to be called before the first transaction begins.
    pub(crate) fn begin(&self) {
        self.is_read.set(true);
    }

    fn polled(&self, id: CustomerId) {
        add(&self.polls, 1);
        note(&self.agents, id);
    }

    fn began(&self, id: CustomerId) {
        add(&self.running, 1);
        self.running_max.set(self.running_max.get().max(self.running.get()));
        note(&self.customers, id);
    }

    fn ended(&self) {
        self.running.set(self.running.get().saturating_sub(1));
        self.running_min.set(self.running_min.get().min(self.running.get()));
    }

    fn finished(&self, completed: bool, took: Duration) {
        let (count, time) = if completed {
            (&self.completed, &self.took_completed)
        } else {
            (&self.failed, &self.took_failed)
        };
        add(count, 1);
        time.set(time.get() + took);
    }

    /// Begins the next period.
    pub(crate) fn turn(&self) {
        for counter in [&self.polls, &self.completed, &self.failed] {
            counter.set(0);
        }
        self.took_completed.set(Duration::ZERO);
        self.took_failed.set(Duration::ZERO);
        self.running_min.set(self.running.get());
        self.running_max.set(self.running.get());
        self.agents.borrow_mut().clear();
        self.customers.borrow_mut().clear();
    }
}

fn add(counter: &Cell<u64>, more: u64) {
    counter.set(counter.get() + more);
}

fn note(set: &RefCell<HashSet<CustomerId>>, id: CustomerId) {
    let mut set = set.borrow_mut();
    if set.len() < UNIQUE_MAX {
        set.insert(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_knows_its_least_and_most() {
        let periods = Periods::default();
        periods.line.begin();
        let id = CustomerId::new(1).unwrap();
        periods.began(id);
        periods.began(id);
        periods.line.turn();
        periods.ended();
        periods.began(id);
        periods.began(id);
        assert_eq!((periods.line.running_min.get(), periods.line.running_max.get()), (1, 3));
    }

    #[test]
    fn each_reader_has_periods_of_its_own_and_nobody_counts_for_none() {
        let periods = Periods::default();
        let id = CustomerId::new(1).unwrap();
        periods.polled(id);
        periods.line.begin();
        periods.minute.begin();
        periods.polled(id);
        periods.line.turn();
        periods.polled(id);
        assert_eq!((periods.line.polls.get(), periods.minute.polls.get()), (1, 2));
        assert_eq!(periods.minute.agents.borrow().len(), 1);
    }
}
