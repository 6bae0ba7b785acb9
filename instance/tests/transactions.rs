//! Agents and apps, as `docs/protocol.md` has them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::{io::Read, time::Duration};

use support::{Framed, agent, customer, start};

#[test]
fn ping_and_registration() {
    let instance = start(|_| {});
    let ping = instance.post("/ping", "");
    assert_eq!((ping.status, ping.body.len()), (200, 0));
    instance.until(|status| status["ids"]["left"].as_u64().unwrap() > 0);
    let ids: Vec<u64> = (0..300)
        .map(|_| {
            let reply = instance.post("/getuniversalid", "");
            let id = reply.get("x-iwp-productunivid").unwrap().parse().unwrap();
            assert_eq!(reply.get("x-iwp-token").unwrap(), support::token(id));
            id
        })
        .collect();
    let mut unique = ids.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), ids.len());
}

#[test]
fn a_transaction_from_end_to_end() {
    let instance = start(|_| {});
    let port = instance.port;
    let connected = instance.post("/connect", &agent(5));
    assert_eq!(connected.get("x-iwp-port").unwrap(), port.to_string());
    let mut poll = instance.park(5);
    let located = instance.post("/client", &customer(5));
    assert_eq!(located.get("x-iwp-host").unwrap(), format!("127.0.0.1:{port}"));
    assert_eq!(located.get("x-iwp-port").unwrap(), port.to_string());

    let mut app = instance.connect();
    let headers = "X-IWP-Path: /a\r\nX-Custom: b\r\nConnection: X-Secret\r\nX-Secret: 1\r\nX-IWP-RequestId: mine\r\nX-IWP-ResponseType: 0\r\nX-IWP-Host: evil.example\r\n";
    app.post_body(&format!("/client/{port}"), &format!("{}{headers}", customer(5)), b"hello");
    let request = poll.reply();
    assert_eq!((request.status, request.body.as_slice()), (200, &b"hello"[..]));
    assert_eq!((request.get("x-iwp-path"), request.get("x-custom")), (Some("/a"), Some("b")));
    assert_eq!(request.get("content-length"), Some("5"));
    assert!(request.get("x-secret").is_none() && request.get("x-iwp-responsetype").is_none());
    assert!(request.get("x-iwp-host").is_none());
    let id = request.get("x-iwp-requestid").unwrap().to_owned();
    assert_ne!(id, "mine");

    let mut replier = instance.connect();
    let headers = format!("{}X-IWP-RequestId: {id}\r\nX-iwp-responsecode: 404\r\nX-Answer: c\r\n", agent(5));
    replier.post_body(&format!("/agentreply/{port}"), &headers, b"not here");
    let answer = app.reply();
    assert_eq!((answer.status, answer.body.as_slice()), (404, &b"not here"[..]));
    assert_eq!((answer.get("x-answer"), answer.get("x-iwp-requestid")), (Some("c"), Some(id.as_str())));
    assert_eq!(answer.get("x-iwp-responsecode"), Some("404"));
    assert_eq!(answer.get("content-length"), Some("8"));
    assert!(answer.get("x-iwp-token").is_none());
    assert_eq!(replier.reply().status, 200);

    let second = instance.connect_reply(5, &id);
    assert_eq!(second.status, 501);
    let status = instance.until(|status| status["transactions"]["current"] == 0);
    assert_eq!(status["transactions"]["completed"], 1);
    assert_eq!(status["transactions"]["failed"], 0);
    assert_eq!(status["bytes"], 13);
}

impl support::Instance {
    fn connect_reply(&self, id: u64, request: &str) -> support::Reply {
        self.post(
            &format!("/agentreply/{}", self.port),
            &format!("{}X-IWP-RequestId: {request}\r\n", agent(id)),
        )
    }

    /// Parks a poll, asks, and gives the app, the poll and the request's ID.
    fn begin(&self, id: u64) -> (support::Wire, support::Wire, String) {
        let mut poll = self.park(id);
        let app = self.ask(id);
        let request = poll.reply().get("x-iwp-requestid").unwrap().to_owned();
        (app, poll, request)
    }
}

#[test]
fn both_bodies_stream_piece_by_piece() {
    let instance = start(|_| {});
    let mut poll = instance.park(5);
    let mut app = instance.ask_with(5, "Transfer-Encoding: chunked");
    app.chunk(b"one");
    let (request, framed) = poll.head();
    assert_eq!(framed, Framed::Chunked);
    assert_eq!(poll.read_chunk().unwrap(), b"one");
    app.chunk(b"two");
    assert_eq!(poll.read_chunk().unwrap(), b"two");

    // The reply begins before the request has ended.
    let id = request.get("x-iwp-requestid").unwrap();
    let mut replier = instance.reply_with(5, id, "Transfer-Encoding: chunked");
    replier.chunk(b"eins");
    let (answer, framed) = app.head();
    assert_eq!((answer.status, framed), (200, Framed::Chunked));
    assert_eq!(app.read_chunk().unwrap(), b"eins");
    app.chunk(b"three");
    assert_eq!(poll.read_chunk().unwrap(), b"three");
    app.chunk(b"");
    assert_eq!(poll.read_chunk(), None);
    replier.chunk(b"zwei");
    assert_eq!(app.read_chunk().unwrap(), b"zwei");
    replier.chunk(b"");
    assert_eq!(app.read_chunk(), None);
    assert_eq!(replier.reply().status, 200);
}

