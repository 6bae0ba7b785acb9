//! The fleet's range of customer IDs, where this instance has it: ranges are granted from it, to this instance and to others.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::{Duration, Instant},
};

use switchboard_fleet::InstanceName;
use switchboard_range::{Fence, Fenced, IdRange, Mark, Pace, PgStore, StoreError};
use tokio::{sync::Notify, time::timeout};

use crate::{
    seldom::Seldom,
    vault::{Vault, VaultError},
};

/// Shares of the fleet's range at which its end is announced in the log.
const WARN_AT: [f64; 2] = [0.1, 0.01];

/// The fleet's range, and what is known of it.
pub(crate) struct Grants {
    source: RefCell<Source>,
    fence: RefCell<Fence>,
    confirmed: Notify,
    /// Somebody grants from an older ledger.
    pub(crate) stale: Seldom,
    /// The new master has not confirmed yet.
    pub(crate) moving: Seldom,
    claimed: Cell<bool>,
    pace: RefCell<Pace>,
    /// How many of [`WARN_AT`] have been announced.
    warned: Cell<usize>,
}

/// Where the fleet's range is.
#[derive(Clone)]
pub(crate) enum Source {
    /// With another instance.
    Elsewhere,
    /// In a ledger of this instance, which is the master.
    Ledger(Rc<Vault>),
    /// In a database that every instance asks.
    Store(Rc<PgStore>),
}

