//! The monitor under load: the program itself, with a folder, a key and a port of its own.

use std::{
    collections::BTreeMap,
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Context;
use serde::Deserialize;
use switchboard_fleet::KeyRing;
use tempfile::TempDir;
use tokio::process::Child;

use crate::{cpu, load, program::Program, serve::free_port};

/// A monitor that runs, or was killed; ended when dropped.
pub(crate) struct Monitor {
    program: Program,
    process: Option<Child>,
    address: SocketAddr,
    keys: KeyRing,
    folder: TempDir,
}

/// What it says of one worker.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Heard {
    /// Its state in a word.
    pub(crate) state: String,
    /// Reports taken.
    pub(crate) reports: u64,
    /// Reports missing.
    pub(crate) missing: u64,
}

#[derive(Debug, Deserialize)]
struct Status {
    workers: BTreeMap<String, Heard>,
}

impl Monitor {
    /// One that does not run yet. Everything is as by default but where it is and that it writes to nobody.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let program = Program::beside("switchboard-monitor", folder.path())?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let key: [u8; 32] = rand::random();
        KeyRing::create(&folder.path().join("fleet.key"), key)?;
        fs::write(folder.path().join("fleet.toml"), format!("[monitor]\nlisten = \"{address}\"\n"))?;
        Ok(Self { program, process: None, address, keys: KeyRing::new([key]), folder })
    }

    /// Starts it, and returns when it listens: how long that took.
    pub(crate) async fn start(&mut self) -> anyhow::Result<Duration> {
        let began = Instant::now();
        let config = self.folder.path().join("fleet.toml");
        self.process = Some(self.program.start(["--config".as_ref(), config.as_os_str()]).await?);
        Ok(began.elapsed())
    }

    /// Kills it with SIGKILL, if it runs, and returns when it is gone.
    pub(crate) async fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut process) = self.process.take() {
            process.kill().await.context("the monitor cannot be killed")?;
        }
        Ok(())
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The fleet's key.
    pub(crate) fn keys(&self) -> &KeyRing {
        &self.keys
    }

    /// A folder for what belongs to it, ending with it.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where it keeps what was reported.
    pub(crate) fn journal(&self) -> PathBuf {
        self.folder.path().join("var/monitor")
    }

    /// The CPU time that it has used.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        let process = self.process.as_ref().and_then(Child::id).context("the monitor does not run")?;
        cpu::of_process(process)
    }

    /// What it says of the workers.
    pub(crate) async fn workers(&self) -> anyhow::Result<BTreeMap<String, Heard>> {
        let body = load::get(self.address, "/status").await.context("the monitor's /status")?;
        let status: Status = serde_json::from_slice(&body).context("/status is not what it should be")?;
        Ok(status.workers)
    }
}
