//! What is wrong gets a clear status and a reason, and leaves no trace.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::time::{Duration, Instant};

use support::{Instance, Wire, agent, customer, start, token};

/// Sends bytes on a connection of their own; gives status and reason, after checking that the connection then ends
/// if it must.
fn sent(instance: &Instance, bytes: &[u8]) -> (u16, String) {
    let mut wire = instance.connect();
    wire.send(bytes);
    let reply = wire.reply();
    assert!(reply.body.is_empty());
    (reply.status, reply.reason().to_owned())
}

/// The state that a caller can change.
fn trace(instance: &Instance) -> (serde_json::Value, serde_json::Value, serde_json::Value) {
    let status = instance.status();
    (status["agents"].clone(), status["transactions"].clone(), status["locations"]["entries"].clone())
}

#[test]
fn ids_and_headers_that_are_none() {
    let instance = start(|_| {});
    let before = trace(&instance);
    let token = format!("X-IWP-Token: {}\r\n", token(5));
    let port = instance.port;
    for (id, reason) in [
        ("", "X-IWP-ProductUnivId is missing"),
        ("X-IWP-ProductUnivId: \r\n", "not a decimal number"),
        ("X-IWP-ProductUnivId: 0\r\n", "not a decimal number"),
        ("X-IWP-ProductUnivId: 5x\r\n", "not a decimal number"),
        ("X-IWP-ProductUnivId: +5\r\n", "not a decimal number"),
        ("X-IWP-ProductUnivId: -5\r\n", "not a decimal number"),
        ("X-IWP-ProductUnivId: 18446744073709551616\r\n", "not a decimal number"),
        ("X-IWP-ProductUnivId: ٥\r\n", "not visible ASCII"),
        ("X-IWP-ProductUnivId: 5\r\nX-IWP-ProductUnivId: 5\r\n", "more than once"),
        ("X-IWP-ProductUnivId: 5, 5\r\n", "not a decimal number"),
    ] {
        for path in [
            "/connect",
            &format!("/agent/{port}"),
            &format!("/agentreply/{port}"),
            "/client",
            &format!("/client/{port}"),
        ] {
            let reply = instance.post(path, &format!("{id}{token}"));
            assert_eq!(reply.status, 400, "{path} {id:?}");
            assert!(reply.reason().contains(reason), "{path} {id:?}: {}", reply.reason());
        }
    }
    let long = format!("{}X-IWP-Path: /\r\nX-IWP-Any: {}\r\n", agent(5), "x".repeat(2000));
    assert_eq!(instance.post("/connect", &long).status, 400);
    assert_eq!(trace(&instance), before);
}

#[test]
fn tokens_that_are_not_the_customers() {
    let instance = start(|_| {});
    let before = trace(&instance);
    let port = instance.port;
    for token in ["".to_owned(), format!("X-IWP-Token: {}\r\n", token(6)), "X-IWP-Token: x\r\n".to_owned()] {
        for path in ["/connect".to_owned(), format!("/agent/{port}"), format!("/agentreply/{port}")] {
            let reply = instance.post(&path, &format!("{}{token}", customer(5)));
            assert_eq!(reply.status, 401, "{path} {token:?}");
            assert!(reply.reason().contains("X-IWP-Token"));
        }
    }
    assert_eq!(trace(&instance), before);
}

