//! The defaults: those of `conf/fleet.toml`, which a test compares with these.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::{
    Admit, Alert, Config, Front, Health, Limits, Listen, Methods, ModuleChoice, Monitor, Order, Range, Retry,
    Seconds, Stats, Timeouts,
};
use crate::{InstanceName, ServerName};

#[allow(clippy::expect_used, reason = "a constant of this file, parsed by every test")]
fn default_server() -> ServerName {
    "127.0.0.1:8080".parse().expect("the default server name is valid")
}

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

impl Default for Config {
    fn default() -> Self {
        Self {
            server: default_server(),
            instances: vec![8081, 8082],
            servers: Vec::new(),
            master: InstanceName { server: default_server(), port: 8081 },
            key_file: "fleet.key".into(),
            state_dir: "var".into(),
            listen: Listen::default(),
            timeouts: Timeouts::default(),
            limits: Limits::default(),
            admit: Admit::default(),
            range: Range::default(),
            stats: Stats::default(),
            front: Front::default(),
            health: Health::default(),
            monitor: Monitor::default(),
            alert: Alert::default(),
            range_file: None,
            master_range_file: None,
            log_file: None,
            stats_file: None,
        }
    }
}

impl Default for Listen {
    fn default() -> Self {
        Self { address: LOOPBACK, https: None }
    }
}

impl Default for Timeouts {
    /// The first four are the original service's.
    fn default() -> Self {
        Self {
            agent: Seconds::from_secs(15),
            cache: Seconds::from_secs(10),
            client: Seconds::from_secs(10),
            no_reply: Seconds::from_secs(30),
            drain: Seconds::from_secs(30),
            head: Seconds::from_secs(10),
            idle: Seconds::from_secs(75),
            stall: Seconds::from_secs(60),
            lookup: Seconds::from_secs(2),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 32 << 20,
            header_bytes: 8192,
            headers: 64,
            buffer_bytes: 65536,
            buffered_bytes: 256 << 20,
            connections: 19_000,
            connections_per_address: 1000,
            parked_per_id: 16,
            waiting_per_id: 16,
            registrations_per_minute: 60,
            max_instance_failed: 5,
            locations: 900_000,
        }
    }
}

impl Default for Range {
    fn default() -> Self {
        Self { size: 1000, size_max: 100_000, refill_below: 0.1, order: Order::Sequential, store: None }
    }
}

impl Default for Stats {
    fn default() -> Self {
        Self { period: Seconds::from_secs(60) }
    }
}

impl Default for Front {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::new(LOOPBACK, 8080)],
            control: "run/front.sock".into(),
            tls: None,
            module: ModuleChoice::Auto,
            spare: 16,
            retry: Retry::default(),
            share: None,
            follow: None,
            others: Vec::new(),
        }
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            on: ["error", "timeout"].map(Into::into).into(),
            methods: Methods::Idempotent,
            tries: 3,
            within: Seconds::from_secs(10),
        }
    }
}

impl Default for Monitor {
    fn default() -> Self {
        let all = ["1h", "3h", "6h", "12h", "1day", "3day", "7day", "1m"];
        let charts = [("S", &all[2..3]), ("M", &all[..])];
        let charts =
            charts.map(|(size, periods)| (size.into(), periods.iter().map(|p| (*p).into()).collect()));
        Self {
            run: true,
            listen: SocketAddr::new(LOOPBACK, 8090),
            url: None,
            page: None,
            archives: "var/archives".into(),
            charts: charts.into(),
            workers: Vec::new(),
            keep_days: 400,
            refresh_ms: 1000,
            admins: Vec::new(),
        }
    }
}

impl Default for Alert {
    fn default() -> Self {
        Self {
            down_after: Seconds::from_secs(360),
            cpu_over: 0.9,
            threshold: 0.3,
            grace_period: Seconds::from_secs(1800),
            from: "Switchboard <switchboard@example.net>".into(),
            to: Vec::new(),
            smtp: "smtp://localhost:25".into(),
            dead_man: None,
        }
    }
}
