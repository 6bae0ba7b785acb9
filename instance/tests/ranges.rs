//! The fleet's range of customer IDs: masters that are not the newest any more, and the move to another.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use http::{HeaderMap, HeaderValue};
use support::{Instance, KEY, free_ports, start_at, start_in};
use switchboard_fleet::{
    InstanceName, KeyRing,
    config::{Config, Order},
    header,
};
use switchboard_instance::{Call, CallError, FleetRoute, Outgoing, StartError};
use switchboard_range::{IdRange, Ledger, LedgerError, repair_instance, repair_master};
use tempfile::TempDir;

/// Instances of one server, of which the first is the configured master.
#[derive(Clone, Copy)]
struct Ports<const N: usize>([u16; N]);

impl<const N: usize> Ports<N> {
    fn free() -> Self {
        Self(free_ports())
    }

    fn config(self) -> impl Fn(&mut Config) + Copy {
        move |config| {
            config.server = format!("127.0.0.1:{}", self.0[0]).parse().unwrap();
            config.instances = self.0.into();
            config.master = config.instance_name(self.0[0]);
            config.timeouts.lookup = Duration::from_secs(1).into();
            config.range.size = 20;
        }
    }

    fn name(self, n: usize) -> InstanceName {
        InstanceName { server: format!("127.0.0.1:{}", self.0[0]).parse().unwrap(), port: self.0[n] }
    }

    fn start(self) -> [Instance; N] {
        let all = self.0.map(|port| start_at(port, self.config()));
        for instance in &all {
            instance.until(|status| status["ids"]["left"].as_u64().unwrap() > 0);
            instance.until(|status| status["peers"]["ports"].as_array().unwrap().len() == N - 1);
        }
        all
    }

    /// Has the master `from` hand the fleet's range to `to`.
    fn move_master(self, from: usize, to: usize) -> Result<HeaderMap, CallError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let calls = Outgoing::new(
            self.name(from),
            [127, 0, 0, 1].into(),
            KeyRing::new([KEY]),
            support::PATIENCE,
            false,
        );
        let mut headers = HeaderMap::new();
        headers.insert(header::TO, HeaderValue::try_from(self.name(to).to_string()).unwrap());
        let call = Call { headers, ..Call::default() };
        runtime.block_on(calls.unwrap().call_instance(&self.name(from), FleetRoute::MoveMaster, call))
    }
}

/// New customers until there are `count`.
fn register(instance: &Instance, count: usize) -> Vec<u64> {
    let mut wire = instance.connect();
    let mut given = Vec::new();
    let began = std::time::Instant::now();
    while given.len() < count {
        assert!(began.elapsed() < support::PATIENCE, "{} IDs of {count}", given.len());
        wire.post("/getuniversalid", "");
        given.extend(wire.reply().get("x-iwp-productunivid").map(|id| id.parse::<u64>().unwrap()));
    }
    given
}

fn all_different(given: impl IntoIterator<Item = u64>) {
    let mut seen = BTreeSet::new();
    for id in given {
        assert!((1000..=999_999).contains(&id), "{id} is not the fleet's");
        assert!(seen.insert(id), "{id} was given twice");
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (entry, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        if entry.is_dir() {
            copy(&entry, &to.join(name));
        } else {
            fs::copy(&entry, to.join(name)).unwrap();
        }
    }
}

fn copied(from: &Path) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy(from, folder.path());
    folder
}

fn is_older(started: Result<Instance, StartError>) -> bool {
    matches!(started.map(|_| ()), Err(StartError::Ledger(LedgerError::Older { .. })))
}

