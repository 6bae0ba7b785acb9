//! What outlives a reload, and what must not grow with reloads.

use std::{
    fs,
    io::{Read, Write},
    thread,
    time::Duration,
};

use crate::{
    backend::Backend,
    front::Front,
    members::{hits_of, slots},
    routes::{SERVER as ROUTED, routed},
    switches::many,
};

const SERVER: &str = "location / { proxy_pass http://u; }";

fn upstream(backends: &[&Backend]) -> String {
    let servers: String = backends.iter().map(|one| format!("server {};", one.address)).collect();
    format!("upstream u {{ zone u 64k; {servers} }}")
}

/// Resident memory of a process in KiB.
pub(crate) fn resident(pid: u64) -> u64 {
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

#[test]
fn reloads_keep_who_is_there() {
    let backends = many(3);
    let (declared, gone, joined) = (&backends[0], &backends[1], &backends[2]);
    let both = [declared.address.as_str(), &gone.address];
    let front = Front::start(2, &routed(both, 2), ROUTED);
    front.moves("join", &joined.address);
    front.moves("leave", &gone.address);
    front.switch("u", &joined.address, "weight=3&state=on");
    let state = |backend: &Backend| front.status(&format!("?u=u&b={}", backend.address))["state"].clone();
    for _ in 0..3 {
        front.reload();
        assert_eq!((state(joined), state(gone), slots(&front)), ("up".into(), "left".into(), (2, 1)));
        assert_eq!(front.status(&format!("?u=u&b={}", joined.address))["weight"], 3);
        let before = gone.hits();
        assert_eq!(hits_of(&front, joined, 12), 9, "weight 3 of 4");
        assert_eq!(gone.hits(), before);
    }
    // What is declared needs no slot, and has one again when it is no longer.
    front.write(&routed([declared.address.as_str(), &joined.address], 2), ROUTED);
    front.reload();
    assert_eq!((state(joined), slots(&front)), ("up".into(), (2, 2)));
    front.write(&routed(both, 2), ROUTED);
    front.reload();
    assert_eq!((state(joined), slots(&front)), ("up".into(), (2, 1)));
    assert_eq!(state(gone), "up", "a configuration did without it: it is declared anew");
    // Too few slots are said, and no reason to fail.
    front.write(&routed(both, 0), ROUTED);
    front.reload();
    assert!(front.log().contains("1 backends had joined and find no spare slot"), "{}", front.log());
    assert_eq!(front.control("POST", &format!("?u=u&join={}", joined.address)).0, 507);
    front.assert_sound();
}

#[test]
fn orders_that_reach_an_old_worker_amid_a_reload_hold_in_the_new_ones() {
    let backends = many(4);
    let (declared, joins, leaves, off) = (&backends[0], &backends[1], &backends[2], &backends[3]);
    let http = routed([declared.address.as_str(), &leaves.address, &off.address], 2);
    let front = Front::start(1, &http, ROUTED);
    let orders = [
        format!("u=u&join={}", joins.address),
        format!("u=u&leave={}", leaves.address),
        format!("u=u&b={}&state=off", off.address),
        "lease_ms=60000".to_owned(),
    ];
    let worker = front.workers()[0];
    let old: Vec<_> = orders.iter().map(|order| (order, front.control_half("POST /status?"))).collect();
    front.begin_reload();
    for (order, (mut stream, pid)) in old {
        assert_eq!(pid, worker);
        let rest = format!("{order} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(rest.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{order}: {answer}");
    }
    front.wait_for("the old worker stays", || !front.workers().contains(&worker));
    let before = (leaves.hits(), off.hits());
    assert_eq!(hits_of(&front, joins, 20), 10);
    assert_eq!((leaves.hits(), off.hits()), before);
    let state = |backend: &Backend| front.status(&format!("?u=u&b={}", backend.address))["state"].clone();
    assert_eq!((state(joins), state(leaves), state(off)), ("up".into(), "left".into(), "off".into()));
    assert!(front.status("")["lease_ms"].as_u64().unwrap() > 30_000);
    front.assert_sound();
}
