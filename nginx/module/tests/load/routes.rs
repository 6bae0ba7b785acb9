//! Requests that mean one backend.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    thread,
};

use crate::{backend::Backend, front::Front, switches::many};

pub(crate) const SERVER: &str = "proxy_http_version 1.1; proxy_set_header Connection \"\";
location = /refusal { return 200 \"[$switchboard_refusal]\"; }
location / { proxy_pass http://u; }";

/// An upstream whose requests mean the port in `?port=`, with so many spare slots.
pub(crate) fn routed<'a>(servers: impl IntoIterator<Item = &'a str>, slots: usize) -> String {
    let servers: String = servers.into_iter().map(|one| format!("server {one};")).collect();
    let slots: String = (1..=slots).map(|number| format!("server 0.0.0.1:{number} down;")).collect();
    format!("upstream u {{ zone u 4m; switchboard_route $arg_port; {servers} {slots} keepalive 16; }}")
}

fn ask(front: &Front, port: &str) -> u16 {
    front.get(&format!("/200?port={port}")).unwrap().0
}

fn refusal(front: &Front, port: &str) -> String {
    front.get(&format!("/refusal?port={port}")).unwrap().1
}

/// An address where nobody listens.
pub(crate) fn nobody() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[test]
fn a_port_means_its_backend_and_no_port_means_any() {
    let backends = many(3);
    let front = Front::start(2, &routed(backends.iter().map(|one| one.address.as_str()), 4), SERVER);
    for backend in &backends {
        (0..20).for_each(|_| assert_eq!(ask(&front, backend.port()), 200));
        assert_eq!(backend.hits(), 20);
    }
    (0..30).for_each(|_| assert_eq!(ask(&front, ""), 200));
    assert_eq!(backends.iter().map(Backend::hits).collect::<Vec<_>>(), [30, 30, 30]);
    for odd in ["1", "0", "99999", "x", "%20", &format!("0{}", backends[0].port()), "184467440737095516160"] {
        assert_eq!(ask(&front, odd), 502, "{odd}");
    }
    let value = front.status("");
    let upstream = &value["upstreams"][0];
    assert_eq!((&upstream["route"], &upstream["slots"]["free"]), (&true.into(), &4.into()));
    assert_eq!(upstream["backends"].as_array().unwrap().len(), 3, "spare slots are no backends");
    for backend in upstream["backends"].as_array().unwrap() {
        assert_eq!((&backend["requests"], &backend["connections"]), (&30.into(), &0.into()), "{backend}");
        assert_eq!((&backend["slot"], &backend["share"]), (&false.into(), &100.into()));
    }
    front.assert_sound();
}

#[test]
fn who_is_out_of_the_rotation_is_reached_by_its_port_unless_off_or_gone() {
    let backends = many(2);
    let (one, two) = (&backends[0], &backends[1]);
    let front = Front::start(2, &routed(backends.iter().map(|one| one.address.as_str()), 1), SERVER);
    let only_two = || {
        let before = (one.hits(), two.hits());
        (0..10).for_each(|_| assert_eq!(ask(&front, ""), 200));
        assert_eq!((one.hits(), two.hits()), (before.0, before.1 + 10));
    };
    front.lease(60_000);
    for (order, state) in [("state=drain", "drain"), ("state=config", "up"), ("share=0", "out")] {
        assert_eq!(front.switch("u", &one.address, order)["state"], state);
        assert_eq!(ask(&front, one.port()), 200, "{order}");
        if state != "up" {
            only_two();
        }
        assert_eq!(refusal(&front, one.port()), "[]", "{order}");
    }
    front.switch("u", &one.address, "share=100");
    assert_eq!(front.switch("u", &one.address, "state=off")["state"], "off");
    assert_eq!((ask(&front, one.port()), refusal(&front, one.port())), (502, "[switched-off]".into()));
    only_two();
    front.switch("u", &one.address, "state=config");
    assert_eq!(ask(&front, one.port()), 200);
    assert_eq!(front.moves("leave", &one.address)["state"], "left");
    assert_eq!((ask(&front, one.port()), refusal(&front, one.port())), (502, "[unknown-port]".into()));
    only_two();
    assert_eq!(front.moves("join", &one.address)["state"], "up");
    assert_eq!(ask(&front, one.port()), 200);
    front.assert_sound();
}

#[test]
fn who_failed_is_reached_by_its_port() {
    let (one, two) = (Backend::start(), Backend::start());
    let strict = format!("{} max_fails=1 fail_timeout=60s", one.address);
    let front = Front::start(1, &routed([strict.as_str(), &two.address], 0), SERVER);
    assert_eq!(front.get(&format!("/close?port={}", one.port())).unwrap().0, 502);
    assert_eq!(front.settled("u", &one.address)["state"], "unavailable");
    assert_eq!(ask(&front, one.port()), 200);
}

#[test]
fn why_a_request_is_refused_is_said() {
    let backends = many(2);
    let front = Front::start(2, &routed(backends.iter().map(|one| one.address.as_str()), 1), SERVER);
    assert_eq!((refusal(&front, ""), refusal(&front, backends[0].port())), ("[]".into(), "[]".into()));
    assert_eq!(refusal(&front, "1"), "[unknown-port]", "a slot's own number is no backend");
    front.switch("u", &backends[0].address, "state=off");
    assert_eq!(
        (refusal(&front, ""), refusal(&front, backends[0].port())),
        ("[]".into(), "[switched-off]".into())
    );
    front.switch("u", &backends[1].address, "state=drain");
    let seen = (refusal(&front, ""), refusal(&front, backends[1].port()));
    assert_eq!(seen, ("[none-in-rotation]".into(), "[]".into()));
    assert_eq!(ask(&front, ""), 502);
    front.moves("join", "127.0.0.1:9");
    assert_eq!(refusal(&front, ""), "[]", "a slot is in the rotation now");
}

#[test]
fn without_a_route_nothing_is_refused() {
    let backend = Backend::start();
    let front = Front::start(1, &format!("upstream u {{ zone u 64k; server {}; }}", backend.address), SERVER);
    assert_eq!(refusal(&front, "1"), "[]");
    let upstream = &front.status("?u=u");
    assert_eq!((&upstream["route"], &upstream["slots"]), (&false.into(), &serde_json::Value::Null));
}

#[test]
fn a_dead_backend_is_tried_once_and_no_other() {
    let (dead, alive) = (nobody(), Backend::start());
    for servers in [vec![dead.as_str()], vec![dead.as_str(), &alive.address]] {
        let front = Front::start(1, &routed(servers, 0), SERVER);
        let port = dead.rsplit(':').next().unwrap();
        for turn in 1..=3 {
            assert_eq!(ask(&front, port), 502);
            let value = front.settled("u", &dead);
            assert_eq!((&value["requests"], &value["connect_errors"]), (&turn.into(), &turn.into()));
            assert_eq!(value["connections"], 0);
        }
    }
    assert_eq!(alive.hits(), 0);
}

#[test]
fn a_kept_connection_that_was_closed_is_made_anew_to_the_same_backend() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let other = Backend::start();
    // Each connection is good for one answer; the next request on it is met with the end.
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(stream);
            for turn in 0..2 {
                let mut line = String::new();
                while line != "\r\n" {
                    line.clear();
                    if reader.read_line(&mut line).unwrap_or(0) == 0 {
                        break;
                    }
                }
                if turn == 0 {
                    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n";
                    reader.get_mut().write_all(answer).unwrap();
                }
            }
        }
    });
    let front = Front::start(1, &routed([address.as_str(), &other.address], 0), SERVER);
    let port = address.rsplit(':').next().unwrap();
    (0..5).for_each(|_| assert_eq!(ask(&front, port), 200));
    let value = front.settled("u", &address);
    assert_eq!((&value["stale"], &value["answered"], &value["failures"]), (&4.into(), &5.into(), &0.into()));
    assert_eq!(other.hits(), 0);
}

