//! What can happen to a fleet's ledgers.

use super::disk::Fault;

/// Whose ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    A,
    B,
    Instance,
}

pub(super) const EVERYONE: [Who; 3] = [Who::A, Who::B, Who::Instance];

/// What happens. An event that makes no sense in the world as it is does nothing.
#[derive(Debug, Clone)]
pub(super) enum Event {
    Open(Who),
    Close(Who),
    /// The master grants from the front or the back; the instance gets it, or the answer is lost.
    Grant {
        master: Who,
        n: u64,
        back: bool,
        lost: bool,
    },
    /// The instance gives IDs to customers, or to a sibling.
    Serve {
        n: u64,
        sibling: bool,
    },
    Claim(Who),
    /// The master hands the range to the other.
    Seal(Who),
    /// Any handover that was ever sent comes, for the first time or again.
    Receive(usize),
    HandedOver(Who),
    Repair(Who),
    /// Somebody spoils a closed file.
    Damage {
        who: Who,
        at: usize,
        cut: bool,
    },
    Fault(Who, Fault),
    /// The process dies, and with it the power: `Some` says what becomes of what was not synced.
    Crash(Who, Option<u64>),
}
