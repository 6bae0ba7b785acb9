//! What a new configuration changes: the rules, without processes.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use switchboard_fleet::config::{Alert, Config, Front, Health, Monitor};

/// Everything that a program reads, as a text that changes when any of it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settings(String);

impl Settings {
    /// The settings of one instance. `files` stands for the content of the files that it reads.
    pub(super) fn of(config: &Config, files: &str) -> Self {
        let mut own = config.clone();
        // Siblings find each other; the front but for the others', health, the alerts, and the monitor but for its address are not an instance's business.
        (own.instances, own.health) = (Vec::new(), Health::default());
        own.front = Front { others: own.front.others, ..Front::default() };
        (own.monitor, own.alert) = (Monitor::default(), Alert::default());
        let store = config.range.store.as_ref().map(|store| hash(store.expose()));
        Self(format!("{own:?}\n{store:?} {:?} {files}", config.monitor_url()))
    }

    /// The settings of the front's controller, the same way.
    pub(super) fn of_controller(config: &Config, files: &str) -> Self {
        let own = Config {
            server: config.server.clone(),
            instances: config.instances.clone(),
            key_file: config.key_file.clone(),
            state_dir: config.state_dir.clone(),
            listen: config.listen.clone(),
            timeouts: config.timeouts.clone(),
            limits: config.limits.clone(),
            front: config.front.clone(),
            health: config.health.clone(),
            ..Config::default()
        };
        Self(format!("{own:?}\n{:?} {files}", config.monitor_url()))
    }

    /// The settings of the monitor, the same way.
    pub(super) fn of_monitor(config: &Config, files: &str) -> Self {
        let own = Config {
            server: config.server.clone(),
            instances: config.instances.clone(),
            servers: config.servers.clone(),
            key_file: config.key_file.clone(),
            state_dir: config.state_dir.clone(),
            monitor: config.monitor.clone(),
            alert: config.alert.clone(),
            ..Config::default()
        };
        let secrets = [Some(&config.alert.smtp), config.alert.dead_man.as_ref()];
        let secrets = secrets.map(|secret| secret.map(|secret| hash(secret.expose())));
        Self(format!("{own:?}\n{secrets:?} {files}"))
    }
}

/// Stands for a secret, which has no place in a text.
fn hash(secret: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    secret.hash(&mut hasher);
    hasher.finish()
}

/// What is to be done, in this order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Instances that do not run yet.
    pub(super) start: Vec<u16>,
    /// Instances that are configured no more.
    pub(super) stop: Vec<u16>,
    /// Instances whose own settings changed.
    pub(super) restart: Vec<u16>,
}

/// Compares what runs, with which settings, to what shall run.
pub(super) fn plan(running: &BTreeMap<u16, Settings>, wanted: &BTreeMap<u16, Settings>) -> Plan {
    let mut plan = Plan::default();
    for (port, settings) in wanted {
        match running.get(port) {
            None => plan.start.push(*port),
            Some(old) if old != settings => plan.restart.push(*port),
            Some(_) => {}
        }
    }
    plan.stop = running.keys().filter(|port| !wanted.contains_key(port)).copied().collect();
    plan
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(change: impl FnOnce(&mut Config)) -> Settings {
        let mut config = Config::default();
        change(&mut config);
        Settings::of(&config, "")
    }

    #[test]
    fn only_what_changed_is_touched() {
        let same = settings(|_| {});
        let other = settings(|config| config.limits.body_bytes = 1);
        let running = BTreeMap::from([(1, same.clone()), (2, same.clone()), (3, same.clone())]);
        let wanted = BTreeMap::from([(2, same.clone()), (3, other), (4, same)]);
        let expected = Plan { start: vec![4], stop: vec![1], restart: vec![3] };
        assert_eq!(plan(&running, &wanted), expected);
        assert_eq!(plan(&running, &running), Plan::default());
    }

    #[test]
    fn new_siblings_and_the_front_restart_nobody() {
        let same = settings(|_| {});
        assert_eq!(settings(|config| config.instances.push(9000)), same);
        assert_eq!(settings(|config| config.front.listen.clear()), same);
        assert_eq!(settings(|config| config.health.eject = false), same);
        assert_ne!(settings(|config| config.admit.legacy_agents = true), same);
        assert_ne!(Settings::of(&Config::default(), "another key"), same);
    }

    #[test]
    fn of_the_monitor_an_instance_needs_the_address() {
        let same = settings(|_| {});
        assert_eq!(settings(|config| config.monitor.keep_days = 1), same);
        assert_eq!(settings(|config| config.alert.to.push("a@b".into())), same);
        assert_eq!(settings(|config| config.monitor.url = Some("http://127.0.0.1:8090".into())), same);
        assert_ne!(settings(|config| config.monitor.url = Some("http://a:1".into())), same);
        assert_ne!(settings(|config| config.monitor.run = false), same);
    }

    #[test]
    fn the_controller_knows_the_front_and_its_rules() {
        let settings = |change: fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            Settings::of_controller(&config, "")
        };
        let same = settings(|_| {});
        assert_eq!(settings(|config| config.alert.to.push("a@b".into())), same);
        assert_eq!(settings(|config| config.range.size = 9), same);
        assert_ne!(settings(|config| config.instances.push(9000)), same);
        assert_ne!(settings(|config| config.health.eject = false), same);
        assert_ne!(settings(|config| config.front.spare = 9), same);
        assert_ne!(settings(|config| config.monitor.run = false), same);
    }

    #[test]
    fn the_monitor_knows_who_is_there_and_its_own_settings() {
        let settings = |change: fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            Settings::of_monitor(&config, "")
        };
        let same = settings(|_| {});
        assert_eq!(settings(|config| config.limits.body_bytes = 1), same);
        assert_eq!(settings(|config| config.front.listen.clear()), same);
        assert_ne!(settings(|config| config.instances.push(9000)), same);
        assert_ne!(settings(|config| config.monitor.keep_days = 1), same);
        assert_ne!(settings(|config| config.alert.smtp = "smtp://a:b@c".into()), same);
        assert_ne!(settings(|config| config.alert.dead_man = Some("http://a/b".into())), same);
        assert_ne!(Settings::of_monitor(&Config::default(), "another key"), same);
        let shown = format!("{:?}", settings(|config| config.alert.smtp = "smtp://a:password@c".into()));
        assert!(!shown.contains("password"));
    }
}
