//! The front under load, with the module and its controller: nothing is lost, whatever is done to backends.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::{
    fs,
    io::{Read, Write},
    net::Ipv4Addr,
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use support::{
    Fleet, Program, Server,
    front::{CALLERS, Load},
    run, switchboard, text, until,
};

/// Rules of health that do not let a test wait.
const QUICK: &str =
    "[health]\ncheck_every = 0.2\ncheck_within = 0.4\ncool_off = 1\ncool_off_max = 2\nslow_start = 1\n";

/// One server with so many instances, whose nginx has the module.
fn fleet(instances: usize) -> Fleet {
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/module/ngx_http_switchboard_module.so");
    assert!(module.is_file(), "{} is not there: `make module`", module.display());
    let mut fleet = Fleet::new(QUICK);
    fleet.front = format!("module = {module:?}\n");
    fleet.add(Ipv4Addr::LOCALHOST, instances);
    fleet
}

/// What is known of one backend.
fn backend(server: &Server, port: u16) -> Option<Value> {
    support::front::backend(&server.folder, port)
}

fn is(server: &Server, port: u16, state: &str) {
    support::front::is(&server.folder, port, state);
}

fn front(server: &Server, arguments: &[&str]) -> String {
    text(&run(&[&["front"], arguments, &["--config", &server.config()]].concat()))
}

/// The process of the controller.
fn controller(server: &Server) -> Pid {
    let is_it = |pid: &Pid| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.windows(9).any(|part| part == b"\0control\0")
    };
    until("the controller", || server.pids().into_iter().find(is_it))
}

/// nginx's workers: others after a reload.
fn workers(server: &Server) -> Vec<Pid> {
    let is_worker = |pid: &Pid| {
        fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(b"nginx: worker process"))
    };
    server.pids().into_iter().filter(is_worker).collect()
}

/// No reload has taken place since nginx had these workers.
fn stays(server: &Server, before: &[Pid]) {
    let now = workers(server);
    assert!(!before.is_empty() && before.iter().all(|pid| now.contains(pid)), "{before:?} became {now:?}");
}

#[test]
fn nothing_is_lost_while_everything_is_changed() {
    let fleet = fleet(3);
    let server = &fleet.servers[0];
    let [first, second, third] = server.ports[..] else { panic!() };
    server.ports.iter().for_each(|port| is(server, *port, "up"));
    let before = workers(server);
    let load = Load::start(server.front);
    load.goes_on(500);

    for round in 0..10 {
        let away = if round % 2 == 0 { "off" } else { "drain" };
        let said = front(server, &[away, &first.to_string(), "--why", "a test"]);
        assert!(said.contains("2 of 3 backends in service"), "{said}");
        assert_eq!(backend(server, first).unwrap()["switch"]["why"], "a test");
        let had = backend(server, first).unwrap()["requests"].as_u64().unwrap();
        load.goes_on(200);
        let has = backend(server, first).unwrap()["requests"].as_u64().unwrap();
        assert_eq!(had, has, "a request came to a backend that is {away}");
        front(server, &["on", &first.to_string()]);
        front(server, &["weight", &second.to_string(), if round % 2 == 0 { "20" } else { "100" }]);
        load.goes_on(200);
    }
    stays(server, &before);

    // Reloads keep what was switched.
    front(server, &["off", &third.to_string()]);
    for _ in 0..3 {
        front(server, &["apply"]);
        let had = backend(server, third).unwrap()["requests"].as_u64().unwrap();
        load.goes_on(200);
        assert_eq!(backend(server, third).unwrap()["requests"].as_u64().unwrap(), had);
    }
    assert!(workers(server).iter().all(|pid| !before.contains(pid)));
    front(server, &["on", &third.to_string()]);
    is(server, third, "up");

    // So does the death of the controller.
    front(server, &["drain", &second.to_string(), "--why", "it outlives its controller"]);
    let ended = controller(server);
    kill(ended, Signal::SIGKILL).unwrap();
    load.goes_on(500);
    until("another controller", || (controller(server) != ended).then_some(()));
    let kept = until("the table", || backend(server, second));
    assert_eq!(
        (&kept["state"], &kept["switch"]["why"]),
        (&json!("draining"), &json!("it outlives its controller"))
    );
    front(server, &["on", &second.to_string()]);

    // An instance that ends in peace, and is started again.
    let pid = server.pid(first);
    kill(pid, Signal::SIGTERM).unwrap();
    until("another process", || {
        (server.status(first)?["pid"].as_i64()? != i64::from(pid.as_raw())).then_some(())
    });
    is(server, first, "up");
    load.goes_on(500);
    let (asked, failed) = load.end();
    assert!(failed.is_empty(), "{} of {asked} failed: {failed:?}", failed.len());
}

