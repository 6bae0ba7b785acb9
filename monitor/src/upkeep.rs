//! What is done now and then: the sign of life by which a gap is later known as the monitor's own, and tidying.

use std::{sync::Arc, time::Duration};

use tokio::time::{MissedTickBehavior, interval};

use crate::{clock::now_ms, desk::Desk};

/// How often the sign of life is written.
const ALIVE_EVERY: Duration = Duration::from_secs(5);
/// Once in so many of them the journal is tidied: hourly.
const TIDY_EVERY: u64 = 720;
const DAY_MS: u64 = 86_400_000;

/// Does it for ever.
pub(crate) async fn forever(desk: Arc<Desk>) {
    let keep_days = u64::from(desk.config.monitor.keep_days);
    let keep_ms = (keep_days > 0).then_some(keep_days * DAY_MS);
    let mut ticks = interval(ALIVE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut fault = None;
    for count in 0_u64.. {
        ticks.tick().await;
        desk.journal.alive(now_ms()).await;
        if count % TIDY_EVERY == 0
            && let Err(error) = desk.journal.prune(now_ms(), keep_ms).await
        {
            tracing::warn!("the journal is not tidied: {error}");
        }
        let found = desk.journal.fault().map(|error| error.to_string());
        if found != fault {
            match &found {
                Some(why) => tracing::error!("{why}"),
                None => tracing::info!("the journal can be written again"),
            }
            fault = found;
            desk.changed();
        }
    }
}