/// Why nothing is granted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoGrant {
    #[error("the fleet's range is with another instance")]
    Elsewhere,
    #[error(transparent)]
    Fenced(#[from] Fenced),
    #[error(transparent)]
    Vault(#[from] VaultError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Grants {
    /// `known`: the newest state of the fleet's ledger that this instance remembers.
    pub(crate) fn new(source: Source, known: Option<Mark>) -> Self {
        Self {
            source: RefCell::new(source),
            fence: RefCell::new(Fence::new(known)),
            confirmed: Notify::new(),
            stale: Seldom::default(),
            moving: Seldom::default(),
            claimed: Cell::new(false),
            pace: RefCell::default(),
            warned: Cell::new(0),
        }
    }

    /// Grants up to `size` IDs; `None` if the fleet's range is used up. Waits for `patience` while it is not known yet whether
    /// this ledger is the newest.
    ///
    /// # Errors
    /// [`NoGrant`]; nothing was granted then, or what was granted is a gap.
    pub(crate) async fn take(&self, size: u64, patience: Duration) -> Result<Option<IdRange>, NoGrant> {
        let source = self.source();
        let granted = match &source {
            Source::Elsewhere => return Err(NoGrant::Elsewhere),
            Source::Store(store) => {
                let granted = store.take(size).await?;
                let known = self.fence.borrow().granted_to();
                if granted.is_some_and(|range| range.first().get() <= known) {
                    return Err(Fenced::Behind(known).into());
                }
                granted
            }
            Source::Ledger(vault) if vault.seen().moved.is_some() => return Err(NoGrant::Elsewhere),
            Source::Ledger(vault) => {
                self.may_grant(vault, patience).await?;
                let granted = vault.change(move |ledger| ledger.take(size)).await;
                self.written(vault);
                // Somebody may have told of a newer ledger meanwhile: then it is a gap.
                self.allowed(vault)?;
                granted?
            }
        };
        if let Some(range) = granted {
            self.pace.borrow_mut().given(range.count(), Instant::now());
        }
        self.warn_when_low(&source, granted.is_none()).await;
        Ok(granted)
    }

    async fn may_grant(&self, vault: &Vault, patience: Duration) -> Result<(), NoGrant> {
        let confirmed = self.confirmed.notified();
        if self.allowed(vault) == Err(Fenced::Unconfirmed) {
            // Too late is the same as not yet.
            let _ = timeout(patience, confirmed).await;
        }
        Ok(self.allowed(vault)?)
    }

    /// Whether a master with the ledger `vault` may grant now, or hand it over.
    ///
    /// # Errors
    /// [`Fenced`].
    pub(crate) fn allowed(&self, vault: &Vault) -> Result<(), Fenced> {
        self.fence.borrow().may_grant(&vault.seen().mark)
    }

    /// Takes the ledger of the fleet's range into use, unless somebody knows a newer one. To be called once everybody who can be
    /// reached has been asked.
    ///
    /// # Errors
    /// [`NoGrant`].
    pub(crate) async fn claim(&self) -> Result<(), NoGrant> {
        if let Source::Ledger(vault) = self.source()
            && vault.seen().moved.is_none()
        {
            self.fence.borrow().may_claim(&vault.seen().mark)?;
            vault.change(|ledger| ledger.claim()).await?;
            self.written(&vault);
        }
        self.claimed.set(true);
        self.fence.borrow_mut().confirm();
        self.confirmed.notify_waiters();
        Ok(())
    }

    /// Whether [`Grants::claim`] has been done.
    pub(crate) fn is_confirmed(&self) -> bool {
        self.claimed.get()
    }

    /// This instance is the master from now on, with the ledger that it has been handed.
    pub(crate) fn received(&self, vault: Rc<Vault>) {
        self.written(&vault);
        *self.source.borrow_mut() = Source::Ledger(vault);
        self.claimed.set(true);
        self.fence.borrow_mut().confirm();
        self.confirmed.notify_waiters();
    }

    /// The ledger has been written: everyone is to know.
    pub(crate) fn written(&self, vault: &Vault) {
        self.hear(&vault.seen().mark);
    }

    /// Somebody has told a state of the fleet's ledger. Gives whether it is news.
    pub(crate) fn hear(&self, mark: &Mark) -> bool {
        self.fence.borrow_mut().hear(mark)
    }

    /// The newest state of the fleet's ledger that was heard of.
    pub(crate) fn newest(&self) -> Option<Mark> {
        self.fence.borrow().newest().cloned()
    }

    /// Where the fleet's range is.
    pub(crate) fn source(&self) -> Source {
        self.source.borrow().clone()
    }

    /// The ledger of the fleet's range, if it is here and has not moved.
    pub(crate) fn vault(&self) -> Option<Rc<Vault>> {
        match self.source() {
            Source::Ledger(vault) if vault.seen().moved.is_none() => Some(vault),
            _ => None,
        }
    }

    /// Whether the fleet's range was here once.
    pub(crate) fn has_moved(&self) -> bool {
        matches!(self.source(), Source::Ledger(vault) if vault.seen().moved.is_some())
    }

    /// The master, if it is another instance and has been heard of.
    pub(crate) fn master(&self, own: &InstanceName) -> Option<InstanceName> {
        self.newest().map(|mark| mark.place).filter(|place| place != own)
    }

    /// Seconds for which `left` IDs last at the rate at which they were granted lately.
    pub(crate) fn lasts(&self, left: u64) -> Option<u64> {
        self.pace.borrow().lasts(left, Instant::now()).map(|lasts| lasts.as_secs())
    }

    /// Why this master grants nothing, if it does not.
    pub(crate) fn fault(&self) -> Option<String> {
        let vault = self.vault()?;
        if vault.left() == 0 {
            return Some("the fleet's range of customer IDs is used up".into());
        }
        match self.allowed(&vault) {
            Err(Fenced::Unconfirmed) | Ok(()) => None,
            Err(fenced) => Some(fenced.to_string()),
        }
    }

    /// Says in the log, once for each step, that the fleet's range comes to its end.
    async fn warn_when_low(&self, source: &Source, used_up: bool) {
        let (left, whole) = match source {
            Source::Elsewhere => return,
            Source::Ledger(vault) => (vault.left(), vault.seen().whole),
            // A question to the database for each grant: ranges are granted every few minutes.
            Source::Store(store) => match store.state().await {
                Ok(state) => (state.left, Some(state.whole)),
                Err(_) => return,
            },
        };
        let Some(whole) = whole else { return };
        let share = left as f64 / whole.count() as f64;
        let reached = WARN_AT.iter().filter(|step| share <= **step).count() + usize::from(used_up);
        if reached <= self.warned.replace(reached) {
            return;
        }
        if used_up {
            tracing::error!(
                "the fleet's range of customer IDs is used up: soon no new customer can be registered; `switchboard range extend`"
            );
        } else {
            let lasts = self.pace.borrow().lasts(left, Instant::now());
            tracing::warn!(
                left,
                whole = whole.count(),
                ?lasts,
                "the fleet's range of customer IDs comes to its end"
            );
        }
    }
}
