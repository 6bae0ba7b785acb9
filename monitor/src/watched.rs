//! Who is watched, as configured. Pure.

use std::collections::BTreeSet;

use switchboard_fleet::{config::Config, report::WorkerKind};
use switchboard_journal::Standing;

/// What the configuration says of workers.
#[derive(Debug, Clone)]
pub(crate) struct Watched {
    own: String,
    instances: BTreeSet<u16>,
    programs: BTreeSet<String>,
}

/// How a batch proves who sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    /// By the fleet's signature.
    Signed,
    /// It comes from this machine.
    Local,
}

impl Watched {
    /// The workers of a configuration.
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            own: config.server.as_str().into(),
            instances: config.instances.iter().copied().collect(),
            programs: config.monitor.workers.iter().cloned().collect(),
        }
    }

    /// This monitor's own name.
    pub(crate) fn monitor(&self) -> String {
        format!("{}/monitor", self.own)
    }

    /// Whether a worker counts as the fleet's: the key proves it, or the configuration names it.
    pub(crate) fn standing(&self, name: &str, proof: Proof) -> Standing {
        let named = self.programs.contains(name) || self.is_of_own_server(name);
        if named || proof == Proof::Signed { Standing::Known } else { Standing::Unknown }
    }

    /// The workers that are expected although they were never heard of.
    pub(crate) fn expected(&self) -> impl Iterator<Item = (String, WorkerKind)> {
        let instances =
            self.instances.iter().map(|port| (format!("{}/{port}", self.own), WorkerKind::Instance));
        instances.chain(self.programs.iter().map(|name| (name.clone(), WorkerKind::Program)))
    }

    /// Whether somebody is to be told when a worker of the fleet falls silent. Not of this monitor, which could not tell it, nor of an
    /// instance that was taken out of this server's configuration.
    pub(crate) fn is_watched(&self, name: &str, kind: WorkerKind) -> bool {
        if name == self.monitor() {
            return false;
        }
        let own_instance = kind == WorkerKind::Instance && self.server_of(name) == self.own;
        !own_instance || self.port(name).is_some_and(|port| self.instances.contains(&port))
    }

    /// The server of a worker.
    pub(crate) fn server_of<'a>(&'a self, name: &'a str) -> &'a str {
        server_of(name, &self.own)
    }

    fn is_of_own_server(&self, name: &str) -> bool {
        let rest = name.strip_prefix(&self.own).unwrap_or_default();
        matches!(rest, "/front" | "/controller" | "/monitor")
            || self.port(name).is_some_and(|port| self.instances.contains(&port))
    }

    fn port(&self, name: &str) -> Option<u16> {
        let text = name.strip_prefix(&self.own)?.strip_prefix('/')?;
        // One name for each instance: not `+8081`, not `08081`.
        text.parse().ok().filter(|port: &u16| port.to_string() == text)
    }
}

/// The server of a worker: what stands before the last `/` of its name; `own`, the monitor's, if there is none.
pub(crate) fn server_of<'a>(name: &'a str, own: &'a str) -> &'a str {
    name.rsplit_once('/').map_or(own, |(server, _)| server)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched() -> Watched {
        let mut config = Config { servers: vec!["us.example.net".parse().unwrap()], ..Config::default() };
        config.monitor.workers = vec!["backup".into()];
        Watched::new(&config)
    }

    #[test]
    fn the_key_or_the_configuration_makes_a_worker_known() {
        let watched = watched();
        for name in ["127.0.0.1:8080/8081", "127.0.0.1:8080/front", "127.0.0.1:8080/controller", "backup"] {
            assert_eq!(watched.standing(name, Proof::Local), Standing::Known, "{name}");
        }
        for name in
            ["127.0.0.1:8080/9999", "127.0.0.1:8080/x", "127.0.0.1:80801", "asia.example.net/1", "cron", "/"]
        {
            assert_eq!(watched.standing(name, Proof::Local), Standing::Unknown, "{name}");
            assert_eq!(watched.standing(name, Proof::Signed), Standing::Known, "{name}");
        }
    }

    #[test]
    fn what_was_taken_out_is_not_watched_and_nor_is_the_monitor_itself() {
        let watched = watched();
        assert!(watched.is_watched("127.0.0.1:8080/8081", WorkerKind::Instance));
        assert!(watched.is_watched("us.example.net/7", WorkerKind::Instance));
        assert!(watched.is_watched("us.example.net/monitor", WorkerKind::Monitor));
        assert!(watched.is_watched("127.0.0.1:8080/controller", WorkerKind::Controller));
        assert!(!watched.is_watched("127.0.0.1:8080/8083", WorkerKind::Instance));
        assert!(!watched.is_watched("127.0.0.1:8080/monitor", WorkerKind::Monitor));
        let expected: Vec<String> = watched.expected().map(|(name, _)| name).collect();
        assert_eq!(expected, ["127.0.0.1:8080/8081", "127.0.0.1:8080/8082", "backup"]);
    }

    #[test]
    fn servers_of_names() {
        assert_eq!(server_of("https://eu.example.net/8081", "own"), "https://eu.example.net");
        assert_eq!(server_of("backup", "own"), "own");
    }
}