#[test]
fn a_master_from_an_older_copy_of_its_disk_does_not_start_until_it_is_repaired() {
    let ports = Ports::<2>::free();
    let [master, other] = ports.start();
    let old = copied(master.folder());
    let mut given = register(&master, 60);
    given.extend(register(&other, 60));
    drop(master.end());
    let path = old.path().join(format!("var/{}/master.ledger", ports.0[0]));
    let own = old.path().join(format!("var/{}/range.ledger", ports.0[0]));
    assert!(is_older(start_in(copied(old.path()), ports.0[0], ports.config())), "its own ledger is as old");
    repair_instance(&own, 1_800_000_000_000).unwrap();
    let refused = start_in(copied(old.path()), ports.0[0], ports.config()).err().unwrap().to_string();
    assert!(refused.contains("older than what the fleet knows"), "{refused}");
    assert!(refused.contains("switchboard range repair PORT --master"), "{refused}");
    // What a repair does: past everything that was granted, in a new epoch.
    repair_master(&path, 2, 5_000, IdRange::from_numbers(1000, 999_999).unwrap(), 1_800_000_000_000).unwrap();
    let back = start_in(old, ports.0[0], ports.config()).unwrap();
    given.extend(register(&back, 60));
    given.extend(register(&other, 60));
    all_different(given);
}

#[test]
fn a_master_that_meets_a_newer_ledger_later_grants_no_more() {
    let ports = Ports::<2>::free();
    let [master, other] = ports.start();
    let old = copied(master.folder());
    register(&other, 60);
    let mark = Ledger::read_only(&other.folder().join(format!("var/{}/range.ledger", ports.0[1])));
    assert!(mark.unwrap().known.is_some(), "what was heard of the fleet's ledger is written down");
    drop(master.end());
    // Nobody who knows better can be reached while it starts.
    let before = other.end();
    let stale = start_in(old, ports.0[0], ports.config()).unwrap();
    let granted = stale.status()["ids"]["master_left"].as_u64();
    let other = start_in(before, ports.0[1], ports.config()).unwrap();
    let status = stale.until(|status| !status["ids"]["fault"].is_null());
    assert!(status["ids"]["fault"].as_str().unwrap().contains("newer ledger"), "{status}");
    let refused = ports.move_master(0, 1).unwrap_err();
    assert!(refused.to_string().contains("nothing was changed"), "an old ledger is not handed on: {refused}");
    // The other takes nothing of it, and asks in vain.
    let mut wire = other.connect();
    for _ in 0..200 {
        wire.post("/getuniversalid", "");
        wire.reply();
    }
    assert_eq!(stale.status()["ids"]["master_left"].as_u64(), granted);
}

#[test]
fn an_instance_from_an_older_copy_of_its_disk_does_not_start() {
    let ports = Ports::<2>::free();
    let [master, other] = ports.start();
    let old = copied(other.folder());
    let path = old.path().join(format!("var/{}/range.ledger", ports.0[1]));
    let generation = Ledger::read_only(&path).unwrap().generation;
    let mut given = register(&other, 60);
    // The master hears how far it got with its goodbye at the latest.
    drop(other.end());
    assert!(is_older(start_in(copied(old.path()), ports.0[1], ports.config())));
    let salvaged = repair_instance(&path, 1_800_000_000_000).unwrap();
    assert_eq!((salvaged.record.holdings.left(), salvaged.salvage.generation), (0, generation));
    let back = start_in(old, ports.0[1], ports.config()).unwrap();
    given.extend(register(&back, 60));
    given.extend(register(&master, 60));
    all_different(given);
}

#[test]
fn an_instance_whose_ledger_was_lost_begins_anew() {
    let ports = Ports::<2>::free();
    let [master, other] = ports.start();
    let mut given = register(&other, 60);
    let folder = other.end();
    fs::remove_file(folder.path().join(format!("var/{}/range.ledger", ports.0[1]))).unwrap();
    let back = start_in(folder, ports.0[1], ports.config()).unwrap();
    given.extend(register(&back, 60));
    // Greeted again and again it is not taken for an older copy.
    back.until(|status| status["uptime_s"].as_u64().unwrap() >= 3);
    assert!(back.status()["ids"]["fault"].is_null());
    given.extend(register(&back, 60));
    given.extend(register(&master, 60));
    all_different(given);
}

