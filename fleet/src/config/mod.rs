//! The configuration of a server and its instances: `fleet.toml`, `instance/PORT.toml` and the environment.
//!
//! Times are given in seconds (fractions allowed), sizes in bytes. Defaults are those of the sample files in
//! `conf/`, which a test loads as they stand.

mod database;
mod defaults;
mod faults;
mod files;
mod front;
mod health;
mod layers;
mod load;
mod monitor;
mod node;
mod order;
mod path;
mod ports;
mod rules;
mod seconds;
mod secret;
mod shape;

use std::{net::IpAddr, path::PathBuf};

use ipnet::IpNet;
use serde::Deserialize;

pub use database::DatabaseUrl;
pub use faults::{Fault, Faults};
pub use files::{Files, check_files};
pub use front::{Front, FrontTls, Methods, ModuleChoice, Retry};
pub use health::Health;
pub use load::{Whole, load, load_instance, load_whole};
pub use monitor::{Admin, Alert, Monitor};
pub use order::Order;
pub use seconds::Seconds;
pub use secret::Secret;

use crate::{InstanceName, ServerName};

/// Everything configured for one server, or, with `instance/PORT.toml` laid over it, for one instance.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Config {
    /// This server's public name: how clients and other servers reach its front.
    pub server: ServerName,
    /// The ports of its instances.
    pub instances: Vec<u16>,
    /// The other servers of the fleet that are known beforehand; one is enough.
    pub servers: Vec<ServerName>,
    /// The instance that owns the fleet's whole range of customer IDs.
    pub master: InstanceName,
    /// The fleet's keys.
    pub key_file: PathBuf,
    /// The folder where processes keep what must not be lost.
    pub state_dir: PathBuf,
    /// Where instances listen.
    pub listen: Listen,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// How much there may be of things.
    pub limits: Limits,
    /// Who is let in without proof.
    pub admit: Admit,
    /// How customer IDs are asked for.
    pub range: Range,
    /// The statistics line.
    pub stats: Stats,
    /// nginx.
    pub front: Front,
    /// When a backend of the front is taken out, and how it comes back.
    pub health: Health,
    /// The monitor, and where programs report.
    pub monitor: Monitor,
    /// Read by `switchboard-monitor`.
    pub alert: Alert,
    /// The instance's own ledger of customer IDs; `STATE_DIR/PORT/range.ledger` if not set.
    pub range_file: Option<PathBuf>,
    /// The ledger of the fleet's range; `STATE_DIR/PORT/master.ledger` if not set.
    pub master_range_file: Option<PathBuf>,
    /// The instance's log; standard error if not set.
    pub log_file: Option<PathBuf>,
    /// The instance's statistics lines; none are written if not set.
    pub stats_file: Option<PathBuf>,
}

/// Where instances listen.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Listen {
    /// The address of every instance's port.
    pub address: IpAddr,
    /// Direct HTTPS beside the front; usually in `instance/PORT.toml`, as each instance needs a port of its own.
    pub https: Option<Https>,
}

/// Direct HTTPS.
#[derive(Debug, Clone, Deserialize)]
pub struct Https {
    /// The port, on `listen.address`.
    pub port: u16,
    /// PEM file: the certificate, followed by its chain.
    pub certificate: PathBuf,
    /// PEM file: the private key.
    pub key: PathBuf,
}

/// How long things may take.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Timeouts {
    /// A poll stays parked so long.
    pub agent: Seconds,
    /// An agent is expected back so long.
    pub cache: Seconds,
    /// An app waits so long before it looks again.
    pub client: Seconds,
    /// The agent must begin its reply within this after the last byte of the request.
    pub no_reply: Seconds,
    /// On SIGTERM, running transactions get so long.
    pub drain: Seconds,
    /// A head must have arrived within this after its first byte.
    pub head: Seconds,
    /// A connection without a request is closed after this. Longer than nginx keeps its own idle connections (60 s),
    /// so that nginx never sends into a closing one.
    pub idle: Seconds,
    /// A body that does not move for so long is cut.
    pub stall: Seconds,
    /// A question to the rest of the fleet is answered within this or counts as "not found".
    pub lookup: Seconds,
}

/// How much there may be of things.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Bytes of a request's or reply's body.
    pub body_bytes: u64,
    /// Bytes of a request's head, request line included.
    pub header_bytes: usize,
    /// Headers of a request.
    pub headers: usize,
    /// Most bytes of one body held in memory, per direction.
    pub buffer_bytes: usize,
    /// Bytes of all heads and bodies held in memory. At this, apps' requests are refused, and what runs goes on in small pieces.
    pub buffered_bytes: usize,
    /// Open connections.
    pub connections: usize,
    /// Open connections of one address; the front's own do not count. 0: no limit.
    pub connections_per_address: usize,
    /// Polls of one customer parked at a time.
    pub parked_per_id: usize,
    /// Apps waiting for one customer at a time.
    pub waiting_per_id: usize,
    /// Registrations of one address in a minute. 0: no limit.
    pub registrations_per_minute: u32,
    /// Failures in a row after which a peer is dropped.
    pub max_instance_failed: u32,
    /// Customers whose place is remembered.
    pub locations: usize,
}

/// Who is let in without proof.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Admit {
    /// Agents without a token.
    pub legacy_agents: bool,
    /// Networks whose instances need no signature.
    pub legacy_peers: Vec<IpNet>,
}

/// How customer IDs are asked for.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Range {
    /// IDs asked for at a time, at first and at least.
    pub size: u64,
    /// IDs asked for at a time, at most: an instance whose ranges last less than 15 minutes asks for more. Also the most that
    /// a master grants at once.
    pub size_max: u64,
    /// More are asked for when this share is left, 0 to 1.
    pub refill_below: f64,
    /// In which order the IDs of a range are given.
    pub order: Order,
    /// A PostgreSQL database that holds the fleet's range instead of a master's ledger: `postgres://USER@HOST/DATABASE`.
    pub store: Option<DatabaseUrl>,
}

/// The statistics line.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Stats {
    /// How often one is written.
    pub period: Seconds,
}

impl Config {
    /// The name of the instance at `port` of this server.
    pub fn instance_name(&self, port: u16) -> InstanceName {
        InstanceName { server: self.server.clone(), port }
    }

    /// Whether the instance at `port` of this server is the fleet's master.
    pub fn is_master(&self, port: u16) -> bool {
        self.master == self.instance_name(port)
    }

    /// The folder where the instance at `port` keeps its state.
    pub fn instance_dir(&self, port: u16) -> PathBuf {
        self.state_dir.join(port.to_string())
    }

    /// The ledger of the instance at `port`.
    pub fn range_file(&self, port: u16) -> PathBuf {
        self.range_file.clone().unwrap_or_else(|| self.instance_dir(port).join("range.ledger"))
    }

    /// The ledger of the fleet's range at the instance at `port`, if that is the master or becomes it.
    pub fn master_range_file(&self, port: u16) -> PathBuf {
        self.master_range_file.clone().unwrap_or_else(|| self.instance_dir(port).join("master.ledger"))
    }
}
