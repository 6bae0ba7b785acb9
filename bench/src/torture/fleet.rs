//! The fleet: one server with a master and other instances, in a folder of its own.

use std::{
    fmt, fs, io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, anyhow, bail};
use switchboard_range::{IdRange, Ledger, LedgerError, Record};
use tempfile::TempDir;

use crate::{
    disks::Disk,
    instance::{Instance, Logged},
    tally::Ledgers,
};

/// Instances, the master among them.
const INSTANCES: usize = 5;
/// The master's number.
pub(crate) const MASTER: usize = 0;
/// The fleet's whole range: more than can be given in a day.
const WHOLE: (u64, u64) = (1_000_000_001, 1_000_000_000_000);
/// IDs of one range: fetched many times a second.
const RANGE_SIZE: u64 = 1000;

/// The fleet; killed when dropped, and nothing of it is left.
pub(crate) struct Fleet {
    instances: Vec<Instance>,
    counts: Counts,
    folder: TempDir,
}

/// What was done to the fleet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Instances killed.
    pub(crate) kills: u64,
    /// How many of them were the master.
    pub(crate) master_kills: u64,
    /// Instances started again.
    pub(crate) restarts: u64,
    /// Instances that ended by themselves.
    pub(crate) ended: u64,
    /// Times that a disk was full; `None` if there are no disks to fill.
    pub(crate) full: Option<u64>,
}

