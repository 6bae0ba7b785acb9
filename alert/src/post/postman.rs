//! The rounds in which letters are taken to the mail server.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use lettre::transport::smtp::client::AsyncSmtpConnection;
use tokio::{
    sync::Notify,
    task::spawn_blocking,
    time::{sleep, timeout},
};

use super::{
    MailServer, Outbox, PATIENCE_MS, PAUSE_MAX_MS, PostError,
    entry::{Entry, Fate},
    outbox::Found,
    pause_ms,
    session::{Course, offer},
};

/// Takes letters from an outbox to a mail server.
#[derive(Debug)]
pub struct Postman {
    outbox: Arc<Outbox>,
    server: Arc<MailServer>,
    /// Connections that failed, one after the other.
    away: u32,
    /// When the last one failed, ms since 1970.
    away_ms: u64,
}

/// What came of one round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Round {
    /// In the order in which it happened.
    pub outcomes: Vec<Outcome>,
    /// When the next round is due, ms since 1970; `None` if no letter waits.
    pub next_ms: Option<u64>,
}

/// What became of a letter, or of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The mail server has it, and it is off the disk.
    Sent {
        /// The letter.
        name: String,
        /// Readers that were refused for good, with the reasons.
        refused: Vec<(String, String)>,
    },
    /// It goes again later.
    Waits {
        /// The letter.
        name: String,
        /// Why.
        why: String,
    },
    /// Nobody took it; it is not tried again.
    GivenUp {
        /// The letter.
        name: String,
        /// Why.
        why: String,
        /// Where it is kept.
        kept: PathBuf,
    },
    /// The server cannot be reached or does not let us in; every letter waits.
    Away {
        /// Why.
        why: String,
    },
    /// A file that is not a whole letter was put aside.
    Damaged {
        /// Where it is kept.
        kept: PathBuf,
    },
}

impl Postman {
    /// Takes letters from `outbox` to `server`.
    pub fn new(outbox: Arc<Outbox>, server: MailServer) -> Self {
        Self { outbox, server: Arc::new(server), away: 0, away_ms: 0 }
    }

