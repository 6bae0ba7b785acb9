//! Backends that come and go without a reload.

use std::{io::Write, time::Instant};

use crate::{
    backend::Backend,
    front::Front,
    routes::{SERVER, nobody, routed},
    switches::{many, under_load},
};

pub(crate) fn slots(front: &Front) -> (u64, u64) {
    let value = front.status("?u=u");
    (value["slots"]["all"].as_u64().unwrap(), value["slots"]["free"].as_u64().unwrap())
}

pub(crate) fn hits_of(front: &Front, backend: &Backend, requests: usize) -> u64 {
    let before = backend.hits();
    (0..requests).for_each(|_| assert_eq!(front.get("/200").unwrap().0, 200));
    backend.hits() - before
}

#[test]
fn who_joins_gets_requests_and_who_leaves_gets_none() {
    let backends = many(3);
    let (declared, one, two) = (&backends[0], &backends[1], &backends[2]);
    let front = Front::start(2, &routed([declared.address.as_str()], 1), SERVER);
    assert_eq!(hits_of(&front, one, 10), 0);
    let value = front.moves("join", &one.address);
    assert_eq!(
        (&value["state"], &value["slot"], &value["address"]),
        (&"up".into(), &true.into(), &one.address.as_str().into())
    );
    assert_eq!(front.moves("join", &one.address)["state"], "up", "again is fine");
    assert_eq!(hits_of(&front, one, 20), 10);
    assert_eq!(front.settled("u", &one.address)["requests"], 10);
    assert_eq!(slots(&front), (1, 0));
    let (status, value) = front.control("POST", &format!("?u=u&join={}", two.address));
    assert_eq!(status, 507, "{value}");
    assert_eq!(hits_of(&front, two, 10), 0);

    assert_eq!(front.moves("leave", &one.address)["state"], "left");
    assert_eq!(hits_of(&front, one, 10), 0);
    assert_eq!(slots(&front), (1, 1));
    assert_eq!(front.control("GET", &format!("?u=u&b={}", one.address)).0, 404);
    assert_eq!(front.control("POST", &format!("?u=u&leave={}", one.address)).0, 404);
    let value = front.moves("join", &two.address);
    assert_eq!(
        (&value["requests"], &value["bytes_sent"]),
        (&0.into(), &0.into()),
        "what another did is not shown"
    );
    assert_eq!(hits_of(&front, two, 10), 5);
    front.moves("leave", &two.address);
    assert_eq!(front.moves("join", &one.address)["requests"], 15, "its own is");
    front.assert_sound();
}