#[test]
fn requests_that_are_none() {
    let instance = start(|_| {});
    let before = trace(&instance);
    let port = instance.port;
    let length = "Content-Length";
    for (request, status) in [
        (
            format!(
                "POST /ping HTTP/1.1\r\nHost: a\r\n{length}: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
            ),
            400,
        ),
        (format!("POST /ping HTTP/1.1\r\nHost: a\r\n{length}: 1\r\n{length}: 1\r\n\r\na"), 400),
        (format!("POST /ping HTTP/1.1\r\nHost: a\r\n{length}: 1\r\n{length}: 2\r\n\r\na"), 400),
        (format!("POST /ping HTTP/1.1\r\nHost: a\r\n{length}: x\r\n\r\n"), 400),
        ("POST /ping HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".to_owned(), 400),
        ("POST http://elsewhere/ping HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 400),
        ("POST //ping HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 400),
        ("POST /%70ing HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 400),
        ("POST ping HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 400),
        ("POST /nothing HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 404),
        (format!("POST /client/{} HTTP/1.1\r\nHost: a\r\n\r\n", port ^ 1), 421),
        ("GET /ping HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 405),
        ("DELETE /ping HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 405),
        ("CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 400),
        ("POST /ping HTTP/1.0\r\n\r\n".to_owned(), 505),
        ("\u{16}\u{3}\u{1}\u{0}\r\n\r\n".to_owned(), 400),
        (format!("POST /ping HTTP/1.1\r\nHost: a\r\nA: {}\r\n\r\n", "x".repeat(9000)), 431),
        (format!("POST /ping HTTP/1.1\r\nHost: a\r\n{}\r\n", "A: b\r\n".repeat(100)), 431),
        (format!("POST /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(9000)), 431),
    ] {
        let (got, reason) = sent(&instance, request.as_bytes());
        assert_eq!(got, status, "{request:.60?}: {reason}");
        assert!(!reason.is_empty(), "{request:.60?}");
        assert!(reason.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{reason:?}");
    }
    let mut wire = instance.connect();
    wire.send(b"GET /ping HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(wire.reply().get("allow"), Some("POST"));
    assert_eq!(trace(&instance), before);
}

#[test]
fn bodies_over_the_limit_stop_early() {
    let instance = start(|config| config.limits.body_bytes = 1000);
    let port = instance.port;
    let before = trace(&instance);
    // Said in the head: refused before the body comes.
    let head =
        format!("POST /client/{port} HTTP/1.1\r\nHost: a\r\n{}Content-Length: 1001\r\n\r\n", customer(5));
    let (status, reason) = sent(&instance, head.as_bytes());
    assert_eq!((status, reason.as_str()), (413, "the body is longer than allowed"));
    assert_eq!(trace(&instance), before);
    // Not said: stopped on the way, and the agent's side is cut.
    let mut poll = instance.park(5);
    let mut app = instance.ask_with(5, "Transfer-Encoding: chunked");
    app.chunk(&[0; 900]);
    poll.head();
    assert_eq!(poll.read_chunk().unwrap().len(), 900);
    app.chunk(&[0; 900]);
    assert_eq!(app.reply().status, 413);
    assert!(poll.ended());
    // A reply: the agent is told, the app gets no half of it for the whole.
    let mut poll = instance.park(5);
    let mut app = instance.ask(5);
    let request = poll.reply().get("x-iwp-requestid").unwrap().to_owned();
    let mut replier = instance.reply_with(5, &request, "Content-Length: 1001");
    assert_eq!(replier.reply().status, 413);
    assert_eq!(app.reply().status, 502);
}

#[test]
fn a_chunk_that_is_none_ends_the_transaction() {
    let instance = start(|_| {});
    let mut poll = instance.park(5);
    let mut app = instance.ask_with(5, "Transfer-Encoding: chunked");
    app.chunk(b"one");
    poll.head();
    assert_eq!(poll.read_chunk().unwrap(), b"one");
    app.send(b"zzz\r\n");
    let reply = app.reply();
    assert_eq!((reply.status, reply.reason()), (400, "the body broke off, or is malformed"));
    assert!(poll.ended());
    instance.until(|status| status["transactions"]["current"] == 0);
}

#[test]
fn pipelined_requests_are_each_looked_at() {
    let instance = start(|_| {});
    let mut wire = instance.connect();
    wire.send(b"POST /ping HTTP/1.1\r\nHost: a\r\n\r\nPOST /nothing HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(wire.reply().status, 200);
    assert_eq!(wire.reply().status, 404);
    wire.send(b"POST /ping HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(wire.reply().status, 400);
    assert!(wire.ended());
}

#[test]
fn a_dripping_head_is_cut() {
    let instance = start(|config| config.timeouts.head = Duration::from_millis(500).into());
    let mut wire = instance.connect();
    wire.stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let began = Instant::now();
    // One byte after another, never the end: the deadline counts from the first.
    for byte in b"POST /ping HTTP/1.1\r\nHost: a\r\nA: ".iter().chain(std::iter::repeat(&b'x')) {
        if std::io::Write::write_all(&mut wire.stream, &[*byte]).is_err() {
            break;
        }
        let mut answer = [0; 12];
        if std::io::Read::read(&mut wire.stream, &mut answer).is_ok_and(|got| got > 0) {
            assert_eq!(&answer, b"HTTP/1.1 408");
            break;
        }
        assert!(began.elapsed() < support::PATIENCE, "never cut");
    }
}

#[test]
fn idle_connections_are_collected_but_not_parked_ones() {
    let instance = start(|config| config.timeouts.idle = Duration::from_millis(300).into());
    let mut poll = instance.park(5);
    let mut idle = instance.connect();
    let mut used = instance.connect();
    used.post("/ping", "");
    assert_eq!(used.reply().status, 200);
    assert!(idle.ended());
    assert!(used.ended());
    let app = instance.ask(5);
    assert!(poll.reply().get("x-iwp-requestid").is_some());
    drop(app);
}

#[test]
fn a_body_that_stalls_is_cut() {
    let instance = start(|config| config.timeouts.stall = Duration::from_millis(300).into());
    let mut poll = instance.park(5);
    let mut app = instance.ask_with(5, "Content-Length: 10");
    app.send(b"12345");
    poll.head();
    assert_eq!(poll.bytes(5), b"12345");
    assert!(app.ended());
    assert!(poll.ended());
    instance.until(|status| status["transactions"]["current"] == 0);
}

#[test]
fn too_many_connections_are_refused_at_once() {
    let instance = start(|config| config.limits.connections = 20);
    let held: Vec<Wire> = (0..20).map(|_| instance.connect()).collect();
    // Connections of the start that were ending may have made room for a few more.
    let mut further: Vec<Wire> = (0..20).map(|_| instance.connect()).collect();
    let reply = further.last_mut().unwrap().reply();
    assert_eq!((reply.status, reply.reason()), (503, "too many connections"));
    drop(held);
}

#[test]
fn registrations_of_one_address_are_limited() {
    let instance = start(|config| config.limits.registrations_per_minute = 3);
    let statuses: Vec<u16> = (0..5).map(|_| instance.post("/getuniversalid", "").status).collect();
    assert_eq!(statuses, [200, 200, 200, 429, 429]);
    // Behind the front each caller has its own count.
    assert_eq!(instance.post("/getuniversalid", "X-Real-IP: 192.0.2.1\r\n").status, 200);
}

#[test]
fn too_many_waiting_apps_are_refused() {
    let instance = start(|config| config.limits.waiting_per_id = 2);
    drop(instance.park(5));
    instance.until(|status| status["agents"]["parked"] == 0);
    let waiting: Vec<Wire> = (0..3).map(|_| instance.ask(5)).collect();
    let mut statuses: Vec<u16> = Vec::new();
    for mut app in waiting {
        app.stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        if let Ok(reply) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| app.reply())) {
            statuses.push(reply.status);
        }
    }
    assert_eq!(statuses, [503]);
}

#[test]
fn a_poll_too_many_releases_the_oldest() {
    let instance = start(|config| config.limits.parked_per_id = 1);
    let mut first = instance.park(5);
    let mut second = instance.connect();
    second.post(&format!("/agent/{}", instance.port), &agent(5));
    assert_eq!(first.reply().get("x-iwp-responsetype"), Some("0"));
    let app = instance.ask(5);
    assert!(second.reply().get("x-iwp-requestid").is_some());
    drop(app);
}

#[test]
fn status_is_for_this_machine_only() {
    let instance = start(|_| {});
    let get = |headers: &str| {
        let mut wire = instance.connect();
        wire.send(format!("GET /status HTTP/1.1\r\nHost: a\r\n{headers}\r\n").as_bytes());
        wire.reply().status
    };
    assert_eq!(get(""), 200);
    assert_eq!(get("X-Real-IP: 192.0.2.1\r\n"), 404);
    let mut wire = instance.connect();
    wire.send(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    let metrics = String::from_utf8(wire.reply().body).unwrap();
    assert!(metrics.contains("\nswitchboard_agents_parked 0\n"), "{metrics}");
}

#[test]
fn junk_behind_a_request_is_never_answered_into_another_answer() {
    let instance = start(|_| {});
    let mut poll = instance.park(5);
    let mut app = instance.ask(5);
    let request = poll.reply().get("x-iwp-requestid").unwrap().to_owned();
    let mut replier = instance.reply_with(5, &request, "Content-Length: 150");
    replier.send(&[b'A'; 50]);
    let (answer, _) = app.head();
    assert_eq!((answer.status, app.bytes(50)), (200, vec![b'A'; 50]));
    app.send(b"JUNK\x01\r\n\r\n");
    replier.send(&[b'B'; 100]);
    assert_eq!(app.bytes(100), [b'B'; 100]);
    assert_eq!(app.reply().status, 400);
    assert!(app.ended());
}
