//! Two servers, each with nginx and two instances, that know each other from one configured name.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use nix::sys::signal::{Signal, kill};
use support::{Fleet, agent, get, post, text, until};

fn two_servers() -> Fleet {
    let mut fleet = Fleet::new("");
    fleet.add(Ipv4Addr::new(127, 0, 0, 2), 2);
    fleet.add(Ipv4Addr::new(127, 0, 0, 3), 2);
    fleet
}

#[test]
fn an_agent_at_one_is_found_at_every_instance_of_the_other() {
    let fleet = two_servers();
    let (here, there) = (&fleet.servers[0], &fleet.servers[1]);
    for (server, other) in [(here, there), (there, here)] {
        for port in &server.ports {
            let name = serde_json::json!([other.front.to_string()]);
            until("the other server", || (server.status(*port)?["peers"]["servers"] == name).then_some(()));
        }
    }
    let (_agent, id) = here.agent("agent", &["--echo"]);
    for port in &there.ports {
        let customer = format!("X-IWP-ProductUnivId: {id}\r\n");
        let asked = || Some(post(there.front, &format!("/client/{port}"), &customer));
        let told = until("the agent", || asked().filter(|told| get(told, "X-IWP-ResponseType").is_none()));
        assert_eq!(get(&told, "X-IWP-Host").unwrap(), here.front.to_string());
        assert!(here.ports.iter().any(|port| get(&told, "X-IWP-Port") == Some(&port.to_string())));
    }
    assert_eq!(text(&there.call(id, &["--data", "hello"])), "hello");
    // IDs of the second server come from the master at the first.
    let (_agent, other) = there.agent("agent", &["--echo"]);
    assert_ne!(id, other);
    assert_eq!(text(&here.call(other, &["--data", "hi"])), "hi");
}

#[test]
fn a_server_that_went_away_is_dropped_and_comes_back_when_it_calls() {
    let mut fleet = two_servers();
    let known = |fleet: &Fleet, count: usize| {
        let here = &fleet.servers[0];
        let all = |port: &u16| Some(here.status(*port)?["peers"]["servers"].as_array()?.len() == count);
        until("the peers", || here.ports.iter().all(|port| all(port) == Some(true)).then_some(()));
    };
    known(&fleet, 1);
    fleet.servers[1].stop();
    known(&fleet, 0);
    fleet.servers[1].start();
    known(&fleet, 1);
}

#[test]
fn an_agent_moves_silently_when_its_server_is_cut_off() {
    let fleet = two_servers();
    let (here, there) = (&fleet.servers[0], &fleet.servers[1]);
    let (_agent, id) = agent(&[here, there], &fleet.folder.path().join("agent.json"), &["--echo"]);
    let customer = format!("X-IWP-ProductUnivId: {id}\r\n");
    let asked = || Some(post(there.front, "/client", &customer));
    let told = until("the agent", || asked().filter(|told| get(told, "X-IWP-Host").is_some()));
    let (from, to) = if get(&told, "X-IWP-Host").unwrap() == here.front.to_string() {
        (here, there)
    } else {
        (there, here)
    };
    // Nobody hangs up: every process of the server just stands still, as if the packets vanished.
    let stopped = from.pids();
    for pid in &stopped {
        kill(*pid, Signal::SIGSTOP).unwrap();
    }
    let began = Instant::now();
    let parked = |port: &u16| to.status(*port).is_some_and(|status| status["agents"]["parked"] == 1);
    until("the agent", || to.ports.iter().any(parked).then_some(()));
    let took = began.elapsed();
    let answer = to.call(id, &["--data", "still there"]);
    for pid in &stopped {
        kill(*pid, Signal::SIGCONT).unwrap();
    }
    assert_eq!(text(&answer), "still there");
    // The promise is 2 s on a machine that has nothing else to do; `cargo test` keeps this one busy.
    assert!(took < Duration::from_secs(6), "{took:?}");
    println!("parked elsewhere after {took:?}");
}
