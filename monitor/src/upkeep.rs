//! What is done now and then: the sign of life by which a gap is later known as the monitor's own, and tidying.

use std::{sync::Arc, time::Duration};

use tokio::time::{MissedTickBehavior, interval};

use crate::{clock::now_ms, desk::Desk};

/// How often the sign of life is written.
const ALIVE_EVERY: Duration = Duration::from_secs(5);
/// How often the journal is tidied.
const TIDY_EVERY: Duration = Duration::from_secs(3600);
const DAY_MS: u64 = 86_400_000;

/// Writes the sign of life for ever.
pub(crate) async fn live(desk: Arc<Desk>) {
    let mut ticks = interval(ALIVE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut had_fault = false;
    loop {
        ticks.tick().await;
        desk.journal.alive(now_ms()).await;
        let has_fault = desk.journal.fault().is_some();
        if has_fault != had_fault {
            desk.changed();
        }
        had_fault = has_fault;
    }
}

/// Tidies for ever.
pub(crate) async fn tidy(desk: Arc<Desk>) {
    let keep_days = u64::from(desk.config.monitor.keep_days);
    let keep_ms = (keep_days > 0).then_some(keep_days * DAY_MS);
    let mut ticks = interval(TIDY_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        if let Err(error) = desk.journal.prune(now_ms(), keep_ms).await {
            tracing::warn!("the journal is not tidied: {error}");
        }
        desk.roster().forget_strangers(now_ms());
        desk.changed();
    }
}