#[test]
fn a_poll_without_an_app_ends_in_time() {
    let instance = start(|config| config.timeouts.agent = Duration::from_millis(100).into());
    let reply = instance.post(&format!("/agent/{}", instance.port), &agent(5));
    assert_eq!((reply.status, reply.get("x-iwp-responsetype")), (200, Some("0")));
    assert_eq!(instance.status()["agents"]["parked"], 0);
}

#[test]
fn an_app_waits_for_an_agent_that_is_expected_back() {
    let instance = start(|_| {});
    drop(instance.park(5));
    instance.until(|status| status["agents"]["parked"] == 0);
    let mut app = instance.ask(5);
    let mut poll = instance.connect();
    poll.post(&format!("/agent/{}", instance.port), &agent(5));
    let request = poll.reply();
    let id = request.get("x-iwp-requestid").unwrap();
    assert_eq!(instance.connect_reply(5, id).status, 200);
    assert_eq!(app.reply().status, 200);
}

#[test]
fn an_app_that_went_while_it_waited_is_passed_over() {
    let instance = start(|_| {});
    drop(instance.park(5));
    instance.until(|status| status["agents"]["parked"] == 0);
    // Its body is not read while it waits, and so hides that it hangs up.
    let mut gone = instance.connect();
    gone.post_body(&format!("/client/{}", instance.port), &customer(5), &[b'x'; 100_000]);
    instance.until(|status| status["transactions"]["waiting"] == 1);
    drop(gone);
    let mut poll = instance.connect();
    poll.post(&format!("/agent/{}", instance.port), &agent(5));
    instance.until(|status| status["agents"]["parked"] == 1);
    let app = instance.ask(5);
    let request = poll.reply();
    assert_eq!(request.get("content-length"), Some("0"));
    drop(app);
}

#[test]
fn an_app_waits_no_longer_than_the_agent_is_expected() {
    let instance = start(|config| {
        config.timeouts.cache = Duration::from_millis(200).into();
        config.timeouts.client = Duration::from_millis(50).into();
    });
    assert_eq!(instance.ask(5).reply().get("x-iwp-responsetype"), Some("0"));
    drop(instance.park(5));
    instance.until(|status| status["agents"]["parked"] == 0);
    let reply = instance.ask(5).reply();
    assert_eq!((reply.status, reply.get("x-iwp-responsetype")), (200, Some("0")));
}

#[test]
fn an_agent_that_does_not_answer() {
    let instance = start(|config| config.timeouts.no_reply = Duration::from_millis(100).into());
    let (mut app, _poll, id) = instance.begin(5);
    let answer = app.reply();
    assert_eq!((answer.status, answer.get("x-iwp-isrecycle")), (504, Some("1")));
    assert_eq!(instance.connect_reply(5, &id).status, 502);
    assert_eq!(instance.status()["transactions"]["failed"], 1);
}

#[test]
fn replies_that_reach_no_app() {
    let instance = start(|_| {});
    let (mut app, _poll, id) = instance.begin(5);
    assert_eq!(instance.connect_reply(6, &id).status, 500);
    assert_eq!(instance.connect_reply(5, &"0".repeat(32)).status, 502);
    assert_eq!(instance.connect_reply(5, "nonsense").status, 502);
    assert_eq!(instance.post(&format!("/agentreply/{}", instance.port), &agent(5)).status, 400);
    assert_eq!(instance.connect_reply(5, &id).status, 200);
    assert_eq!(app.reply().status, 200);
    let (app, _poll, id) = instance.begin(5);
    drop(app);
    instance.until(|status| status["transactions"]["current"] == 0);
    assert_eq!(instance.connect_reply(5, &id).status, 502);
}

#[test]
fn a_response_code_that_is_none() {
    let instance = start(|_| {});
    for code in ["199", "600", "abc", "-1", ""] {
        let (mut app, _poll, id) = instance.begin(5);
        let headers = format!("{}X-IWP-RequestId: {id}\r\nX-iwp-responsecode: {code}\r\n", agent(5));
        assert_eq!(
            instance.post(&format!("/agentreply/{}", instance.port), &headers).status,
            400,
            "{code:?}"
        );
        assert_eq!(app.reply().status, 502, "{code:?}");
    }
    assert_eq!(instance.status()["transactions"]["failed"], 5);
}

#[test]
fn a_dead_poll_is_passed_over() {
    let instance = start(|_| {});
    let mut older = instance.park(5);
    let newer = instance.park(5);
    drop(newer);
    let app = instance.ask(5);
    assert!(older.reply().get("x-iwp-requestid").is_some());
    drop(app);
}

