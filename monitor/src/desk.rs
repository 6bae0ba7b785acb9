//! What the tasks of the monitor share.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use switchboard_alert::{
    letter::Writer,
    post::Outbox,
    rules::{Alerts, Rules},
};
use switchboard_archive::{Archives, Charts};
use switchboard_fleet::{KeyRing, config::Config};
use switchboard_journal::Journal;
use tokio::sync::{Mutex as AsyncMutex, Notify, Semaphore, watch};

use crate::{clock::now_ms, fronts::Fronts, logins::Logins, roster::Roster, watched::Watched};

/// Long bodies of reports that are in memory at a time, each of at most 4 MiB.
const BODIES_MAX: usize = 32;
/// The list of archives is read anew after so long.
const LISTED_FOR: Duration = Duration::from_secs(10);
/// Pages that watch at a time.
const WATCHERS_MAX: usize = 200;

/// All of it. No lock but that of the alerts is held across a wait.
#[derive(Debug)]
pub(crate) struct Desk {
    /// The server's configuration.
    pub(crate) config: Config,
    /// Who is watched.
    pub(crate) watched: Watched,
    /// The fleet's keys.
    pub(crate) keys: KeyRing,
    /// What was reported.
    pub(crate) journal: Journal,
    /// Samples by the minute.
    pub(crate) archives: Archives,
    /// Charts of them.
    pub(crate) charts: Charts,
    /// When somebody is told.
    pub(crate) rules: Rules,
    /// What has been told. Held while a change is written down, so that changes are written in their order.
    pub(crate) alerts: AsyncMutex<Alerts>,
    /// Writes letters.
    pub(crate) writer: Writer,
    /// Letters that wait for the mail server.
    pub(crate) outbox: Arc<Outbox>,
    /// Wakes the postman.
    pub(crate) letters: Arc<Notify>,
    /// Wakes whoever files samples.
    pub(crate) samples: Notify,
    /// Places for bodies of reports.
    pub(crate) bodies: Arc<Semaphore>,
    /// The fronts, and what they are to do.
    pub(crate) fronts: Fronts,
    /// Who may give them orders.
    pub(crate) logins: Logins,
    /// Places for pages that watch.
    pub(crate) watchers: Arc<Semaphore>,
    /// Since when this monitor listens, ms since 1970.
    pub(crate) started_ms: u64,
    /// The alerts as last written down, for those who only look.
    published: Mutex<Arc<Alerts>>,
    archived: Mutex<Archived>,
    roster: Mutex<Roster>,
    changes: watch::Sender<u64>,
    mail: Mutex<Option<String>>,
}

/// When the list of archives was read, and what it said.
type Archived = (Option<Instant>, Vec<(String, u64)>);

/// What a desk is made of.
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) keys: KeyRing,
    pub(crate) journal: Journal,
    pub(crate) archives: Archives,
    pub(crate) charts: Charts,
    pub(crate) alerts: Alerts,
    pub(crate) writer: Writer,
    pub(crate) outbox: Outbox,
    pub(crate) roster: Roster,
    pub(crate) logins: Logins,
}

impl Desk {
    /// Puts the parts together.
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            watched: Watched::new(&parts.config),
            rules: Rules::new(&parts.config.alert, &parts.config.server),
            fronts: Fronts::new(Duration::from_millis(parts.config.monitor.refresh_ms.into())),
            logins: parts.logins,
            config: parts.config,
            keys: parts.keys,
            journal: parts.journal,
            archives: parts.archives,
            charts: parts.charts,
            published: Mutex::new(Arc::new(parts.alerts.clone())),
            alerts: AsyncMutex::new(parts.alerts),
            writer: parts.writer,
            outbox: Arc::new(parts.outbox),
            letters: Arc::new(Notify::new()),
            samples: Notify::new(),
            bodies: Arc::new(Semaphore::new(BODIES_MAX)),
            watchers: Arc::new(Semaphore::new(WATCHERS_MAX)),
            started_ms: now_ms(),
            archived: Mutex::default(),
            roster: Mutex::new(parts.roster),
            changes: watch::Sender::new(0),
            mail: Mutex::default(),
        }
    }

    /// What is known of each worker.
    pub(crate) fn roster(&self) -> MutexGuard<'_, Roster> {
        self.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The alerts as last written down.
    pub(crate) fn published(&self) -> Arc<Alerts> {
        self.published.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// To be called by the holder of the alerts when they are written down.
    pub(crate) fn publish(&self, alerts: &Alerts) {
        *self.published.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(alerts.clone());
    }

    /// Who has an archive, and when it was last written, ms since 1970. As of some seconds ago.
    pub(crate) fn archived(&self) -> Vec<(String, u64)> {
        let mut known = self.archived.lock().unwrap_or_else(PoisonError::into_inner);
        let (read_at, list) = &mut *known;
        if read_at.is_none_or(|at| at.elapsed() >= LISTED_FOR) {
            let written = |name: String| {
                let modified = std::fs::metadata(self.archives.path(&name).ok()?).ok()?.modified().ok()?;
                let since = modified.duration_since(std::time::UNIX_EPOCH).ok()?;
                Some((name, u64::try_from(since.as_millis()).unwrap_or(u64::MAX)))
            };
            *list = self.archives.workers().unwrap_or_default().into_iter().filter_map(written).collect();
            *read_at = Some(Instant::now());
        }
        list.clone()
    }

    /// Tells whoever watches a page that it is no longer the same.
    pub(crate) fn changed(&self) {
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Sees each such change, or several at once.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Why letters do not leave at present.
    pub(crate) fn mail_fault(&self) -> Option<String> {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Letters leave again, or do not.
    pub(crate) fn set_mail_fault(&self, fault: Option<String>) {
        *self.mail.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }
}
