//! What a server has on disk before its instances start, and how they are started.

use std::{
    io::{self, BufReader},
    net::{Ipv4Addr, TcpListener},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use anyhow::Context;
use switchboard_fleet::{KeyRing, ServerName};
use switchboard_range::{IdRange, Ledger};
use tempfile::TempDir;

use super::{Instance, Place, Settings};

/// The fleet's whole range; far above the IDs that the callers make up.
const MASTER_RANGE: (u64, u64) = (1_000_000_000, 2_000_000_000);

/// A server of which no instance runs yet.
pub(super) struct Site {
    /// One for each instance; the first is the master's.
    pub(super) places: Vec<Place>,
    keys: KeyRing,
    folder: Arc<TempDir>,
}

impl Site {
    /// Makes a server of `count` instances.
    ///
    /// # Errors
    /// `count` is 0, or the folder for temporary files takes nothing.
    pub(super) fn found(
        count: usize,
        settings: Settings,
        servers: &[ServerName],
        key: [u8; 32],
    ) -> anyhow::Result<Self> {
        let folder = Arc::new(tempfile::tempdir()?);
        let ports = free_ports(count)?;
        let place = |port: &u16| Place {
            port: *port,
            folder: folder.path().into(),
            ports: ports.clone(),
            servers: servers.into(),
            settings,
        };
        let places: Vec<_> = ports.iter().map(place).collect();
        let master = places.first().context("a server without an instance")?;
        let config = master.config();
        KeyRing::create(&config.key_file, key)?;
        std::fs::create_dir_all(&config.state_dir)?;
        let range =
            IdRange::from_numbers(MASTER_RANGE.0, MASTER_RANGE.1).context("the master's range is empty")?;
        drop(Ledger::init_master(&config.master_range_file(master.port), range)?);
        Ok(Self { places, keys: KeyRing::new([key]), folder })
    }

    /// Starts the instance at one of the places, run by `command`, to which only the arguments are added that tell this program to be it.
    /// It may not listen yet.
    pub(super) fn spawn(&self, place: &Place, mut command: Command) -> anyhow::Result<Instance> {
        let mut process = command
            .arg("serve-instance")
            .args(place.arguments())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("the instance cannot be started")?;
        let said = BufReader::new(process.stdout.take().context("the instance has no standard output")?);
        let (keys, folder) = (self.keys.clone(), Arc::clone(&self.folder));
        Ok(Instance { process, said, port: place.port, keys, folder })
    }
}

/// The keys of the server in `folder`.
pub(crate) fn keys(folder: &Path) -> anyhow::Result<KeyRing> {
    Ok(KeyRing::read(&folder.join("fleet.key"))?)
}

/// A port of 127.0.0.1 that was free a moment ago.
pub(crate) fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// So many, no two the same.
fn free_ports(count: usize) -> io::Result<Vec<u16>> {
    let held: Vec<_> =
        (0..count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect::<Result<_, _>>()?;
    held.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}
