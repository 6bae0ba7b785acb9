//! The socket by which commands reach the running monitor, for its own user only: one line of JSON each way.
//!
//! Not by HTTP, where any page in a browser on this machine could ask for the same.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use switchboard_alert::rules::{Covers, Silence};
use switchboard_daemon::PrivateSocket;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::UnixStream,
    time::timeout,
};

use crate::{clock::now_ms, desk::Desk, logins::Logins};

/// How long a caller may take to say what it wants, and to take its answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// How everything is named.
const ALL: &str = "all";
/// Most bytes of a line.
const LINE_MAX: u64 = 64 << 10;

/// What can be asked for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "ask")]
pub(crate) enum Ask {
    /// A silence from now on.
    Silence {
        /// What it covers: `all`, a server or a worker.
        what: String,
        /// How long, in ms.
        lasts_ms: u64,
        /// Why.
        reason: String,
    },
    /// Ends silences of exactly this.
    End {
        /// What they cover.
        what: String,
    },
    /// All silences.
    List,
    /// A worker that is not coming back.
    Forget {
        /// Its name.
        worker: String,
    },
    /// A link that logs somebody in once.
    Login {
        /// The name, for the record of what is switched.
        name: String,
    },
}

/// The answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Told {
    /// It is done; what to say.
    Done(String),
    /// These are in force.
    Silences(Vec<Silence>),
    /// It is not done, and why.
    Failed(String),
}

/// Where the socket is.
pub(crate) fn path(monitor_dir: &Path) -> PathBuf {
    monitor_dir.join("control.sock")
}

/// The listening side.
pub(crate) struct Control(PrivateSocket);

impl Control {
    /// Listens. Must be made by the holder of the journal's lock.
    ///
    /// # Errors
    /// The folder cannot be written, or its path is too long for a socket.
    pub(crate) fn bind(monitor_dir: &Path) -> anyhow::Result<Self> {
        let path = path(monitor_dir);
        let cannot =
            || format!("{}: cannot listen there; choose a shorter state_dir of this user's", path.display());
        Ok(Self(PrivateSocket::bind(&path).with_context(cannot)?))
    }

    /// Answers for ever, one caller after the other.
    pub(crate) async fn serve(self, desk: Arc<Desk>) {
        loop {
            let stream = self.0.accept().await;
            drop(timeout(PATIENCE, answer(&desk, stream)).await);
        }
    }
}

async fn answer(desk: &Desk, mut stream: UnixStream) -> io::Result<()> {
    let mut line = String::new();
    let (reader, mut writer) = stream.split();
    BufReader::new(reader.take(LINE_MAX)).read_line(&mut line).await?;
    let told = match serde_json::from_str(&line) {
        Ok(ask) => do_it(desk, ask).await.unwrap_or_else(|error| Told::Failed(format!("{error:#}"))),
        Err(error) => Told::Failed(format!("not a request: {error}")),
    };
    let mut line = serde_json::to_vec(&told)?;
    line.push(b'\n');
    writer.write_all(&line).await
}

async fn do_it(desk: &Desk, ask: Ask) -> anyhow::Result<Told> {
    match ask {
        Ask::List => Ok(Told::Silences(in_force(desk))),
        Ask::Silence { what, lasts_ms, reason } => {
            let covers = covers(desk, &what)?;
            let from_ms = now_ms();
            let until_ms = from_ms.saturating_add(lasts_ms);
            let silence = Silence { covers, from_ms, until_ms, reason };
            change(desk, |alerts| alerts.silence(silence.clone()).map_err(anyhow::Error::from)).await?;
            tracing::info!(covers = ?silence.covers, until_ms, reason = silence.reason, "silence begins");
            Ok(Told::Silences(vec![silence]))
        }
        Ask::End { what } => {
            let ended =
                change(desk, |alerts| Ok(alerts.end_silences(|silence| name(&silence.covers) == what)))
                    .await?;
            anyhow::ensure!(
                ended > 0,
                "no such silence is in force: `switchboard-monitor silence --list` shows them"
            );
            tracing::info!(what, "silence ended by hand");
            Ok(Told::Done(format!("{ended} ended")))
        }
        Ask::Forget { worker } => {
            let was_here = desk.roster().forget(&worker);
            let was_there = desk.journal.forget(&worker).await?;
            anyhow::ensure!(
                was_here || was_there,
                "{worker:?} has never reported: the overview page has the names"
            );
            desk.changed();
            tracing::info!(worker, "forgotten");
            Ok(Told::Done(format!("{worker} is forgotten; its archive is kept")))
        }
        Ask::Login { name } => {
            let fits = !name.trim().is_empty() && name.len() <= Logins::NAME_MAX;
            anyhow::ensure!(
                fits && !name.chars().any(char::is_control),
                "--name: expected 1 to {} bytes without control characters",
                Logins::NAME_MAX
            );
            tracing::info!(name, "a link to log in was made");
            let secret = desk.logins.link(name);
            Ok(Told::Done(format!("{}/login?token={}", desk.config.monitor_page(), secret.expose())))
        }
    }
}

/// What a silence of this name covers.
fn covers(desk: &Desk, what: &str) -> anyhow::Result<Covers> {
    if what == ALL {
        return Ok(Covers::All);
    }
    let mut workers: BTreeSet<String> = desk.watched.expected().map(|(name, _)| name).collect();
    workers.extend(desk.roster().iter().map(|(name, _)| name.clone()));
    if workers.contains(what) {
        return Ok(Covers::Worker(what.into()));
    }
    let servers: BTreeSet<&str> = workers.iter().map(|name| desk.watched.server_of(name)).collect();
    anyhow::ensure!(
        servers.contains(what),
        "{what:?} is no worker and no server that is known here; servers: {}; a worker is named as on the overview page",
        servers.into_iter().collect::<Vec<_>>().join(" ")
    );
    Ok(Covers::Server(what.into()))
}

/// How a person names it.
pub(crate) fn name(covers: &Covers) -> &str {
    match covers {
        Covers::All => ALL,
        Covers::Server(name) | Covers::Worker(name) => name,
    }
}

/// Changes what is remembered, on disk first.
async fn change<T>(
    desk: &Desk,
    change: impl FnOnce(&mut switchboard_alert::rules::Alerts) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let mut alerts = desk.alerts.lock().await;
    let mut after = alerts.clone();
    let done = change(&mut after)?;
    desk.journal.remember(serde_json::to_string(&after)?, Vec::new(), Vec::new()).await?;
    desk.publish(&after);
    *alerts = after;
    desk.changed();
    Ok(done)
}

/// The silences that are in force now.
pub(crate) fn in_force(desk: &Desk) -> Vec<Silence> {
    let now_ms = now_ms();
    let in_force = |silence: &&Silence| (silence.from_ms..silence.until_ms).contains(&now_ms);
    desk.published().silences().iter().filter(in_force).cloned().collect()
}
