//! A ledger of customer IDs, used from the instance's one thread.
//!
//! What a ledger does waits for the disk, so it happens on the runtime's blocking threads. What it held last is remembered
//! here, so that nobody waits for the disk to learn it.

use std::{
    cell::RefCell,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use switchboard_fleet::InstanceName;
use switchboard_range::{IdRange, Ledger, LedgerError, Mark, Moved};

/// A ledger, shared with the blocking threads.
pub(crate) struct Vault {
    ledger: Arc<Mutex<Ledger>>,
    own: InstanceName,
    seen: RefCell<Seen>,
}

/// What a ledger held when it was written last.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) left: u64,
    pub(crate) generation: u64,
    /// The fleet's whole range; a master's only.
    pub(crate) whole: Option<IdRange>,
    /// A master's only.
    pub(crate) mark: Mark,
    /// Where the fleet's range has gone.
    pub(crate) moved: Option<Moved>,
}

/// Why a ledger was not changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VaultError {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("the change of a ledger broke off: {0}")]
    BrokenOff(#[from] tokio::task::JoinError),
}

impl Vault {
    pub(crate) fn new(ledger: Ledger, own: InstanceName) -> Self {
        let seen = RefCell::new(look(&ledger, &own));
        Self { ledger: Arc::new(Mutex::new(ledger)), own, seen }
    }

    /// What it held last.
    pub(crate) fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    /// IDs left.
    pub(crate) fn left(&self) -> u64 {
        self.seen.borrow().left
    }

    /// Changes the ledger. The change goes on if nobody waits for it any more.
    ///
    /// # Errors
    /// [`VaultError`]: what `change` said.
    pub(crate) async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Ledger) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, VaultError> {
        let (ledger, own) = (self.ledger.clone(), self.own.clone());
        let work = move || {
            let mut ledger = lock(&ledger);
            let done = change(&mut ledger);
            (done, look(&ledger, &own))
        };
        let (done, seen) = tokio::task::spawn_blocking(work).await?;
        // Changes may end in another order than they were seen.
        if seen.generation >= self.seen.borrow().generation {
            *self.seen.borrow_mut() = seen;
        }
        Ok(done?)
    }
}

fn look(ledger: &Ledger, own: &InstanceName) -> Seen {
    Seen {
        left: ledger.left(),
        generation: ledger.generation(),
        whole: ledger.whole(),
        mark: ledger.mark(own),
        moved: ledger.moved().cloned(),
    }
}

/// A ledger writes before it changes, so that one left by a panic is still right.
fn lock(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}
