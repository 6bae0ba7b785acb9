//! The watch: a parked poll cannot tell an instance without apps from one whose packets vanish.

use std::time::Duration;

use http::StatusCode;
use switchboard_fleet::InstanceName;
use tokio::time::{Instant, sleep, timeout};

use crate::{
    http::{Http, Trouble},
    nearest::ping,
    route::{Loss, patience},
};

/// Pings the instance `every` so often over one kept-alive connection, and ends when it no longer answers.
///
/// Any answer will do but those of a front that cannot reach the instance.
pub(crate) async fn watch(http: Http, at: InstanceName, every: Duration) -> Loss {
    let path = format!("/ping/{}", at.port);
    let mut usual = None;
    loop {
        sleep(every).await;
        let begun = Instant::now();
        match timeout(patience(usual), ping_twice(&http, &at, &path)).await {
            Err(_) => return Loss::Silent,
            Ok(Err(_)) => return Loss::Broken,
            Ok(Ok(StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT)) => return Loss::Broken,
            Ok(Ok(_)) => usual = Some(begun.elapsed()),
        }
    }
}

/// A kept connection may have been closed in the moment of its use: the second try opens a new one.
async fn ping_twice(http: &Http, at: &InstanceName, path: &str) -> Result<StatusCode, Trouble> {
    match ping(http, &at.server, path).await {
        Ok(status) => Ok(status),
        Err(_) => ping(http, &at.server, path).await,
    }
}
