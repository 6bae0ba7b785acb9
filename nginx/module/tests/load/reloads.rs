//! What outlives a reload, and what must not grow with reloads.

use std::{fs, thread, time::Duration};

use crate::{backend::Backend, front::Front};

const SERVER: &str = "location / { proxy_pass http://u; }";

fn upstream(backends: &[&Backend]) -> String {
    let servers: String = backends.iter().map(|one| format!("server {};", one.address)).collect();
    format!("upstream u {{ zone u 64k; {servers} }}")
}

/// Resident memory of a process in KiB.
fn resident(pid: u64) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn counts_and_switches_outlive_reloads() {
    let (off, other) = (Backend::start(), Backend::start());
    let front = Front::start(2, &upstream(&[&off, &other]), SERVER);
    let ask = |times| (0..times).for_each(|_| assert_eq!(front.get("/200").unwrap().0, 200));
    ask(10);
    front.switch("u", &off.address, "state=off");
    front.switch("u", &other.address, "weight=4");
    let before = off.hits();
    for turn in 1..=10 {
        front.reload();
        ask(10);
        let value = front.settled("u", &other.address);
        assert_eq!((&value["weight"], &value["requests"]), (&4.into(), &(5 + 10 * turn).into()));
    }
    assert_eq!(off.hits(), before);
    assert_eq!(front.status(&format!("?u=u&b={}", off.address))["state"], "off");
    front.assert_sound();
}

#[test]
fn a_backend_that_leaves_and_comes_back_keeps_its_switch() {
    let (off, other) = (Backend::start(), Backend::start());
    let front = Front::start(1, &upstream(&[&off, &other]), SERVER);
    front.switch("u", &off.address, "state=off");
    front.write(&upstream(&[&other]), SERVER);
    (0..4).for_each(|_| front.reload());
    assert_eq!(front.control("GET", &format!("?u=u&b={}", off.address)).0, 404);
    front.write(&upstream(&[&other, &off]), SERVER);
    front.reload();
    assert_eq!(front.status(&format!("?u=u&b={}", off.address))["state"], "off");
}

#[test]
fn a_reload_that_fails_changes_nothing() {
    let backend = Backend::start();
    let front = Front::start(1, &upstream(&[&backend]), SERVER);
    front.switch("u", &backend.address, "weight=5");
    // The zone's memory is made before nginx finds that it cannot have the address.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let other = format!("switchboard_zone 1m; server {{ listen {}; }}", taken.local_addr().unwrap());
    front.write(&(upstream(&[&backend]) + &other), SERVER);
    Front::signal("HUP", front.master().into());
    let start = std::time::Instant::now();
    while !front.log().contains("still could not bind") {
        assert!(start.elapsed() < Duration::from_secs(20), "{}", front.log());
        thread::sleep(Duration::from_millis(5));
    }
    // A worker started now has what the master has.
    let worker = front.workers()[0];
    Front::signal("KILL", worker);
    while front.workers().is_empty() || front.workers().contains(&worker) {
        thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(front.get("/200").unwrap().0, 200);
    let value = front.settled("u", &backend.address);
    assert_eq!((&value["weight"], &value["requests"]), (&5.into(), &1.into()));
}

#[test]
fn nothing_grows_with_reloads() {
    let (one, two) = (Backend::start(), Backend::start());
    let front = Front::start(2, &upstream(&[&one, &two]), SERVER);
    let mut seen = Vec::new();
    for turn in 1..=200 {
        front.switch("u", &one.address, ["state=off", "state=on", "state=config"][turn % 3]);
        front.reload();
        (0..5).for_each(|_| assert_eq!(front.get("/200").unwrap().0, 200));
        if turn % 50 == 0 {
            let workers = front.workers().into_iter().map(resident).max().unwrap();
            seen.push((turn, resident(front.master().into()), workers));
        }
    }
    println!("(reloads, master KiB, greatest worker KiB): {seen:?}");
    let (first, last) = (seen[0], seen[seen.len() - 1]);
    assert!(last.1 < first.1 + 1024 && last.2 < first.2 + 1024, "{seen:?}");
    assert_eq!(front.status("")["records"]["used"], 3);
    front.assert_sound();
}