#[test]
fn only_what_runs_on_a_killed_instance_is_lost() {
    let fleet = fleet(3);
    let server = &fleet.servers[0];
    server.ports.iter().for_each(|port| is(server, *port, "up"));
    let load = Load::start(server.front);
    for port in &server.ports {
        load.goes_on(500);
        let pid = server.pid(*port);
        kill(pid, Signal::SIGKILL).unwrap();
        load.goes_on(500);
        until("another process", || {
            (server.status(*port)?["pid"].as_i64()? != i64::from(pid.as_raw())).then_some(())
        });
        is(server, *port, "up");
    }
    let (asked, failed) = load.end();
    // For each kill: what each caller had there, and one more that nginx sent before it saw that the connection was closed.
    assert!(
        failed.len() <= server.ports.len() * CALLERS * 2,
        "{} of {asked} failed: {failed:?}",
        failed.len()
    );
    assert!(failed.iter().all(|why| why == "status 502"), "{failed:?}");
}

#[test]
fn an_instance_comes_and_goes_without_a_reload() {
    let mut fleet = fleet(2);
    let before = workers(&fleet.servers[0]);
    let load = Load::start(fleet.servers[0].front);
    let port = support::free_port(Ipv4Addr::LOCALHOST);
    fleet.servers[0].ports.push(port);
    fleet.configure(0);
    let server = &fleet.servers[0];
    assert!(run(&["reload", "--config", &server.config()]).status.success());
    until("requests at the new one", || {
        let backend = backend(server, port)?;
        (backend["state"] == "up" && backend["requests"].as_u64()? > 100).then_some(())
    });
    assert!(support::post(server.front, &format!("/ping/{port}"), "").starts_with("HTTP/1.1 200"));
    stays(server, &before);

    // Written down for nginx's next start too.
    let written = fs::read_to_string(server.folder.join("var/front/nginx.conf")).unwrap();
    assert!(written.contains(&format!("server 127.0.0.1:{port} ")), "{written}");

    fleet.servers[0].ports.pop();
    fleet.configure(0);
    let server = &fleet.servers[0];
    assert!(run(&["reload", "--config", &server.config()]).status.success());
    until("its end", || {
        support::post(server.front, &format!("/ping/{port}"), "").starts_with("HTTP/1.1 404").then_some(())
    });
    load.goes_on(500);
    stays(server, &before);
    let (asked, failed) = load.end();
    assert!(failed.is_empty(), "{} of {asked} failed: {failed:?}", failed.len());
}

#[test]
fn an_instance_that_hangs_is_taken_out_and_comes_back() {
    let fleet = fleet(3);
    let server = &fleet.servers[0];
    let port = server.ports[0];
    is(server, port, "up");
    let pid = server.pid(port);
    kill(pid, Signal::SIGSTOP).unwrap();
    is(server, port, "ejected");
    let why = backend(server, port).unwrap()["why"].as_str().unwrap().to_owned();
    assert!(why.contains("checks"), "{why}");
    // Nobody waits for it any more.
    let load = Load::start(server.front);
    load.goes_on(300);
    kill(pid, Signal::SIGCONT).unwrap();
    is(server, port, "up");
    load.goes_on(300);
    let (asked, failed) = load.end();
    assert!(failed.is_empty(), "{} of {asked} failed: {failed:?}", failed.len());
}

