//! One instance under load, as a process of its own, so that its CPU time can be told from the callers'.

use std::{
    hint::black_box,
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, bail};
use switchboard_fleet::{CustomerId, KeyRing, ServerName, config::Config, snapshot::Snapshot};
use switchboard_range::{IdRange, Ledger};
use tempfile::TempDir;
use tokio::{runtime::Builder, sync::oneshot, time::sleep};

use crate::{cpu, load};

/// The fleet's whole range; far above the IDs that the callers make up.
const MASTER_RANGE: (u64, u64) = (1_000_000_000, 2_000_000_000);
/// How often the instance's status is looked at while something is awaited.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A running instance; ended when dropped.
pub(crate) struct Instance {
    process: Child,
    said: BufReader<ChildStdout>,
    port: u16,
    keys: KeyRing,
    _folder: TempDir,
}

/// What differs from the defaults: the limits that one caller's address would meet, and times that a slow machine
/// would.
fn config(port: u16, folder: &Path, servers: Vec<ServerName>) -> Config {
    let mut config = Config {
        instances: vec![port],
        servers,
        key_file: folder.join("fleet.key"),
        state_dir: folder.join("var"),
        ..Config::default()
    };
    config.master = config.instance_name(port);
    config.limits.body_bytes = 1 << 30;
    config.limits.connections = 19_000;
    config.limits.connections_per_address = 0;
    config.limits.registrations_per_minute = 0;
    config.range.size = 1_000_000;
    config.timeouts.agent = Duration::from_secs(60).into();
    config.timeouts.drain = Duration::ZERO.into();
    config
}

/// What an instance says when [`part_ends`] has been called.
const PART_ENDED: &str = "part ended";

/// Serves until standard input ends, as it does when the process that started this one is gone. With each byte from there a part
/// ends.
pub(crate) fn serve(port: u16, folder: &Path, servers: Vec<ServerName>) -> anyhow::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build_local(Default::default())?;
    let (held, gone) = oneshot::channel::<()>();
    thread::spawn(move || {
        while matches!(io::stdin().read(&mut [0]), Ok(1)) {
            part_ends();
            // Who asked has gone: so does standard input.
            let _ = writeln!(io::stdout(), "{PART_ENDED}");
        }
        drop(held);
    });
    let stop = async move { drop(gone.await) };
    Ok(runtime.block_on(switchboard_instance::run(config(port, folder, servers), port, None, stop))?)
}

/// Does nothing. A profiler is told to write down what it has counted, and to begin anew, when this is called.
#[inline(never)]
fn part_ends() {
    black_box(());
}

impl Instance {
    /// Starts this program again as an instance that is its own master.
    pub(crate) fn start() -> anyhow::Result<Self> {
        Self::start_among(&[], rand::random())
    }

    /// The same, of a fleet that has this key and other servers.
    pub(crate) fn start_among(servers: &[ServerName], key: [u8; 32]) -> anyhow::Result<Self> {
        Self::launch(Command::new(std::env::current_exe()?), servers, key)
    }

    /// The same, run by `command`, to which only the arguments are added that tell this program to be an instance.
    pub(crate) fn launch(
        mut command: Command,
        servers: &[ServerName],
        key: [u8; 32],
    ) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let port = free_port()?;
        let config = config(port, folder.path(), Vec::new());
        KeyRing::create(&config.key_file, key)?;
        std::fs::create_dir_all(&config.state_dir)?;
        let range =
            IdRange::from_numbers(MASTER_RANGE.0, MASTER_RANGE.1).context("the master's range is empty")?;
        drop(Ledger::init_master(&config.master_range_file(port), range)?);
        let mut process = command
            .arg("serve-instance")
            .arg(port.to_string())
            .arg(folder.path())
            .args(servers.iter().map(ServerName::as_str))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("the instance cannot be started")?;
        let said = BufReader::new(process.stdout.take().context("the instance has no standard output")?);
        let mut instance = Self { process, said, port, keys: KeyRing::new([key]), _folder: folder };
        instance.until_it_says("listening on ")?;
        Ok(instance)
    }

    /// Ends one part of what a profiler of the instance counts, and begins the next; see [`part_ends`].
    pub(crate) fn end_part(&mut self) -> anyhow::Result<()> {
        self.process.stdin.as_mut().context("the instance has no standard input")?.write_all(b"\n")?;
        self.until_it_says(PART_ENDED)
    }

    fn until_it_says(&mut self, beginning: &str) -> anyhow::Result<()> {
        let mut line = String::new();
        self.said.read_line(&mut line)?;
        if !line.starts_with(beginning) {
            bail!("the instance at port {} does not say `{beginning}`; what it said is above", self.port);
        }
        Ok(())
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Its port, as it stands at the end of paths.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The CPU time that it has used.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        cpu::of_process(self.process.id())
    }

    /// Its resident memory in bytes.
    pub(crate) fn resident_bytes(&self) -> anyhow::Result<u64> {
        cpu::resident_bytes(self.process.id())
    }

    /// The headers by which an agent says who it is; `id` is not 0.
    pub(crate) fn agent_headers(&self, id: u64) -> anyhow::Result<String> {
        let customer = CustomerId::new(id).context("a customer ID of 0")?;
        Ok(format!("X-IWP-ProductUnivId: {id}\r\nX-IWP-Token: {}\r\n", self.keys.token(customer)))
    }

    /// What it shows of itself.
    pub(crate) async fn status(&self) -> anyhow::Result<Snapshot> {
        let body = load::get(self.address(), "/status").await?;
        serde_json::from_slice(&body).context("/status is not what it should be")
    }

    /// Waits until so many polls are parked.
    pub(crate) async fn until_parked(&self, polls: usize) -> anyhow::Result<()> {
        while self.status().await?.agents.parked != polls as u64 {
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // Nothing that it has is to be kept.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A port of 127.0.0.1 that was free a moment ago.
pub(crate) fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
