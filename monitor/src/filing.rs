//! From the journal into the archives. The journal is the queue: what could not be written waits there.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use switchboard_archive::ArchiveError;
use switchboard_journal::{JournalError, Pending};
use tokio::time::timeout;

use crate::{clock::seconds, desk::Desk};

/// Samples taken from the journal at a time.
const PAGE: usize = 500;
/// What could not be written is tried again after this.
const AGAIN_AFTER: Duration = Duration::from_secs(30);

/// Files samples whenever there are new ones, for ever.
pub(crate) async fn forever(desk: Arc<Desk>) {
    loop {
        if let Err(error) = file_all(&desk).await {
            tracing::warn!("samples are not filed: {error}");
        }
        let _ = timeout(AGAIN_AFTER, desk.samples.notified()).await;
    }
}

/// Files all that wait. One archive that refuses does not hinder the others: its samples stay in the journal.
async fn file_all(desk: &Desk) -> Result<(), JournalError> {
    let mut refusing = BTreeSet::new();
    let mut after = None;
    loop {
        let page = desk.journal.unfiled_after(after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.id);
        let mut done: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for pending in page {
            if !refusing.contains(&pending.worker) {
                if file(desk, &pending).await {
                    done.entry(pending.worker).or_default().push(pending.at_ms);
                } else {
                    refusing.insert(pending.worker);
                }
            }
        }
        for (worker, at_ms) in done {
            desk.journal.filed(&worker, at_ms).await?;
        }
        desk.changed();
    }
}

/// Writes one sample. Whether the journal need not keep it any longer.
async fn file(desk: &Desk, pending: &Pending) -> bool {
    let worker = &pending.worker;
    match desk.archives.write(worker, seconds(pending.at_ms), &pending.sample).await {
        Ok(_) => true,
        // Trying again would not help.
        Err(
            error @ (ArchiveError::TooOld { .. } | ArchiveError::TooFar { .. } | ArchiveError::Name { .. }),
        ) => {
            tracing::warn!("a sample is dropped: {error}");
            true
        }
        // Shown on the page and told by letter: see `Archives::problems`.
        Err(_) => false,
    }
}