#[test]
fn without_its_controller_nginx_counts_by_itself_again() {
    let fleet = fleet(2);
    let server = &fleet.servers[0];
    let port = server.ports[0];
    until("the lease", || (backend(server, port)?["max_fails"] == 0).then_some(()));
    // Frozen: `up` does not start another.
    let pid = controller(server);
    kill(pid, Signal::SIGSTOP).unwrap();
    let shown = || {
        let mut stream = UnixStream::connect(server.folder.join("run/front.sock")).ok()?;
        stream.write_all(b"GET /backends HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        serde_json::from_str::<Value>(answer.split_once("\r\n\r\n")?.1).ok()
    };
    let began = std::time::Instant::now();
    until("nginx's own counting", || {
        let shown = shown()?;
        let backends =
            shown["upstreams"].as_array()?.iter().find(|one| one["name"] == "instances")?["backends"].clone();
        let all = backends.as_array()?.iter().all(|backend| backend["max_fails"] == 3);
        (shown["lease_ms"] == 0 && all).then_some(())
    });
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    kill(pid, Signal::SIGCONT).unwrap();
    until("the lease again", || (backend(server, port)?["max_fails"] == 0).then_some(()));
}

#[test]
fn the_last_one_goes_by_force_only_and_comes_back_by_itself() {
    let fleet = fleet(2);
    let server = &fleet.servers[0];
    let [first, second] = server.ports[..] else { panic!() };
    server.ports.iter().for_each(|port| is(server, *port, "up"));
    front(server, &["off", &first.to_string()]);
    let refused = run(&["front", "off", &second.to_string(), "--config", &server.config()]);
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("last one") && said.lines().count() == 1, "{said}");
    front(server, &["drain", &second.to_string(), "--force", "--until", "1m"]);
    let answer = support::post(server.front, "/ping", "");
    assert_eq!(support::get(&answer, "X-IWP-Reason"), Some("no instance is in rotation"), "{answer}");
    let until_ms = backend(server, second).unwrap()["switch"]["until_ms"].as_u64();
    assert!(until_ms.is_some());
    front(server, &["on", &first.to_string()]);
    assert!(support::post(server.front, "/ping", "").starts_with("HTTP/1.1 200"));
    let audit = fs::read_to_string(server.folder.join("var/front/audit.log")).unwrap();
    assert!(audit.lines().count() >= 4 && audit.contains("\"done\":false"), "{audit}");
    for unknown in ["9", "127.0.0.9:8081"] {
        assert_eq!(run(&["front", "off", unknown, "--config", &server.config()]).status.code(), Some(1));
    }
}

#[test]
fn an_instance_started_by_hand_is_in_the_front_while_it_runs() {
    let mut fleet = fleet(2);
    let port = support::free_port(Ipv4Addr::LOCALHOST);
    let before = workers(&fleet.servers[0]);
    // Its configuration has it; that of the running controller does not.
    fleet.servers[0].ports.push(port);
    fleet.configure(0);
    let server = &fleet.servers[0];
    let mut instance =
        Program::start(switchboard(&["instance", "--port", &port.to_string(), "--config", &server.config()]));
    instance.says("listening on");
    is(server, port, "up");
    until("an answer", || {
        support::post(server.front, &format!("/ping/{port}"), "").starts_with("HTTP/1.1 200").then_some(())
    });
    instance.signal(Signal::SIGTERM);
    assert_eq!(instance.ended(), Some(0));
    until("its end", || {
        support::post(server.front, &format!("/ping/{port}"), "").starts_with("HTTP/1.1 404").then_some(())
    });
    stays(server, &before);
}