    /// Makes rounds for ever, whenever one is due or `wake` is told of a new letter. `tell` gets what came of them, and what the disk refused.
    pub async fn run(mut self, wake: Arc<Notify>, mut tell: impl FnMut(Result<Outcome, PostError>)) {
        loop {
            let now_ms = clock_ms();
            let wait_ms = match self.round(now_ms).await {
                Ok(round) => {
                    round.outcomes.into_iter().for_each(|outcome| tell(Ok(outcome)));
                    round.next_ms.map(|next_ms| next_ms.saturating_sub(clock_ms()).max(1000))
                }
                Err(error) => {
                    tell(Err(error));
                    Some(super::PAUSE_MIN_MS)
                }
            };
            let due = async {
                match wait_ms {
                    Some(ms) => sleep(Duration::from_millis(ms)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! { () = due => {} () = wake.notified() => {} }
        }
    }

    /// Tries every letter whose time has come, the oldest first. Minutes may pass if the server is slow.
    ///
    /// # Errors
    /// The disk's. A letter that was accepted but could not be taken off the disk would go again.
    pub async fn round(&mut self, now_ms: u64) -> Result<Round, PostError> {
        let mut outcomes = Vec::new();
        let mut entries = Vec::new();
        let outbox = self.outbox.clone();
        for found in on_disk(move || outbox.all()).await? {
            match found {
                Found::Whole(entry) => entries.push(*entry),
                Found::Damaged(kept) => outcomes.push(Outcome::Damaged { kept }),
            }
        }
        // A letter that came after the last connection failed is worth another one at once.
        let fresh = entries.iter().any(|entry| entry.state.created_ms > self.away_ms);
        if self.away == 0 || fresh || self.away_over_ms(now_ms) <= now_ms {
            let mut connection = None;
            for entry in &mut entries {
                if self.away > 0 && connection.is_none() && outcomes.iter().any(is_away) {
                    break;
                }
                if due_ms(entry, now_ms) <= now_ms {
                    self.deliver(&mut connection, entry, now_ms, &mut outcomes).await?;
                }
            }
            if let Some(mut connection) = connection {
                let _ = timeout(Duration::from_secs(5), connection.quit()).await;
            }
            self.expire(&mut entries, now_ms, &mut outcomes).await?;
        }
        let waiting = entries.iter().filter(|entry| !entry.is_done());
        let next_ms = waiting.map(|entry| due_ms(entry, now_ms)).min();
        let away_ms = if self.away > 0 { self.away_over_ms(now_ms) } else { 0 };
        Ok(Round { outcomes, next_ms: next_ms.map(|next_ms| next_ms.max(away_ms)) })
    }

    async fn deliver(
        &mut self,
        connection: &mut Option<AsyncSmtpConnection>,
        entry: &mut Entry,
        now_ms: u64,
        outcomes: &mut Vec<Outcome>,
    ) -> Result<(), PostError> {
        let open = match connection.take().filter(|connection| !connection.has_broken()) {
            Some(open) => Ok(open),
            None => self.server.connect().await,
        };
        let mut open = match open {
            Ok(open) => open,
            Err(why) => {
                self.failed(now_ms);
                outcomes.push(Outcome::Away { why });
                return Ok(());
            }
        };
        self.away = 0;
        let outbox = self.outbox.clone();
        let save = |entry: Entry| async move {
            on_disk(move || outbox.save(&entry)).await.map_err(|error| error.to_string())
        };
        let why = match offer(&mut open, entry, save).await {
            Course::Answered(why) => {
                *connection = Some(open);
                why
            }
            Course::Lost(why) | Course::Unknown(why) => Some(why),
        };
        let why = why.map(|why| self.server.without_secrets(&why));
        self.record(entry, why, now_ms, outcomes).await
    }

    /// Writes down how a try ended.
    async fn record(
        &self,
        entry: &mut Entry,
        why: Option<String>,
        now_ms: u64,
        outcomes: &mut Vec<Outcome>,
    ) -> Result<(), PostError> {
        let (outbox, name) = (self.outbox.clone(), entry.state.name.clone());
        let sent = entry.state.readers.iter().any(|reader| reader.fate == Fate::Sent);
        if !entry.is_done() {
            entry.state.tries = entry.state.tries.saturating_add(1);
            entry.state.next_ms = now_ms.saturating_add(pause_ms(entry.state.tries));
            let copy = entry.clone();
            on_disk(move || outbox.save(&copy)).await?;
            outcomes.push(Outcome::Waits { name, why: why.unwrap_or_default() });
        } else if sent {
            let (copy, refused) = (entry.clone(), entry.refused());
            on_disk(move || outbox.remove(&copy)).await?;
            outcomes.push(Outcome::Sent { name, refused });
        } else {
            let refused = entry.refused();
            let why = refused.iter().map(|(who, why)| format!("{who}: {why}")).collect::<Vec<_>>().join("; ");
            let why = self.server.without_secrets(&why);
            let copy = entry.clone();
            let kept = on_disk(move || outbox.give_up(&copy)).await?;
            outcomes.push(Outcome::GivenUp { name, why, kept });
        }
        Ok(())
    }

    /// Gives up what has waited for too long and failed again in this round, or would have.
    async fn expire(
        &self,
        entries: &mut Vec<Entry>,
        now_ms: u64,
        outcomes: &mut Vec<Outcome>,
    ) -> Result<(), PostError> {
        let mut given_up = Vec::new();
        for entry in entries.iter().filter(|entry| !entry.is_done() && is_old(entry, now_ms)) {
            let (outbox, copy, name) = (self.outbox.clone(), entry.clone(), entry.state.name.clone());
            let waits = |outcome: &&Outcome| matches!(outcome, Outcome::Waits { name: n, .. } if *n == name);
            let last = outcomes.iter().find(waits).or_else(|| outcomes.iter().find(|o| is_away(o)));
            let Some(Outcome::Waits { why, .. } | Outcome::Away { why }) = last else { continue };
            let why = format!("not accepted within {} days; at last: {why}", PATIENCE_MS / 86_400_000);
            let kept = on_disk(move || outbox.give_up(&copy)).await?;
            given_up.push(name.clone());
            outcomes.push(Outcome::GivenUp { name, why, kept });
        }
        entries.retain(|entry| !given_up.contains(&entry.state.name));
        Ok(())
    }

    fn failed(&mut self, now_ms: u64) {
        self.away = self.away.saturating_add(1);
        self.away_ms = now_ms;
    }

    /// When the server is worth another try. At once if the clock was set back since.
    fn away_over_ms(&self, now_ms: u64) -> u64 {
        if self.away_ms > now_ms { now_ms } else { self.away_ms.saturating_add(pause_ms(self.away)) }
    }
}

/// When a letter's time comes: at once if it is further away than any pause, as then the clock was set back.
fn due_ms(entry: &Entry, now_ms: u64) -> u64 {
    if entry.state.next_ms > now_ms.saturating_add(PAUSE_MAX_MS) { now_ms } else { entry.state.next_ms }
}

fn is_old(entry: &Entry, now_ms: u64) -> bool {
    now_ms.saturating_sub(entry.state.created_ms) >= PATIENCE_MS
}

fn is_away(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Away { .. })
}

async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PostError> + Send + 'static,
) -> Result<T, PostError> {
    match spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(PostError::Disk { path: PathBuf::new(), cause: std::io::Error::other(error) }),
    }
}

fn clock_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
