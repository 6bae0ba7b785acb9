//! What is counted, against what was done.

use std::{
    io::Write,
    net::{SocketAddr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{backend::Backend, front::Front};

const ENDS: [&str; 10] = [
    "answered",
    "client_closed",
    "stale",
    "connect_errors",
    "connect_timeouts",
    "read_timeouts",
    "write_timeouts",
    "no_answer",
    "bad_answer",
    "cut",
];

const PROXY: &str = "proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_next_upstream off;
proxy_read_timeout 200ms; proxy_connect_timeout 200ms;
location / { proxy_buffering off; proxy_pass http://u; }
location /buffered/ { proxy_buffering on; proxy_pass http://u; }";

fn one(address: &str) -> Front {
    Front::start(2, &format!("upstream u {{ zone u 64k; server {address} max_fails=0; }}"), PROXY)
}

/// The counters of how attempts ended that are not 0, in order; every attempt must have ended in one way.
fn ends(value: &Value) -> Vec<(&'static str, u64)> {
    let all: Vec<_> = ENDS.iter().map(|name| (*name, value[name].as_u64().unwrap())).collect();
    assert_eq!(
        all.iter().map(|(_, count)| count).sum::<u64>(),
        value["requests"].as_u64().unwrap(),
        "{value}"
    );
    all.into_iter().filter(|(_, count)| *count > 0).collect()
}

#[test]
fn answers_are_counted_by_class_and_status() {
    let backend = Backend::start();
    let front = one(&backend.address);
    for (path, times) in
        [("/200", 7), ("/301", 2), ("/404", 3), ("/500", 4), ("/502", 1), ("/503", 5), ("/504", 6)]
    {
        for _ in 0..times {
            assert_eq!(front.get(path).unwrap().0.to_string(), path[1..]);
        }
    }
    let value = front.settled("u", &backend.address);
    let responses = &value["responses"];
    let seen =
        ["2xx", "3xx", "4xx", "5xx", "500", "502", "503", "504", "499"].map(|name| responses[name].as_u64());
    assert_eq!(seen, [7, 2, 3, 16, 4, 1, 5, 6, 0].map(Some), "{value}");
    assert_eq!(ends(&value), [("answered", 28)]);
    assert_eq!(value["failures"], 16);
    assert_eq!(value["last_failure"]["why"], "answered 504");
    assert_eq!((&value["response"]["count"], &value["header"]["count"]), (&28.into(), &28.into()));
    assert_eq!(value["connect"]["count"], 28, "without keepalive every request connects");
    assert!(value["bytes_sent"].as_u64().unwrap() > 28 * 30, "{value}");
    assert!(value["bytes_received"].as_u64().unwrap() > 28 * 30, "{value}");
    front.assert_sound();
}

#[test]
fn each_way_to_fail_has_its_counter() {
    // What is asked for, its counter, and whether a caller sees that the body is not whole.
    let cases = [
        ("/close", "no_answer", "closed without an answer"),
        ("/bad", "bad_answer", "the head of its answer was broken"),
        ("/slow", "read_timeouts", "nothing came in time"),
        ("/stall", "read_timeouts", "nothing came in time"),
        ("/buffered/stall", "read_timeouts", "nothing came in time"),
        ("/cut", "cut", "closed in the middle of the body"),
        ("/buffered/cut", "cut", "closed in the middle of the body"),
        ("/cut-chunked", "cut", "closed in the middle of the body"),
        ("/buffered/cut-chunked", "cut", "closed in the middle of the body"),
    ];
    for (path, counter, why) in cases {
        let backend = Backend::start();
        let front = one(&backend.address);
        let _ = front.get(path);
        let value = front.settled("u", &backend.address);
        assert_eq!(ends(&value), [(counter, 1)], "{path}: {value}");
        assert_eq!((&value["failures"], &value["last_failure"]["why"]), (&1.into(), &why.into()), "{path}");
        front.assert_sound();
    }
}

#[test]
fn a_body_that_ends_with_the_connection_is_whole() {
    for path in ["/until-close", "/buffered/until-close"] {
        let backend = Backend::start();
        let front = one(&backend.address);
        assert!(front.get(path).unwrap().1.contains("0123456789"));
        assert_eq!(ends(&front.settled("u", &backend.address)), [("answered", 1)], "{path}");
    }
}

#[test]
fn a_backend_that_is_not_there_is_a_connect_error() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let front = one(&nobody);
    assert_eq!(front.get("/").unwrap().0, 502);
    let value = front.settled("u", &nobody);
    assert_eq!(ends(&value), [("connect_errors", 1)]);
    assert_eq!(value["connect"]["count"], 0);
}

#[test]
fn a_backend_that_does_not_accept_is_a_connect_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    // Whoever comes now waits for a place in the queue.
    let mut queue = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
        queue.push(stream);
        assert!(queue.len() < 10_000);
    }
    let front = one(&address.to_string());
    assert_eq!(front.get("/").unwrap().0, 504);
    assert_eq!(ends(&front.settled("u", &address.to_string())), [("connect_timeouts", 1)]);
}

#[test]
fn a_caller_that_leaves_is_no_failure_of_the_backend() {
    let backend = Backend::start();
    let proxy = PROXY.replace("proxy_read_timeout 200ms", "proxy_read_timeout 60s");
    let http = format!("upstream u {{ zone u 64k; server {}; }}", backend.address);
    let front = Front::start(2, &http, &proxy);
    let mut caller = front.connect();
    caller.write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let start = Instant::now();
    while backend.hits() == 0 {
        assert!(start.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(front.status(&format!("?u=u&b={}", backend.address))["in_flight"], 1);
    drop(caller);
    let value = front.settled("u", &backend.address);
    assert_eq!(ends(&value), [("client_closed", 1)]);
    assert_eq!((&value["responses"]["499"], &value["failures"]), (&1.into(), &0.into()));
}

#[test]
fn an_upstream_named_by_a_variable_is_counted() {
    let backend = Backend::start();
    let http =
        format!("upstream u {{ zone u 64k; server {}; }} map $uri $there {{ default u; }}", backend.address);
    let front = Front::start(1, &http, "location / { proxy_pass http://$there; }");
    assert_eq!(front.get("/200").unwrap().0, 200);
    assert_eq!(ends(&front.settled("u", &backend.address)), [("answered", 1)]);
}

#[test]
fn a_retried_request_counts_at_both_backends() {
    let (first, second) = (Backend::start(), Backend::start());
    let http = format!(
        "upstream u {{ zone u 64k; server {} max_fails=0; server {} backup; }}",
        first.address, second.address
    );
    let server = "location / { proxy_next_upstream http_503; proxy_pass http://u; }";
    let front = Front::start(1, &http, server);
    assert_eq!(front.get("/503").unwrap().0, 503);
    for backend in [&first, &second] {
        let value = front.settled("u", &backend.address);
        assert_eq!((&value["responses"]["503"], backend.hits()), (&1.into(), 1), "{value}");
    }
    front.switch("u", &first.address, "state=off");
    front.switch("u", &second.address, "state=off");
    assert_eq!(front.get("/200").unwrap().0, 502);
    assert_eq!(front.status("?u=u")["no_live"], 1);
    assert_eq!((first.hits(), second.hits()), (1, 1));
}

#[test]
fn kept_connections_are_not_connected_twice() {
    let backend = Backend::start();
    let http = format!("upstream u {{ zone u 64k; server {}; keepalive 4; }}", backend.address);
    let front = Front::start(1, &http, PROXY);
    (0..20).for_each(|_| assert_eq!(front.get("/200").unwrap().0, 200));
    let value = front.settled("u", &backend.address);
    assert_eq!((&value["connect"]["count"], &value["response"]["count"]), (&1.into(), &20.into()));
    assert_eq!(ends(&value), [("answered", 20)]);
}

#[test]
fn all_workers_count_into_one_number() {
    let (backend, other) = (Backend::start(), Backend::start());
    let http = format!("upstream u {{ zone u 64k; server {}; server {}; }}", backend.address, other.address);
    let front = Front::start(4, &http, PROXY);
    (0..400).for_each(|_| assert_eq!(front.get("/200").unwrap().0, 200));
    let mut workers = std::collections::HashSet::new();
    for _ in 0..60 {
        let all: Value = serde_json::from_str(&front.get("/status").unwrap().1).unwrap();
        workers.insert(all["pid"].as_u64().unwrap());
        let counts = all["upstreams"][0]["backends"].as_array().unwrap();
        assert_eq!(counts.iter().map(|one| one["requests"].as_u64().unwrap()).sum::<u64>(), 400);
        assert_eq!((&counts[0]["requests"], &counts[1]["requests"]), (&200.into(), &200.into()));
    }
    assert!(workers.len() > 1, "only one worker was asked");
    assert_eq!((backend.hits(), other.hits()), (200, 200));
}

#[test]
fn every_upstream_is_shown_and_questions_are_answered() {
    let (named, bare) = (Backend::start(), Backend::start());
    let http = format!("upstream u {{ zone u 64k; server {0}; server {0}; }}", named.address);
    let server = format!(
        "location / {{ proxy_pass http://u; }} location /bare {{ proxy_pass http://{}; }}",
        bare.address
    );
    let front = Front::start(1, &http, &server);
    assert_eq!(front.get("/bare").unwrap().0, 200);
    let all = front.status("");
    let seen: Vec<_> =
        all["upstreams"].as_array().unwrap().iter().map(|one| (&one["name"], &one["implicit"])).collect();
    assert!(seen.contains(&(&"u".into(), &false.into())), "{all}");
    assert!(seen.contains(&(&bare.address.as_str().into(), &true.into())), "{all}");
    assert_eq!(front.status("?u=u")["backends"].as_array().unwrap().len(), 1, "one address is one backend");
    let implicit = front.status(&format!("?u={0}&b={0}", bare.address));
    assert_eq!((&implicit["requests"], &implicit["state"]), (&1.into(), &"up".into()));

    for (query, status, words) in [
        ("?u=nothing", 404, "there is no upstream nothing"),
        ("?u=u&b=1.2.3.4:5", 404, "there is no backend 1.2.3.4:5 in upstream u"),
        ("?b=1.2.3.4:5", 400, "b=ADDRESS needs u=NAME"),
        ("?state=off", 405, "POST"),
        ("?u=%22%0a%00", 404, "\"\n\0"),
    ] {
        let (seen, value) = front.control("GET", query);
        assert_eq!(seen, status, "{query}");
        assert!(value["error"].as_str().unwrap().contains(words), "{query}: {value}");
    }
    let (head, nothing) = (front.control("DELETE", ""), front.get("/status?u=nothing").unwrap());
    assert_eq!((head.0, nothing.0), (405, 404));
}

#[test]
fn a_zone_too_small_counts_what_it_can_and_carries_everything() {
    let backend = Backend::start();
    let servers: String = (0..200).map(|n| format!("server 127.0.1.{}:9 down;", n + 1)).collect();
    let http =
        format!("switchboard_zone 64k; upstream u {{ zone u 512k; {servers} server {}; }}", backend.address);
    let front = Front::start(1, &http, PROXY);
    assert_eq!(front.get("/200").unwrap().0, 200);
    let all = front.status("");
    assert!(all["records"]["unrecorded"].as_u64().unwrap() > 100, "{}", all["records"]);
    assert!(front.log().contains("switchboard_zone is full"));
    let (status, value) = front.control("POST", &format!("?u=u&b={}&state=off", backend.address));
    assert_eq!(status, 507, "{value}");
    assert_eq!(front.get("/200").unwrap().0, 200);
    front.assert_sound();
}