#[test]
fn requests_that_wait_by_design_are_counted_and_not_timed() {
    let backend = Backend::start();
    let http = format!("upstream u {{ server {}; switchboard_untimed $arg_wait; }}", backend.address);
    let front = Front::start(1, &http, SERVER);
    for wait in ["", "0", "1", "yes"] {
        assert_eq!(front.get(&format!("/200?wait={wait}")).unwrap().0, 200);
    }
    let value = front.settled("u", &backend.address);
    let seen = ["header", "response", "connect"].map(|name| value[name]["count"].as_u64());
    assert_eq!(seen, [2, 2, 4].map(Some), "{value}");
    assert_eq!(
        (&value["requests"], &value["answered"], &value["responses"]["2xx"]),
        (&4.into(), &4.into(), &4.into())
    );
}

#[test]
fn what_a_configuration_cannot_say_is_said() {
    let route = "switchboard_route $arg_port;";
    let cases = [
        (
            format!(
                "upstream a {{ {route} server 127.0.0.1:1; }} upstream b {{ {route} server 127.0.0.1:1; }}"
            ),
            "another upstream",
        ),
        (format!("upstream a {{ {route} {route} server 127.0.0.1:1; }}"), "twice"),
        (format!("upstream a {{ server 127.0.0.1:1; keepalive 2; {route} }}"), "before \"keepalive\""),
        (format!("upstream a {{ least_conn; {route} server 127.0.0.1:1; }}"), "load balancing method"),
        (format!("upstream a {{ {route} least_conn; server 127.0.0.1:1; }}"), "load balancing method"),
        ("upstream a { switchboard_route 80; server 127.0.0.1:1; }".to_owned(), "wants a variable"),
        ("upstream a { switchboard_untimed 1; server 127.0.0.1:1; }".to_owned(), "wants a variable"),
        (
            "upstream a { switchboard_untimed $a; switchboard_untimed $a; server 127.0.0.1:1; }".to_owned(),
            "twice",
        ),
    ];
    for (http, says) in cases {
        let fault = Front::fault(&http);
        assert!(fault.contains(says), "{http}: {fault}");
    }
}
