//! The first start: an ID from the closest server, kept before it is used.

use std::{path::Path, time::Duration};

use http::HeaderMap;
use switchboard_fleet::ServerName;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::identity::{Draft, Identity, StateError};
use crate::{
    body,
    http::Http,
    route::pause,
    wire::{self, Registration},
};

/// A server must answer within this.
const ANSWER: Duration = Duration::from_secs(10);
/// The longest pause between two attempts.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// The pauses when the server registers too many.
const TOO_MANY: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));

/// The identity from the state file, or a new one from the closest server that gives one. Tries on for ever.
pub(crate) async fn identity(
    http: &Http,
    ranked: &[ServerName],
    state_file: &Path,
) -> Result<Identity, StateError> {
    if let Some(known) = Identity::load(state_file)? {
        return Ok(known);
    }
    let draft = Draft::new(state_file)?;
    let mut next = 0;
    let mut attempts = 0;
    loop {
        let server = &ranked[next % ranked.len()];
        attempts += 1;
        let wait = match ask(http, server).await {
            Ok(Registration::Done(id, token)) => {
                let identity = Identity { id, token };
                draft.save(&identity)?;
                info!("registered at {server} as {id}");
                return Ok(identity);
            }
            Ok(Registration::Later) => pause(Duration::from_millis(200), PAUSE_MAX, attempts, rand::random()),
            Ok(Registration::TooMany(after)) => {
                warn!("{server}: too many registrations at this time; waiting");
                after.unwrap_or_else(|| pause(TOO_MANY.0, TOO_MANY.1, attempts, rand::random()))
            }
            Ok(Registration::Refused(refusal)) => failed(&mut next, ranked, format!("{server}: {refusal}")),
            Err(reason) => failed(&mut next, ranked, reason),
        };
        sleep(wait).await;
    }
}

/// On to the next server; the pause comes when all have failed.
fn failed(next: &mut usize, ranked: &[ServerName], reason: String) -> Duration {
    *next += 1;
    if !next.is_multiple_of(ranked.len()) {
        return Duration::ZERO;
    }
    warn!("no server registers this agent: {reason}; trying on");
    let rounds = u32::try_from(*next / ranked.len()).unwrap_or(u32::MAX);
    pause(Duration::from_millis(200), PAUSE_MAX, rounds, rand::random())
}

async fn ask(http: &Http, server: &ServerName) -> Result<Registration, String> {
    let call = http.post(server, "/getuniversalid", HeaderMap::new(), body::empty());
    let answer = timeout(ANSWER, call).await.map_err(|_| format!("{server}: no answer"))?;
    let answer = answer.map_err(|trouble| trouble.to_string())?;
    Ok(wire::registration(answer.status(), answer.headers()))
}