#[test]
fn an_agent_that_breaks_off_while_receiving() {
    let instance = start(|_| {});
    let mut poll = instance.park(5);
    let mut app = instance.ask_with(5, "Content-Length: 10");
    app.send(b"12345");
    let (_, framed) = poll.head();
    assert_eq!((framed, poll.bytes(5)), (Framed::Length(10), b"12345".to_vec()));
    drop(poll);
    let answer = app.reply();
    assert_eq!((answer.status, answer.reason()), (503, "the agent broke off"));
}

#[test]
fn an_app_that_breaks_off_cuts_the_agents_body() {
    let instance = start(|_| {});
    let mut poll = instance.park(5);
    let mut app = instance.ask_with(5, "Transfer-Encoding: chunked");
    app.chunk(b"one");
    poll.head();
    assert_eq!(poll.read_chunk().unwrap(), b"one");
    drop(app);
    let mut rest = Vec::new();
    // Cut, perhaps with a reset, and without the last chunk.
    let _ = poll.stream.read_to_end(&mut rest);
    assert_eq!(rest, b"");
    instance.until(|status| status["transactions"]["current"] == 0);
}

#[test]
fn a_reply_that_breaks_off_is_never_passed_off_as_whole() {
    let instance = start(|_| {});
    for framing in ["Transfer-Encoding: chunked", "Content-Length: 10"] {
        let (mut app, _poll, id) = instance.begin(5);
        let mut replier = instance.reply_with(5, &id, framing);
        if framing.starts_with('T') {
            replier.chunk(b"12345")
        } else {
            replier.send(b"12345")
        }
        let (_, framed) = app.head();
        let piece = if framed == Framed::Chunked { app.read_chunk().unwrap() } else { app.bytes(5) };
        assert_eq!(piece, b"12345");
        drop(replier);
        let mut rest = Vec::new();
        let _ = app.stream.read_to_end(&mut rest);
        assert_eq!(rest, b"");
    }
    instance.until(|status| status["transactions"]["failed"] == 2);
}

#[test]
fn a_slow_reader_stops_the_writer() {
    let instance = start(|config| config.limits.body_bytes = 1 << 40);
    let mut poll = instance.park(5);
    let mut app = instance.ask_with(5, "Content-Length: 1000000000");
    poll.head();
    app.stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let piece = [0; 65536];
    let mut taken = 0;
    while let Ok(written) = std::io::Write::write(&mut app.stream, &piece) {
        taken += written;
        // Socket buffers of four sockets, and the instance's own.
        assert!(taken < 64 << 20, "the writer is not stopped");
    }
    let relayed = instance.status()["bytes"].as_u64().unwrap();
    assert!(relayed < 32 << 20, "{relayed} bytes were taken for a reader that reads none");
}

#[test]
fn trailers_end_a_body_and_are_not_passed_on() {
    let instance = start(|_| {});
    let mut second = instance.park(5);
    let mut first = instance.park(5);
    let mut app = instance.ask_with(5, "Transfer-Encoding: chunked");
    app.send(b"0\r\nX-Trailer: 1\r\n\r\n");
    let request = first.reply();
    assert!(request.body.is_empty());
    let id = request.get("x-iwp-requestid").unwrap();
    let mut replier = instance.reply_with(5, id, "Transfer-Encoding: chunked");
    replier.send(b"3\r\nabc\r\n0\r\nX-Trailer: 1\r\n\r\n");
    assert_eq!(app.reply().body, b"abc");
    assert_eq!(replier.reply().status, 200);
    // The other poll was not given the same request.
    let app = instance.ask(5);
    assert_ne!(second.reply().get("x-iwp-requestid").unwrap(), id);
    drop(app);
    instance
        .until(|status| status["transactions"]["completed"] == 1 && status["transactions"]["started"] == 2);
}

#[test]
fn an_agent_cannot_speak_for_the_instance() {
    let instance = start(|_| {});
    let (mut app, _poll, id) = instance.begin(5);
    let headers = format!(
        "{}X-IWP-RequestId: {id}\r\nConnection: X-IWP-RequestId\r\nX-iwp-responsecode: 503\r\nX-IWP-Retry: 1\r\n\
         X-IWP-Host: evil.example\r\nX-Real-IP: 192.0.2.1\r\n",
        agent(5)
    );
    assert_eq!(instance.post(&format!("/agentreply/{}", instance.port), &headers).status, 200);
    let answer = app.reply();
    assert_eq!((answer.status, answer.get("x-iwp-requestid")), (503, Some(id.as_str())));
    for name in ["x-iwp-retry", "x-iwp-host", "x-real-ip"] {
        assert_eq!(answer.get(name), None);
    }
}

#[test]
fn answers_without_a_body_are_counted() {
    let instance = start(|_| {});
    for code in [204, 205, 304] {
        let (mut app, _poll, id) = instance.begin(5);
        let headers = format!("{}X-IWP-RequestId: {id}\r\nX-iwp-responsecode: {code}\r\n", agent(5));
        assert_eq!(instance.post(&format!("/agentreply/{}", instance.port), &headers).status, 200);
        let (answer, _) = app.head();
        assert_eq!(answer.status, code);
    }
    let status = instance.until(|status| status["transactions"]["current"] == 0);
    assert_eq!(
        (&status["transactions"]["completed"], &status["transactions"]["failed"]),
        (&3.into(), &0.into())
    );
}
