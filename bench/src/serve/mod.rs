//! Instances under load, each a process of its own, so that its CPU time can be told from the callers'.

mod settings;
mod site;

use std::{
    hint::black_box,
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::{Child, ChildStdout, Command},
    sync::Arc,
    thread,
    time::Duration,
};

use anyhow::{Context, bail};
use switchboard_fleet::{KeyRing, ServerName, snapshot::Snapshot};
use tempfile::TempDir;
use tokio::{runtime::Builder, sync::oneshot, time::sleep};

pub(crate) use settings::{Place, Settings};
pub(crate) use site::{free_port, keys};

use crate::{cpu, load};

use site::Site;

/// How often the instance's status is looked at while something is awaited.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// What an instance says when [`part_ends`] has been called.
const PART_ENDED: &str = "part ended";

/// A running instance; ended when dropped.
pub(crate) struct Instance {
    process: Child,
    said: BufReader<ChildStdout>,
    port: u16,
    keys: KeyRing,
    folder: Arc<TempDir>,
}

/// Serves until standard input ends, as it does when the process that started this one is gone. With each byte from there a part
/// ends.
pub(crate) fn serve(place: &Place) -> anyhow::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build_local(Default::default())?;
    let gone = input_ends(|| {
        part_ends();
        // Who asked has gone: so does standard input.
        let _ = writeln!(io::stdout(), "{PART_ENDED}");
    });
    let stop = async move { drop(gone.await) };
    Ok(runtime.block_on(switchboard_instance::run(place.config(), place.port, None, stop))?)
}

/// Ends, with an error, when this process' standard input does. At each byte from there `at_byte` is done, on another thread.
pub(crate) fn input_ends(at_byte: impl Fn() + Send + 'static) -> oneshot::Receiver<()> {
    let (held, gone) = oneshot::channel();
    thread::spawn(move || {
        while matches!(io::stdin().read(&mut [0]), Ok(1)) {
            at_byte();
        }
        drop(held);
    });
    gone
}

/// Does nothing. A profiler is told to write down what it has counted, and to begin anew, when this is called.
#[inline(never)]
fn part_ends() {
    black_box(());
}

impl Instance {
    /// Starts this program again as an instance that is its own master.
    pub(crate) fn start() -> anyhow::Result<Self> {
        Self::start_with(Settings::default())
    }

    /// The same with other settings.
    pub(crate) fn start_with(settings: Settings) -> anyhow::Result<Self> {
        Self::only(&Site::found(1, settings, &[], rand::random())?, this_program()?)
    }

    /// An instance with the usual settings, of a fleet that has this key and other servers.
    pub(crate) fn start_among(servers: &[ServerName], key: [u8; 32]) -> anyhow::Result<Self> {
        Self::only(&Site::found(1, Settings::default(), servers, key)?, this_program()?)
    }

    /// An instance with the usual settings, run by `command`, to which only the arguments are added that tell this program to be an instance.
    pub(crate) fn start_by(command: Command) -> anyhow::Result<Self> {
        Self::only(&Site::found(1, Settings::default(), &[], rand::random())?, command)
    }

    fn only(site: &Site, command: Command) -> anyhow::Result<Self> {
        site.spawn(site.places.first().context("no instance")?, command)?.listening()
    }

    /// Starts so many instances of one server; the first is the master.
    pub(crate) fn start_siblings(count: usize, settings: Settings) -> anyhow::Result<Vec<Self>> {
        let site = Site::found(count, settings, &[], rand::random())?;
        let started = site.places.iter().map(|place| site.spawn(place, this_program()?));
        // All at once: each greets the others as it starts.
        let started = started.collect::<anyhow::Result<Vec<_>>>()?;
        started.into_iter().map(Self::listening).collect()
    }

    /// Waits until it listens.
    fn listening(mut self) -> anyhow::Result<Self> {
        self.until_it_says("listening on ")?;
        Ok(self)
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

    /// Where its server's key is, in a file that [`keys`] reads.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
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
        load::agent_headers(&self.keys, id)
    }

    /// What it shows of itself.
    pub(crate) async fn status(&self) -> anyhow::Result<Snapshot> {
        let body = load::get(self.address(), "/status").await?;
        serde_json::from_slice(&body).context("/status is not what it should be")
    }

    /// Waits until so many polls are parked.
    pub(crate) async fn until_parked(&self, polls: usize) -> anyhow::Result<()> {
        self.until(LOOK_EVERY, |status| status.agents.parked == polls as u64).await
    }

    /// Looks at its status every so often, until it is `good`.
    pub(crate) async fn until(
        &self,
        every: Duration,
        good: impl Fn(&Snapshot) -> bool,
    ) -> anyhow::Result<()> {
        while !good(&self.status().await?) {
            sleep(every).await;
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

fn this_program() -> anyhow::Result<Command> {
    Ok(Command::new(std::env::current_exe()?))
}
