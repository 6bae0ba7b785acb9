//! What an instance counts. Counters begin at 0 with the process and only grow; gauges go up and down.

use std::cell::Cell;
use std::rc::Rc;

/// All counters of one instance.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Transactions handed to an agent.
    pub(crate) started: Cell<u64>,
    /// Transactions answered in full.
    pub(crate) completed: Cell<u64>,
    /// Transactions broken off or timed out.
    pub(crate) failed: Cell<u64>,
    /// Bytes of bodies relayed, both directions.
    pub(crate) bytes: Rc<Cell<u64>>,
    /// Calls refused.
    pub(crate) refused: Cell<u64>,
}

/// Adds one.
pub(crate) fn count(counter: &Cell<u64>) {
    counter.set(counter.get() + 1);
}
