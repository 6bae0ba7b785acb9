//! The README's tour: one server, an agent, an app, and instances that come and go.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    thread,
};

use nix::sys::signal::{Signal, kill};
use support::{Fleet, Program, get, post, run, switchboard, text, until};

#[test]
fn echo_and_forward() {
    let fleet = Fleet::of_one("");
    let server = &fleet.servers[0];
    let (_agent, id) = server.agent("echo", &["--echo"]);
    assert_eq!(text(&server.call(id, &["--data", "hello"])), "hello");
    let file = server.folder.join("body");
    let body: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
    fs::write(&file, &body).unwrap();
    assert_eq!(server.call(id, &["--data", &format!("@{}", file.display())]).stdout, body);

    let service = LocalService::start();
    let (_agent, id) = server.agent("forward", &["--forward", &service.url]);
    let reply =
        text(&server.call(id, &["--method", "PUT", "--path", "/a?b=c", "-H", "X-Own: d", "--data", "hello"]));
    assert!(reply.starts_with("PUT /a?b=c HTTP/1.1\n"), "{reply}");
    assert!(reply.to_ascii_lowercase().contains("x-own: d\n") && reply.ends_with("\n\nhello"), "{reply}");
    assert!(!reply.to_ascii_lowercase().contains("x-iwp-"), "{reply}");
    let missing = server.call(id, &["--method", "GET", "--path", "/missing"]);
    assert_eq!(missing.status.code(), Some(1));
}

/// A web service beside the agent: it answers with the request it got; `/missing` is 404.
struct LocalService {
    url: String,
}

impl LocalService {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                thread::spawn(move || {
                    let mut reader = BufReader::new(stream);
                    let mut request = String::new();
                    let mut length = 0;
                    loop {
                        let mut line = String::new();
                        if reader.read_line(&mut line).unwrap_or(0) == 0 {
                            return;
                        }
                        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                            length = value.trim().parse().unwrap();
                        }
                        request.push_str(&line.replace('\r', ""));
                        if line == "\r\n" {
                            break;
                        }
                    }
                    let mut body = vec![0; length];
                    reader.read_exact(&mut body).unwrap();
                    let status = if request.contains(" /missing ") { "404 Not Found" } else { "200 OK" };
                    let answer = format!("{request}{}", String::from_utf8(body).unwrap());
                    write!(
                        reader.get_mut(),
                        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{answer}",
                        answer.len()
                    )
                    .unwrap();
                });
            }
        });
        Self { url }
    }
}

#[test]
fn nothing_is_lost_when_instances_stop_or_die() {
    let mut fleet = Fleet::of_one("");
    let server = &mut fleet.servers[0];
    let (_agent, id) = server.agent("agent", &["--echo"]);
    for signal in [Signal::SIGTERM, Signal::SIGKILL, Signal::SIGTERM, Signal::SIGKILL] {
        let at = located(server, id).unwrap();
        let ended = server.pid(at);
        kill(ended, signal).unwrap();
        if signal == Signal::SIGKILL {
            // What runs on it is lost; it is dead when nobody answers there, or somebody else.
            until("its death", || {
                let answers =
                    server.status(at).is_some_and(|status| status["pid"] == i64::from(ended.as_raw()));
                (!answers).then_some(())
            });
        }
        // At once, in the middle of it.
        for number in 0..5 {
            let data = format!("{signal} {number}");
            assert_eq!(text(&server.call(id, &["--data", &data])), data);
        }
        // It is started again. Until then, while it drains, it answers as well.
        until("both instances", || {
            let ready = |port: &u16| server.status(*port).is_some_and(|status| status["state"] == "ready");
            (server.ports.iter().all(ready) && server.pid(at) != ended).then_some(())
        });
    }
}

/// The port where the fleet finds an agent.
fn located(server: &support::Server, id: u64) -> Option<u16> {
    let answer = post(server.front, "/client", &format!("X-IWP-ProductUnivId: {id}\r\n"));
    get(&answer, "X-IWP-Port")?.parse().ok()
}

