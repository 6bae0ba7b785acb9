//! From the journal into the archives. The journal is the queue: what could not be written waits there.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use switchboard_archive::ArchiveError;
use switchboard_journal::{JournalError, Pending, PendingId};
use tokio::time::{Instant, sleep, timeout_at};

use crate::{
    clock::{now_ms, seconds},
    desk::Desk,
};

/// Samples taken from the journal at a time.
const PAGE: usize = 500;
/// Two passes are so far apart at least.
const APART: Duration = Duration::from_millis(500);
/// New samples are of no more than so many ms ago; those that come later wait for the pass over all.
const LATEST_MS: u64 = 5 * 60_000;
/// What could not be written is tried again after this.
const AGAIN_AFTER: Duration = Duration::from_secs(30);

/// Files samples whenever there are new ones, for ever; ends if the archives' writer does.
pub(crate) async fn forever(desk: Arc<Desk>) {
    let mut all_at = Instant::now();
    loop {
        // New samples are looked for among the latest alone: what waits for an archive that refuses may be much.
        let all = Instant::now() >= all_at;
        if all {
            all_at = Instant::now() + AGAIN_AFTER;
        }
        let after = (!all).then(|| PendingId::before(now_ms().saturating_sub(LATEST_MS)));
        match file_all(&desk, after).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => tracing::warn!("samples are not filed: {error}"),
        }
        sleep(APART).await;
        let _ = timeout_at(all_at, desk.samples.notified()).await;
    }
}

/// Files what waits, from a place on. One archive that refuses does not hinder the others: its samples stay in the journal. Whether
/// there still is a writer.
async fn file_all(desk: &Desk, mut after: Option<PendingId>) -> Result<bool, JournalError> {
    let mut refusing = BTreeSet::new();
    let mut dropped = BTreeMap::new();
    loop {
        let page = desk.journal.unfiled_after(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        let mut done: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for pending in page {
            if refusing.contains(&pending.worker) {
                continue;
            }
            match file(desk, &pending).await {
                Filed::Done => {}
                Filed::Never(why) => {
                    let (count, last) =
                        dropped.entry(pending.worker.clone()).or_insert((0_u32, String::new()));
                    (*count, *last) = (*count + 1, why);
                }
                Filed::Later => {
                    refusing.insert(pending.worker);
                    continue;
                }
                Filed::NoWriter => return Ok(false),
            }
            done.entry(pending.worker).or_default().push(pending.at_ms);
        }
        for (worker, at_ms) in done {
            desk.journal.filed(&worker, at_ms).await?;
        }
        desk.changed();
    }
    for (worker, (count, why)) in dropped {
        tracing::warn!(worker, count, "samples are dropped: {why}");
    }
    Ok(true)
}

/// What became of a sample.
enum Filed {
    Done,
    /// It can never go into its archive, and why.
    Never(String),
    /// Shown on the page and told by letter: see `Archives::problems`.
    Later,
    NoWriter,
}

async fn file(desk: &Desk, pending: &Pending) -> Filed {
    match desk.archives.write(&pending.worker, seconds(pending.at_ms), &pending.sample).await {
        Ok(_) => Filed::Done,
        Err(
            error @ (ArchiveError::TooOld { .. } | ArchiveError::TooFar { .. } | ArchiveError::Name { .. }),
        ) => Filed::Never(error.to_string()),
        Err(ArchiveError::Closed) => Filed::NoWriter,
        Err(_) => Filed::Later,
    }
}
