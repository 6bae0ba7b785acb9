//! The fleet's customer IDs as an operator handles them: looked at, moved to another server, extended, repaired.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../range/tests/postgres/server.rs"]
#[allow(dead_code, reason = "written for more cases than are needed here")]
mod postgres;
mod support;

use std::{collections::BTreeSet, fs, net::Ipv4Addr, path::PathBuf, process::Output};

use support::{Fleet, Server, get, post, run, text, until};

/// New customers until there are `count`, from whichever instances the front picks.
fn register(server: &Server, count: usize, all: &mut BTreeSet<u64>) {
    for _ in 0..count {
        let id = until("an ID", || {
            let told = post(server.front, "/getuniversalid", "");
            get(&told, "X-IWP-ProductUnivId").map(|id| id.parse::<u64>().unwrap())
        });
        assert!((1000..=1_999_999).contains(&id) && all.insert(id), "{id} was given twice");
    }
}

fn range(server: &Server, arguments: &[&str]) -> Output {
    let config = server.config();
    run(&[&["range"], arguments, &["--config", &config]].concat())
}

fn refused(output: &Output, status: i32, what: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{said}");
    assert!(said.contains(what), "{said}");
}

fn ledger(server: &Server, port: u16, name: &str) -> PathBuf {
    server.folder.join(format!("var/{port}/{name}.ledger"))
}

fn cut(path: &PathBuf) {
    let whole = fs::read(path).unwrap();
    fs::write(path, &whole[..whole.len() / 2]).unwrap();
}

#[test]
fn the_master_moves_to_another_server() {
    let mut fleet = Fleet::new("[limits]\nregistrations_per_minute = 0\n[range]\nsize = 20");
    fleet.add(Ipv4Addr::new(127, 0, 0, 2), 2);
    fleet.add(Ipv4Addr::new(127, 0, 0, 3), 2);
    let (here, there) = (&fleet.servers[0], &fleet.servers[1]);
    let mut all = BTreeSet::new();
    register(here, 30, &mut all);
    register(there, 30, &mut all);
    let shown = text(&range(here, &["show"]));
    assert!(shown.contains("of 999000 left, epoch 1") && shown.contains("█"), "{shown}");

    let to = format!("{}/{}", there.front, there.ports[1]);
    refused(&range(here, &["move-master", "nonsense"]), 2, "expected SERVER/PORT");
    let moved = text(&range(here, &["move-master", &to]));
    assert!(moved.contains("never grants again") && moved.contains("port = "), "{moved}");
    refused(&range(there, &["repair", &there.ports[0].to_string(), "--master"]), 1, "has a master that runs");
    let (shown_here, shown_there) = (text(&range(here, &["show"])), text(&range(there, &["show"])));
    assert!(shown_here.contains(&format!("moved to {to}")), "{shown_here}");
    assert!(shown_there.contains("of 999000 left, epoch 2"), "{shown_there}");
    refused(&range(here, &["repair", &here.ports[0].to_string(), "--master"]), 1, "repair it there");
    for _ in 0..3 {
        register(here, 30, &mut all);
        register(there, 30, &mut all);
    }
    // All is started again, with the configuration of before.
    for server in &mut fleet.servers {
        server.stop();
    }
    for server in &mut fleet.servers {
        server.start();
    }
    let (here, there) = (&fleet.servers[0], &fleet.servers[1]);
    for _ in 0..3 {
        register(here, 30, &mut all);
        register(there, 30, &mut all);
    }
}

#[test]
fn what_cannot_be_used_is_repaired_past_all_that_was_given() {
    let mut fleet =
        Fleet::of_one("[limits]\nregistrations_per_minute = 0\n[range]\nsize = 20\nsize_max = 1000");
    let mut all = BTreeSet::new();
    register(&fleet.servers[0], 100, &mut all);
    fleet.servers[0].stop();
    let server = &fleet.servers[0];
    let [master, other] = [server.ports[0], server.ports[1]];
    let own = ledger(server, other, "range");
    cut(&own);
    cut(&ledger(server, master, "master"));
    let said = String::from_utf8(range(server, &["show"]).stderr).unwrap();
    assert_eq!(said.matches("range repair").count(), 2, "both, and what to do: {said}");
    let started = run(&["instance", "--port", &other.to_string(), "--config", &server.config()]);
    refused(&started, 1, "switchboard range repair PORT");

    refused(&range(server, &["repair", "1"]), 2, "there is no instance 1");
    let repaired = text(&range(server, &["repair", &other.to_string()]));
    assert!(repaired.contains("moved aside to") && repaired.contains("it is empty"), "{repaired}");
    let repaired = text(&range(server, &["repair", &master.to_string(), "--master"]));
    assert!(repaired.contains("epoch 2") && repaired.contains("IDs are left, all above"), "{repaired}");
    fleet.servers[0].start();
    register(&fleet.servers[0], 100, &mut all);
}

#[test]
fn a_range_is_extended_above_itself() {
    let mut fleet = Fleet::of_one("[limits]\nregistrations_per_minute = 0");
    let extend =
        |server: &Server, from: &str, to: &str| range(server, &["extend", "--from", from, "--to", to]);
    refused(&extend(&fleet.servers[0], "1000000", "1999999"), 1, "the master runs: stop it");
    fleet.servers[0].stop();
    let server = &fleet.servers[0];
    refused(&extend(server, "999999", "1999999"), 1, "may have been granted");
    refused(&extend(server, "2", "1"), 2, "is larger than");
    let said = text(&extend(server, "1000000", "1999999"));
    assert!(said.contains("1000000..1999999 among them"), "{said}");
    let shown = text(&range(server, &["show"]));
    assert!(shown.contains("of 1999000 left"), "{shown}");
    refused(&range(server, &["init", "--from", "5", "--to", "9"]), 1, "never replaced");
    fleet.servers[0].start();
    register(&fleet.servers[0], 10, &mut BTreeSet::new());
}

#[test]
fn the_range_is_a_row_in_postgresql() {
    let mut database = postgres::Server::start();
    let store = format!(
        "[limits]\nregistrations_per_minute = 0\n[range]\nsize = 20\nstore = \"{}\"",
        database.url("postgres")
    );
    let mut fleet = Fleet::new(&store);
    fleet.add(Ipv4Addr::new(127, 0, 0, 2), 2);
    fleet.add(Ipv4Addr::new(127, 0, 0, 3), 2);
    let (here, there) = (&fleet.servers[0], &fleet.servers[1]);
    let mut all = BTreeSet::new();
    register(here, 60, &mut all);
    register(there, 60, &mut all);
    let shown = text(&range(there, &["show"]));
    assert!(
        shown.contains("database") && shown.contains("of 999000 left") && !shown.contains("master"),
        "{shown}"
    );
    refused(&range(here, &["init", "--from", "5", "--to", "9"]), 1, "already");
    refused(&range(here, &["move-master", "a/1"]), 2, "there is no master to move");

    // Without the database they live on what they have; the database crashed, and is back.
    database.kill();
    register(here, 5, &mut all);
    let said = range(here, &["show"]);
    refused(&said, 1, "PostgreSQL");
    assert!(!String::from_utf8_lossy(&said.stderr).contains(postgres::PASSWORD));
    database.up();
    register(here, 60, &mut all);
    register(there, 60, &mut all);
}