impl Fleet {
    /// Starts a fleet of `program`. `disks`: whether this process may mount.
    pub(crate) fn start(program: &Path, disks: bool) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("switchboard-torture-").tempdir()?;
        // A copy: the program may be built anew meanwhile.
        let own = folder.path().join("switchboard");
        fs::copy(program, &own).with_context(|| {
            format!(
                "{}: there is no program; build it with `cargo build --release --locked`",
                program.display()
            )
        })?;
        let config = folder.path().join("fleet.toml");
        let ports = free_ports()?;
        fs::write(&config, configuration(ports))?;
        fs::create_dir(folder.path().join("instance"))?;
        let mut fleet = Self { instances: Vec::new(), counts: Counts::default(), folder };
        let mut mounted = disks;
        for port in ports {
            let folder = fleet.folder.path().join(port.to_string());
            fs::create_dir(&folder)?;
            let disk = if mounted { mount(&folder) } else { None };
            mounted &= disk.is_some();
            fs::write(config.with_file_name(format!("instance/{port}.toml")), overlay(&folder))?;
            fleet.instances.push(Instance::new(port, &own, &config, &folder, disk));
        }
        fleet.counts.full = mounted.then_some(0);
        run(&own, &config, &["key"])?;
        let (from, to) = (WHOLE.0.to_string(), WHOLE.1.to_string());
        run(&own, &config, &["range", "init", "--from", &from, "--to", &to])?;
        fleet.start_all()?;
        Ok(fleet)
    }

    /// Every ID that the fleet may give.
    pub(crate) fn whole() -> anyhow::Result<IdRange> {
        IdRange::from_numbers(WHOLE.0, WHOLE.1).context("the fleet's range is empty")
    }

    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.instances.iter().map(Instance::address).collect()
    }

    pub(crate) fn instances(&self) -> &[Instance] {
        &self.instances
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Kills an instance and starts it again.
    pub(crate) fn kill(&mut self, number: usize) -> anyhow::Result<()> {
        self.end(number)?;
        self.restart(number)
    }

    /// Kills an instance.
    pub(crate) fn end(&mut self, number: usize) -> anyhow::Result<()> {
        let killed = u64::from(self.get(number)?.kill()?);
        self.counts.kills += killed;
        self.counts.master_kills += if number == MASTER { killed } else { 0 };
        Ok(())
    }

    /// Starts an instance that was killed.
    pub(crate) fn restart(&mut self, number: usize) -> anyhow::Result<()> {
        self.get(number)?.start()?;
        self.counts.restarts += 1;
        Ok(())
    }

    fn start_all(&mut self) -> anyhow::Result<()> {
        self.instances.iter_mut().try_for_each(Instance::start)
    }

    /// Leaves no room on an instance's disk.
    pub(crate) fn fill(&mut self, number: usize) -> anyhow::Result<()> {
        if let Some(disk) = self.get(number)?.disk() {
            disk.fill()?;
        }
        self.counts.full = self.counts.full.map(|full| full + 1);
        Ok(())
    }

    /// Makes room again.
    pub(crate) fn free(&mut self, number: usize) -> anyhow::Result<()> {
        self.get(number)?.disk().map_or(Ok(()), Disk::free).context("a disk cannot be freed")
    }

    /// Makes room on every disk.
    pub(crate) fn free_all(&mut self) -> anyhow::Result<()> {
        (0..self.instances.len()).try_for_each(|number| self.free(number))
    }

    /// Starts again what has ended by itself, and keeps full disks full. Gives the last line of each log of the former.
    pub(crate) fn look_after(&mut self) -> anyhow::Result<Vec<String>> {
        let mut ended = Vec::new();
        for instance in &mut self.instances {
            if instance.look_after()? {
                ended.push(instance.last_words(1));
            }
            if let Some(disk) = instance.disk() {
                disk.refill()?;
            }
        }
        self.counts.ended += ended.len() as u64;
        Ok(ended)
    }

    /// Kills all, for good.
    pub(crate) fn stop(&mut self) -> io::Result<()> {
        self.instances.iter_mut().try_for_each(|instance| instance.kill().map(drop))
    }

    /// What all logs say together.
    pub(crate) fn logged(&self) -> io::Result<Logged> {
        self.instances.iter().try_fold(Logged::default(), |sum, instance| Ok(sum.and(&instance.logged()?)))
    }

    /// What the ledgers hold. To be asked when nothing runs.
    pub(crate) fn ledgers(&self) -> anyhow::Result<Ledgers> {
        let mut ledgers = Ledgers::default();
        for instance in &self.instances {
            match Ledger::read_only(&instance.ledger()) {
                Ok(record) => ledgers.held.extend(record.holdings.ranges()),
                Err(LedgerError::Absent { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let master: Record = Ledger::read_only(&self.instances[MASTER].master_ledger())?;
        ledgers.ungranted.extend(master.holdings.ranges());
        Ok(ledgers)
    }

    fn get(&mut self, number: usize) -> anyhow::Result<&mut Instance> {
        self.instances.get_mut(number).ok_or_else(|| anyhow!("there is no instance {number}"))
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kills, master_kills, restarts, ended, full } = self;
        write!(
            f,
            "{kills} kills ({master_kills} of the master), {restarts} restarts, {ended} ended by themselves, "
        )?;
        match full {
            Some(full) => write!(f, "a disk full {full} times"),
            None => write!(f, "NO DISK COULD BE FILLED: this process may not mount"),
        }
    }
}

/// A disk, or nothing and a line that says so.
fn mount(folder: &Path) -> Option<Disk> {
    Disk::mount(folder).inspect_err(|error| eprintln!("no disk can be mounted: {error:#}")).ok()
}

/// Different ports, all free a moment ago.
fn free_ports() -> io::Result<[u16; INSTANCES]> {
    let mut held = Vec::new();
    let mut ports = [0; INSTANCES];
    for port in &mut ports {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

fn configuration(ports: [u16; INSTANCES]) -> String {
    let master = ports[MASTER];
    format!(
        "server = \"127.0.0.1:{master}\"\n\
         instances = {ports:?}\n\
         master = {{ server = \"127.0.0.1:{master}\", port = {master} }}\n\
         [monitor]\n\
         run = false\n\
         [limits]\n\
         connections_per_address = 0\n\
         registrations_per_minute = 0\n\
         [range]\n\
         size = {RANGE_SIZE}\n\
         size_max = {RANGE_SIZE}\n"
    )
}

/// The ledgers of an instance are on its own disk.
fn overlay(folder: &Path) -> String {
    let file = |name: &str| -> PathBuf { folder.join(name) };
    format!("range_file = {:?}\nmaster_range_file = {:?}\n", file("range.ledger"), file("master.ledger"))
}

/// Runs a command of the program to its end.
fn run(program: &Path, config: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    let done = Command::new(program)
        .args(arguments)
        .arg("--config")
        .arg(config)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{}: cannot be run", program.display()))?;
    if !done.status.success() {
        bail!("`switchboard {}`: {}", arguments.join(" "), String::from_utf8_lossy(&done.stderr).trim());
    }
    Ok(())
}
