//! What a new configuration changes: the rules, without processes.

use std::collections::BTreeMap;

use switchboard_fleet::config::{Alert, Config, Front, Monitor};

/// Everything that an instance reads, as a text that changes when any of it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settings(String);

impl Settings {
    /// The settings of one instance. `files` stands for the content of the files that it reads.
    pub(super) fn of(config: &Config, files: &str) -> Self {
        let mut own = config.clone();
        // Siblings find each other; the front, the monitor and the alerts are not an instance's business.
        own.instances = Vec::new();
        (own.front, own.monitor, own.alert) = (Front::default(), Monitor::default(), Alert::default());
        Self(format!("{own:?}\n{files}"))
    }
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
        assert_ne!(settings(|config| config.admit.legacy_agents = true), same);
        assert_ne!(Settings::of(&Config::default(), "another key"), same);
    }
}