#[test]
fn the_master_moves_and_the_old_one_never_grants_again() {
    let ports = Ports::<3>::free();
    let [old, new, third] = ports.start();
    let before = copied(old.folder());
    let mut given: Vec<u64> = [&old, &new, &third].into_iter().flat_map(|i| register(i, 30)).collect();
    let refused = ports.move_master(1, 2).unwrap_err();
    assert!(refused.to_string().contains("ask the master"), "{refused}");
    ports.move_master(0, 1).unwrap();
    ports.move_master(0, 1).unwrap();
    let refused = ports.move_master(0, 2).unwrap_err();
    assert!(refused.to_string().contains("has moved to"), "{refused}");
    assert!(old.status()["ids"]["master_left"].is_null());
    assert!(new.status()["ids"]["master_left"].as_u64().unwrap() > 900_000);
    given.extend([&old, &new, &third].into_iter().flat_map(|i| register(i, 60)));

    // Both start again with the configuration of before, in which the old one is the master.
    let (old, new) = (old.end(), new.end());
    let old = start_in(old, ports.0[0], ports.config()).unwrap();
    given.extend(register(&old, 10));
    let new = start_in(new, ports.0[1], ports.config()).unwrap();
    given.extend([&old, &new, &third].into_iter().flat_map(|i| register(i, 60)));

    // The old one from a disk of before the move.
    drop(old.end());
    assert!(is_older(start_in(before, ports.0[0], ports.config())));
    all_different(given);
}

#[test]
fn the_master_moves_there_and_back() {
    let ports = Ports::<2>::free();
    let [one, two] = ports.start();
    let mut given = Vec::new();
    for (from, to) in [(0, 1), (1, 0), (0, 1)] {
        ports.move_master(from, to).unwrap();
        given.extend([&one, &two].into_iter().flat_map(|i| register(i, 60)));
    }
    all_different(given);
    let folder = two.end();
    let path = folder.path().join(format!("var/{}/master.ledger", ports.0[1]));
    assert_eq!(Ledger::read_only(&path).unwrap().epoch, 4);
}

#[test]
fn a_move_that_breaks_off_is_finished_when_the_new_master_is_back() {
    let ports = Ports::<2>::free();
    let [old, new] = ports.start();
    let given = register(&old, 10);
    let gone = new.end();
    let refused = ports.move_master(0, 1).unwrap_err();
    assert!(refused.to_string().contains("nothing was changed"), "{refused}");
    assert!(old.status()["ids"]["master_left"].as_u64().is_some());
    // Sealed, and then the process ends.
    let old = old.end();
    let path = old.path().join(format!("var/{}/master.ledger", ports.0[0]));
    let mut ledger = Ledger::open(&path, switchboard_range::Kind::Master).unwrap();
    let handover = ledger.seal(&ports.name(1)).unwrap();
    drop(ledger);
    let old = start_in(old, ports.0[0], ports.config()).unwrap();
    assert!(old.status()["ids"]["master_left"].is_null());
    let new = start_in(gone, ports.0[1], ports.config()).unwrap();
    new.until(|status| {
        status["ids"]["master_left"].as_u64().is_some_and(|left| left <= handover.holdings.left())
    });
    all_different(given.into_iter().chain(register(&old, 60)).chain(register(&new, 60)));
}

#[test]
fn only_the_fleet_moves_its_master() {
    let instance = support::start(|config| config.admit.legacy_peers = vec!["127.0.0.0/8".parse().unwrap()]);
    for route in ["movemaster", "master"] {
        let path = format!("/{route}/{}", instance.port);
        let reply =
            instance.post(&path, "X-IWP-To: 127.0.0.1:9/9\r\nX-IWP-Host: 127.0.0.1:9\r\nX-IWP-Port: 9\r\n");
        assert_eq!((reply.status, reply.reason()), (401, "this call must be signed"));
    }
}

#[test]
fn scattered_ids_are_all_different_and_not_in_a_row() {
    let instance = support::start(|config| config.range.order = Order::Scattered);
    let given = register(&instance, 2_500);
    let in_a_row = given.windows(2).filter(|two| two[0].abs_diff(two[1]) == 1).count();
    assert!(in_a_row < 100, "{in_a_row}");
    all_different(given);
}

#[test]
fn the_figures_of_ids() {
    let instance = support::start(|config| config.range.size = 100);
    register(&instance, 50);
    let status = instance.until(|status| status["ids"]["per_second"].as_f64().unwrap() > 0.0);
    let ids = &status["ids"];
    assert_eq!(ids["master_whole"], 999_000);
    assert!(ids["lasts_s"].as_u64().is_some() && ids["size"].as_u64().unwrap() >= 100, "{ids}");
    assert!(ids["fault"].is_null());
}
