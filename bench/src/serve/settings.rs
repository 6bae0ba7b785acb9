//! What an instance under load is told: its place, and what a row needs to be different.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use switchboard_fleet::{ServerName, config::Config};

/// How many customer IDs come in a range.
const RANGE_SIZE: u64 = 1_000_000;
/// No body is too long.
const BODY_BYTES: u64 = 1 << 30;

/// Where an instance is, and with whom.
#[derive(Debug, Clone, Args)]
pub(crate) struct Place {
    /// Where it listens on 127.0.0.1.
    pub(crate) port: u16,
    /// Where the server's key and ledgers are.
    pub(crate) folder: PathBuf,
    /// All ports of its server, with commas between; the first is the master.
    #[arg(long, value_delimiter = ',', required = true)]
    pub(crate) ports: Vec<u16>,
    /// The other servers of its fleet, with commas between.
    #[arg(long, value_delimiter = ',')]
    pub(crate) servers: Vec<ServerName>,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// What rows want differently. Times in seconds.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Settings {
    /// A poll stays parked so long.
    #[arg(long)]
    pub(crate) poll_s: u64,
    /// An agent is expected back so long.
    #[arg(long)]
    pub(crate) cache_s: u64,
    /// An app waits so long before it looks again.
    #[arg(long)]
    pub(crate) client_s: u64,
    /// Connections open at a time.
    #[arg(long)]
    pub(crate) connections: usize,
    /// Apps waiting for one customer.
    #[arg(long)]
    pub(crate) waiting: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { poll_s: 60, cache_s: 10, client_s: 10, connections: 19_000, waiting: 16 }
    }
}

impl Place {
    /// What this program is started with to be the instance there.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let ports: Vec<_> = self.ports.iter().map(u16::to_string).collect();
        let Settings { poll_s, cache_s, client_s, connections, waiting } = self.settings;
        let mut arguments = vec![
            self.port.to_string(),
            self.folder.display().to_string(),
            format!("--ports={}", ports.join(",")),
            format!("--poll-s={poll_s}"),
            format!("--cache-s={cache_s}"),
            format!("--client-s={client_s}"),
            format!("--connections={connections}"),
            format!("--waiting={waiting}"),
        ];
        arguments.extend(self.servers.iter().map(|server| format!("--servers={server}")));
        arguments
    }

    /// What differs from the defaults: besides the row's wishes the limits that one caller's address would meet, and times
    /// that a slow machine would.
    pub(crate) fn config(&self) -> Config {
        let mut config = Config {
            instances: self.ports.clone(),
            servers: self.servers.clone(),
            key_file: self.folder.join("fleet.key"),
            state_dir: self.folder.join("var"),
            ..Config::default()
        };
        config.master = config.instance_name(self.ports.first().copied().unwrap_or(self.port));
        config.limits.body_bytes = BODY_BYTES;
        config.limits.connections_per_address = 0;
        config.limits.registrations_per_minute = 0;
        config.range.size = RANGE_SIZE;
        config.timeouts.drain = Duration::ZERO.into();
        let wishes = self.settings;
        config.timeouts.agent = Duration::from_secs(wishes.poll_s).into();
        config.timeouts.cache = Duration::from_secs(wishes.cache_s).into();
        config.timeouts.client = Duration::from_secs(wishes.client_s).into();
        config.limits.connections = wishes.connections;
        config.limits.waiting_per_id = wishes.waiting;
        config
    }
}