#[test]
fn a_slot_is_free_when_the_last_request_there_has_ended() {
    let backends = many(2);
    let (one, two) = (&backends[0], &backends[1]);
    let front = Front::start(1, &routed(["127.0.0.1:9 down"], 1), SERVER);
    front.moves("join", &one.address);
    let mut caller = front.connect();
    caller.write_all(b"GET /stall HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    front.wait_for("the request does not come", || one.hits() == 1);
    let value = front.moves("leave", &one.address);
    assert_eq!((&value["state"], &value["in_flight"]), (&"left".into(), &1.into()));
    assert_eq!(front.status(&format!("?u=u&b={}", one.address))["state"], "left");
    assert_eq!(slots(&front), (1, 0));
    assert_eq!(front.control("POST", &format!("?u=u&join={}", two.address)).0, 507);
    assert_eq!(front.moves("join", &one.address)["state"], "up", "it may come back meanwhile");
    front.moves("leave", &one.address);
    drop(caller);
    front.wait_for("the slot stays busy", || slots(&front) == (1, 1));
    assert_eq!(front.moves("join", &two.address)["in_flight"], 0);
    assert_eq!(front.get("/200").unwrap().0, 200);
    front.assert_sound();
}

#[test]
fn no_request_is_lost_while_backends_come_and_go() {
    let (declared, others) = (Backend::start(), many(6));
    let front = Front::start(4, &routed([declared.address.as_str()], 12), SERVER);
    let mut rounds = 0;
    while rounds < 300 {
        rounds += under_load(&front, 10_000, |turn| {
            let (comes, goes) = (&others[turn % 6], &others[(turn + 4) % 6]);
            front.moves("join", &comes.address);
            let _ = front.control("POST", &format!("?u=u&leave={}", goes.address));
        });
    }
    let all = others.iter().map(Backend::hits).sum::<u64>();
    assert!(all > 1_000, "{all} requests for those who joined");
    for backend in &others {
        front.wait_for("no slot becomes free", || {
            front.control("POST", &format!("?u=u&join={}", backend.address)).0 == 200
        });
        let value = front.settled("u", &backend.address);
        let seen = value["requests"].as_u64().unwrap() - value["stale"].as_u64().unwrap();
        assert_eq!(seen, backend.hits(), "{value}");
        front.moves("leave", &backend.address);
    }
    println!("{rounds} rounds, {all} requests at backends that came and went, none lost");
}

#[test]
fn a_thousand_join_and_leave() {
    let front = Front::start(2, &routed(["127.0.0.1:9"], 1000), SERVER);
    let address = |net: u32, at: u32| format!("127.{net}.{}.{}:8081", at / 250, at % 250 + 1);
    for net in 1..=2 {
        let start = Instant::now();
        (0..1000).for_each(|at| assert_eq!(front.moves("join", &address(net, at))["requests"], 0));
        let joined = start.elapsed();
        assert_eq!(slots(&front), (1000, 0));
        assert_eq!(front.control("POST", "?u=u&join=127.9.9.9:1").0, 507);
        let times = (0..20).map(|_| {
            let start = Instant::now();
            assert_eq!(front.status("")["upstreams"][0]["backends"].as_array().unwrap().len(), 1001);
            start.elapsed()
        });
        let read = times.min().unwrap();
        front.reload();
        assert_eq!(slots(&front), (1000, 0));
        let start = Instant::now();
        (0..1000).for_each(|at| assert_eq!(front.moves("leave", &address(net, at))["state"], "left"));
        println!("1000 joined in {joined:?}, left in {:?}; asked and parsed in {read:?}", start.elapsed());
        assert_eq!(slots(&front), (1000, 1000));
    }
    front.assert_sound();
}

#[test]
fn a_killed_worker_does_not_break_later_joins() {
    let (declared, others) = (Backend::start(), many(4));
    let front = Front::start(2, &routed([declared.address.as_str()], 4), SERVER);
    for turn in 0..20 {
        let backend = &others[turn % 4];
        front.moves("join", &backend.address);
        let mut caller = front.connect();
        caller.write_all(b"GET /stall HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let killed = front.workers()[turn % 2];
        Front::signal("KILL", killed);
        front.wait_for("no new worker", || front.workers().len() == 2 && !front.workers().contains(&killed));
        front.moves("leave", &backend.address);
        assert_eq!(front.moves("join", &backend.address)["state"], "up");
        front.wait_for("it gets no requests", || {
            front.get(&format!("/200?port={}", backend.port())).is_some_and(|(status, _)| status == 200)
        });
        front.moves("leave", &backend.address);
    }
    assert!(!front.log().contains("exited on signal 11") && !front.log().contains("exited on signal 6"));
}

#[test]
fn who_cannot_join_is_told_why() {
    let backend = Backend::start();
    let address = &backend.address;
    let http = format!(
        "upstream v {{ zone v 64k; server {address}; }} upstream u {{ switchboard_route $arg_port; server {address}; server 0.0.0.1:1 down; }}"
    );
    let front = Front::start(1, &http, SERVER);
    for (query, status) in [
        ("?u=u&join=127.0.0.1:1", 409),
        ("?u=v&join=127.0.0.1:1", 409),
        ("?u=v&leave=127.0.0.1:1", 409),
        ("?u=w&join=127.0.0.1:1", 404),
        ("?u=u&join=0.0.0.1:1", 400),
        ("?join=127.0.0.1:1", 400),
        ("?u=v&share=1", 400),
        ("?share=1", 400),
        ("?u=v", 400),
        ("?lease_ms=60001", 400),
        ("?u=v&lease_ms=1", 400),
        ("?u=v&b=x&share=1", 404),
    ] {
        assert_eq!(front.control("POST", query).0, status, "{query}");
    }
    assert_eq!(front.control("GET", "?lease_ms=1").0, 405);
    assert_eq!(front.control("GET", "?u=u&join=127.0.0.1:1").0, 405);
    assert_eq!(front.status("?u=u")["slots"], serde_json::Value::Null, "without a zone there are none");
}

#[test]
fn hostile_questions_change_nothing() {
    let backend = Backend::start();
    let front = Front::start(1, &routed([backend.address.as_str()], 2), SERVER);
    let long = "9".repeat(5_000);
    let odd = [
        "%",
        "%00",
        "%ff",
        "&&&",
        "=",
        "u=u&join=",
        "u=u&join=%00",
        "u=u&join=1.2.3.4:5%00",
        "u=u&join=[::1]",
        "u=u&join=1:2:3",
        "u=%75&join=::",
        "lease_ms=-1",
        "lease_ms=1e3",
        "u=u&leave=0.0.0.1:1",
        "u=u&b=0.0.0.1:1&state=on",
        "u=u&b=0.0.0.1:1&share=5",
        &long,
    ];
    for query in odd {
        for name in ["", "u=", "join=", "u=u&join=", "u=u&leave=", "lease_ms=", "share=", "u=u&b="] {
            let (status, value) = front.control("POST", &format!("?{name}{query}"));
            assert!((400..500).contains(&status), "{name}{query}: {status} {value}");
        }
    }
    assert_eq!(slots(&front), (2, 2));
    assert_eq!(front.get("/200").unwrap().0, 200);
    front.assert_sound();
}

#[test]
fn addresses_of_both_kinds_take_turns_in_a_slot() {
    let backend = Backend::start();
    let front = Front::start(1, &routed([nobody().as_str()], 1), SERVER);
    for address in
        ["[2001:db8:1234:5678:9abc:def0:1234:5678]:65535", &backend.address, "[::1]:9", &backend.address]
    {
        assert_eq!(front.moves("join", address)["address"], address);
        let port = address.rsplit(':').next().unwrap();
        let expected = if *address == *backend.address { 200 } else { 502 };
        if !address.contains("2001") {
            assert_eq!(front.get(&format!("/200?port={port}")).unwrap().0, expected, "{address}");
        }
        front.reload();
        assert_eq!(front.status(&format!("?u=u&b={address}"))["state"], "up");
        front.moves("leave", address);
    }
    front.assert_sound();
}
