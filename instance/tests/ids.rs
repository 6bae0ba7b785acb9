//! Customer IDs of a fleet: many instances at once, and the end of the fleet's range.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::{thread, time::Instant};

use support::{Instance, PATIENCE, Wire, free_port, free_ports, start_at, start_in};
use switchboard_fleet::config::Config;
use switchboard_range::{IdRange, Ledger};

/// Instances that start together.
const MANY: usize = 64;

#[test]
fn instances_that_start_together_get_ranges_of_their_own() {
    let ports: [u16; MANY] = free_ports();
    let all = |config: &mut Config| {
        config.server = format!("127.0.0.1:{}", ports[0]).parse().unwrap();
        config.instances = ports.into();
        config.master = config.instance_name(ports[0]);
        config.range.size = 100;
    };
    let mut instances: Vec<Instance> = thread::scope(|scope| {
        let starting = ports.map(|port| scope.spawn(move || start_at(port, all)));
        starting.map(|starting| starting.join().unwrap()).into()
    });
    for instance in &instances {
        instance.until(|status| status["ids"]["left"].as_u64().unwrap() > 0);
    }
    let mut held: Vec<IdRange> = instances.iter().flat_map(on_disk).collect();
    held.sort_unstable_by_key(|range| range.first());
    assert!(held.windows(2).all(|two| two[0].last() < two[1].first()), "two hold the same: {held:?}");
    // More than one block of each, so that the ledgers are in it too.
    let mut given: Vec<u64> =
        instances.iter().flat_map(|instance| register(&mut instance.connect(), 25)).collect();
    assert_eq!(given.len(), MANY * 25);
    given.sort_unstable();
    given.dedup();
    assert_eq!(given.len(), MANY * 25, "an ID was given twice");
    assert!(given.iter().all(|id| (1000..=999_999).contains(id)));
    instances.iter_mut().for_each(Instance::stop);
}

/// What an instance's ledger holds.
fn on_disk(instance: &Instance) -> Vec<IdRange> {
    let path = instance.folder().join(format!("var/{}/range.ledger", instance.port));
    Ledger::read_only(&path).unwrap().holdings.ranges().collect()
}

/// Calls until so many customers have an ID. Calls without one are answered all the same: the next range is on its way.
fn register(wire: &mut Wire, count: usize) -> Vec<u64> {
    let (mut given, began) = (Vec::new(), Instant::now());
    while given.len() < count {
        assert!(began.elapsed() < PATIENCE, "{} IDs of {count}", given.len());
        given.extend(call(wire));
    }
    given
}

/// The new customer's ID, if there is one.
fn call(wire: &mut Wire) -> Option<u64> {
    wire.post("/getuniversalid", "");
    let reply = wire.reply();
    assert_eq!(reply.status, 200, "{}", reply.reason());
    let id = reply.get("x-iwp-productunivid").map(|id| id.parse().unwrap());
    assert_eq!(id.is_some(), reply.get("x-iwp-token").is_some(), "an ID and its token belong together");
    id
}

/// A lone instance with the fleet's whole range from `first` to `last`, of which it fetches `size` at a time.
fn master_of(first: u64, last: u64, size: u64) -> Instance {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("master.ledger");
    drop(Ledger::init_master(&path, IdRange::from_numbers(first, last).unwrap()).unwrap());
    let start = start_in(folder, free_port(), |config| {
        config.master_range_file = Some(path);
        config.range.size = size;
    });
    start.unwrap()
}

/// IDs left at the instance, and of the fleet's range.
fn left(instance: &Instance) -> (u64, u64) {
    let ids = &instance.status()["ids"];
    (ids["left"].as_u64().unwrap(), ids["master_left"].as_u64().unwrap())
}

/// Registers until every ID from `first` to `last` has been given, and then some more.
fn use_up(first: u64, last: u64, size: u64) {
    let master = master_of(first, last, size);
    let mut wire = master.connect();
    let mut given = register(&mut wire, (last - first + 1) as usize);
    given.sort_unstable();
    assert!(given.into_iter().eq(first..=last), "each ID once, and no other");
    assert_eq!(left(&master), (0, 0));
    for _ in 0..20 {
        assert_eq!(call(&mut wire), None);
    }
    assert_eq!(left(&master), (0, 0));
}

#[test]
fn a_fleet_without_ids_answers_without_one() {
    use_up(1000, 1006, 1000);
}

#[test]
fn the_last_range_may_be_shorter_than_the_others() {
    use_up(1000, 1024, 10);
}

#[test]
fn ids_end_with_the_largest_number() {
    use_up(u64::MAX - 6, u64::MAX, 1000);
    use_up(u64::MAX - 24, u64::MAX, 10);
}

#[test]
fn a_range_may_begin_at_the_smallest_id() {
    use_up(1, 7, 3);
}