#[test]
fn instances_and_servers_are_added_on_the_fly() {
    let mut fleet = Fleet::of_one("");
    let (_agent, id) = fleet.servers[0].agent("agent", &["--echo"]);
    let third = support::free_port(std::net::Ipv4Addr::LOCALHOST);
    fleet.servers[0].ports.push(third);
    fleet.configure(0);
    let reloaded = run(&["reload", "--config", &fleet.servers[0].config()]);
    assert!(reloaded.status.success(), "{reloaded:?}");
    let server = &fleet.servers[0];
    // The front's path leads to it, its siblings know it, and apps find the agent through it.
    assert!(post(server.front, &format!("/ping/{third}"), "").starts_with("HTTP/1.1 200"));
    for port in &server.ports {
        let others = server.ports.len() - 1;
        until("siblings", || {
            (server.status(*port)?["peers"]["ports"].as_array()?.len() == others).then_some(())
        });
    }
    assert_eq!(text(&server.call(id, &["--data", "a"])), "a");
    // One is taken away again.
    fleet.servers[0].ports.pop();
    fleet.configure(0);
    assert!(run(&["reload", "--config", &fleet.servers[0].config()]).status.success());
    assert!(fleet.servers[0].status(third).is_none());
    // A wrong configuration changes nothing.
    fs::write(fleet.servers[0].folder.join("fleet.toml"), "instances = []\n").unwrap();
    let refused = run(&["reload", "--config", &fleet.servers[0].config()]);
    assert!(!refused.status.success());
    assert_eq!(text(&fleet.servers[0].call(id, &["--data", "b"])), "b");
    fleet.configure(0);

    let second = fleet.add(std::net::Ipv4Addr::new(127, 0, 0, 3), 2);
    assert_eq!(text(&second.call(id, &["--data", "from far"])), "from far");
}

#[test]
fn a_second_start_gives_no_id_twice() {
    let mut fleet = Fleet::of_one("");
    let mut given = Vec::new();
    for _ in 0..3 {
        let server = &mut fleet.servers[0];
        for _ in 0..20 {
            let answer = post(server.front, "/getuniversalid", "");
            given.extend(get(&answer, "X-IWP-ProductUnivId").map(|id| id.parse::<u64>().unwrap()));
        }
        server.stop();
        server.start();
    }
    let count = given.len();
    assert!(count >= 50, "{count} of 60 registrations got an ID");
    given.sort_unstable();
    given.dedup();
    assert_eq!(given.len(), count);
}

#[test]
fn up_ends_everything_it_started() {
    let mut fleet = Fleet::of_one("");
    let server = &mut fleet.servers[0];
    let pids = server.pids();
    assert!(pids.len() >= 5, "up, two instances, nginx with a worker: {pids:?}");
    server.stop();
    let alive = |pid: &nix::unistd::Pid| std::path::Path::new(&format!("/proc/{pid}")).exists();
    assert!(!pids.iter().any(alive));
    // Also when it is killed.
    server.start();
    let pids = server.pids();
    server.up().signal(Signal::SIGKILL);
    server.up().ended();
    until("the end of all", || (!pids.iter().any(alive)).then_some(()));
}

#[test]
fn the_demo_exchanges_requests() {
    let fleet = Fleet::of_one("");
    let server = &fleet.servers[0];
    let mut second = Program::start(switchboard(&["up", "--demo", "--config", &server.config()]));
    assert_eq!(second.ended(), Some(1));
    // Its last words may be read after its end.
    until("its last words", || (!second.said().is_empty()).then_some(()));
    assert_eq!(second.said().lines().count(), 1, "{}", second.said());
    drop(fleet);
    let mut fleet = Fleet::new("");
    fleet.add(std::net::Ipv4Addr::LOCALHOST, 2);
    fleet.servers[0].stop();
    let mut demo = Program::start(switchboard(&["up", "--demo", "--config", &fleet.servers[0].config()]));
    demo.says("exchanges, the last took");
    demo.signal(Signal::SIGINT);
    assert_eq!(demo.ended(), Some(0), "{}", demo.said());
}

#[test]
fn a_fleet_changes_its_key_without_losing_anyone() {
    let fleet = Fleet::of_one("[timeouts]\nagent = 1");
    let server = &fleet.servers[0];
    let (_agent, id) = server.agent("agent", &["--echo"]);
    let state = server.folder.join("agent.json");
    let token = || {
        let state: serde_json::Value = serde_json::from_str(&fs::read_to_string(&state).unwrap()).unwrap();
        state["token"].as_str().unwrap().to_owned()
    };
    let (key, old_token) = (server.folder.join("fleet.key"), token());
    let old = fs::read_to_string(&key).unwrap();
    let new = format!("{}\n", "ab".repeat(32));
    for keys in [format!("{old}{new}"), format!("{new}{old}"), new.clone()] {
        if keys == new {
            until("a new token", || (token() != old_token).then_some(()));
        }
        // In place, so that the file stays its owner's alone.
        fs::write(&key, keys).unwrap();
        let reloaded = run(&["reload", "--config", &server.config()]);
        assert!(reloaded.status.success(), "{reloaded:?}");
        assert_eq!(text(&server.call(id, &["--data", "a"])), "a");
    }
}
