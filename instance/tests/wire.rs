//! HTTP/1.1 as it is spoken at an instance: what comes early, late, in pieces, or not at all.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::{
    io::{Read, Write},
    net::Shutdown,
    time::Duration,
};

use support::{Framed, Instance, Wire, agent, customer, start};

fn head(instance: &Instance, id: u64, rest: &str) -> String {
    format!("POST /client/{} HTTP/1.1\r\nHost: a\r\n{}{rest}\r\n", instance.port, customer(id))
}

/// The next bytes up to an empty line.
fn interim(wire: &mut Wire) -> String {
    let mut got = Vec::new();
    while !got.ends_with(b"\r\n\r\n") {
        got.extend(wire.bytes(1));
    }
    String::from_utf8(got).unwrap()
}

#[test]
fn who_waits_to_be_told_to_go_on_is_told() {
    let instance = start(|_| {});
    let mut poll = instance.park(5);
    let mut app = instance.connect();
    app.send(head(&instance, 5, "Content-Length: 5\r\nExpect: 100-continue\r\n").as_bytes());
    assert_eq!(interim(&mut app), "HTTP/1.1 100 Continue\r\n\r\n");
    app.send(b"hello");
    let request = poll.reply();
    assert_eq!((request.body.as_slice(), request.get("expect")), (&b"hello"[..], None));
    let id = request.get("x-iwp-requestid").unwrap().to_owned();
    let mut replier = instance.reply_with(5, &id, "Content-Length: 2\r\nExpect: 100-continue");
    assert_eq!(interim(&mut replier), "HTTP/1.1 100 Continue\r\n\r\n");
    replier.send(b"ok");
    assert_eq!(app.reply().body, b"ok");
    assert_eq!(replier.reply().status, 200);
    // Nobody is there: that is the answer, and the body never comes.
    app.send(head(&instance, 6, "Content-Length: 5\r\nExpect: 100-continue\r\n").as_bytes());
    let reply = app.reply();
    assert_eq!((reply.get("x-iwp-responsetype"), reply.get("connection")), (Some("0"), Some("close")));
    assert!(app.ended());
}

#[test]
fn requests_come_in_any_pieces_with_empty_lines_between() {
    let instance = start(|config| config.timeouts.head = Duration::from_millis(500).into());
    let mut wire = instance.connect();
    for byte in b"\r\nPOST /ping HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab\r\n" {
        wire.send(&[*byte]);
    }
    assert_eq!(wire.reply().status, 200);
    // The last empty line began no head: there is none to be late.
    instance.until(|status| status["uptime_s"].as_u64().unwrap() >= 2);
    wire.send(b"POST /ping HTTP/1.1\r\n\r\nPOST /ping HTTP/1.1\r\nConnection: close\r\n\r\n");
    assert_eq!(wire.reply().get("connection"), None);
    assert_eq!(wire.reply().get("connection"), Some("close"));
    assert!(wire.ended());
}

#[test]
fn a_poll_brings_no_body_but_may_and_the_next_request_may_wait_behind_it() {
    let instance = start(|_| {});
    let port = instance.port;
    let mut poll = instance.connect();
    poll.post_body(&format!("/agent/{port}"), &agent(5), b"unwanted");
    instance.until(|status| status["agents"]["parked"] == 1);
    poll.post("/ping", "");
    let mut app = instance.ask(5);
    let id = poll.reply().get("x-iwp-requestid").unwrap().to_owned();
    assert_eq!(poll.reply().status, 200, "of the ping");
    poll.post(&format!("/agentreply/{port}"), &format!("{}X-IWP-RequestId: {id}\r\n", agent(5)));
    assert_eq!((poll.reply().status, app.reply().status), (200, 200));
}

#[test]
fn a_parked_poll_that_goes_on_talking_is_cut() {
    let instance = start(|config| {
        config.timeouts.cache = Duration::from_millis(200).into();
        config.timeouts.client = Duration::from_millis(50).into();
    });
    for bytes in [8 << 10, 16 << 10, 100_000] {
        let mut poll = instance.park(5);
        // The instance may cut while this is being sent.
        let _ = poll.stream.write_all(&vec![b'x'; bytes]);
        let _ = poll.stream.shutdown(Shutdown::Write);
        instance.until(|status| status["agents"]["parked"] == 0);
        assert_eq!(instance.ask(5).reply().get("x-iwp-responsetype"), Some("0"));
    }
    instance.until(|status| status["connections"] == 1);
}

#[test]
fn an_app_that_waited_in_line_has_not_stalled() {
    let instance = start(|config| {
        config.timeouts.stall = Duration::from_millis(500).into();
        config.timeouts.client = Duration::from_millis(100).into();
    });
    let first = instance.park(5);
    let mut app = instance.ask_with(5, "Content-Length: 5");
    instance.until(|status| status["transactions"]["current"] == 1);
    drop(first);
    instance.until(|status| status["transactions"]["waiting"] == 1);
    // Twice as long as a body may stand still.
    let began = instance.status()["uptime_s"].as_u64().unwrap();
    instance.until(|status| status["uptime_s"].as_u64().unwrap() > began + 1);
    app.send(b"hello");
    let mut second = instance.connect();
    second.post(&format!("/agent/{}", instance.port), &agent(5));
    assert_eq!(second.reply().body, b"hello");
}

#[test]
fn behind_the_front_a_reply_that_breaks_off_early_cuts_the_app_at_once() {
    let instance = start(|_| {});
    let mut poll = instance.park(5);
    let mut app = instance.ask_with(5, "X-Real-IP: 192.0.2.1\r\nTransfer-Encoding: chunked");
    app.chunk(b"one");
    let (request, framed) = poll.head();
    assert_eq!((framed, poll.read_chunk().unwrap()), (Framed::Chunked, b"one".to_vec()));
    let mut replier = instance.reply_with(5, request.get("x-iwp-requestid").unwrap(), "Content-Length: 10");
    replier.send(b"12345");
    // The app does not go on, so that the reply is let through.
    app.head();
    assert_eq!(app.bytes(5), b"12345");
    drop(replier);
    let mut rest = Vec::new();
    let _ = app.stream.read_to_end(&mut rest);
    assert_eq!(rest, b"");
    instance.until(|status| status["transactions"]["current"] == 0);
}

#[test]
fn behind_the_front_a_chunked_request_ends_once() {
    let instance = start(|config| config.limits.body_bytes = 64 << 20);
    let mut poll = instance.park(5);
    let mut app = instance.ask_with(5, "X-Real-IP: 192.0.2.1\r\nTransfer-Encoding: chunked");
    // More than the sockets hold: the end is read while the agent has not taken what comes before it.
    let sender = std::thread::spawn(move || {
        (0..400).for_each(|_| app.chunk(&[7; 16 << 10]));
        app.chunk(b"");
        app
    });
    let (request, framed) = poll.head();
    assert_eq!(framed, Framed::Chunked);
    let mut replier = instance.reply_with(5, request.get("x-iwp-requestid").unwrap(), "Content-Length: 2");
    let mut app = sender.join().unwrap();
    let mut taken = 0;
    while let Some(piece) = poll.read_chunk() {
        taken += piece.len();
    }
    assert_eq!(taken, 400 * (16 << 10));
    replier.send(b"ok");
    assert_eq!((app.reply().body, replier.reply().status), (b"ok".to_vec(), 200));
    // Nothing stands between one answer and the next.
    poll.post("/ping", "");
    assert_eq!(poll.reply().status, 200);
}

#[test]
fn behind_the_front_a_long_request_goes_on_after_an_early_reply() {
    let instance = start(|_| {});
    let mut poll = instance.park(5);
    let mut app = instance.ask_with(5, "X-Real-IP: 192.0.2.1\r\nContent-Length: 3000000");
    app.send(&[7; 1_000_000]);
    let (request, _) = poll.head();
    // The agent has all that there is: nothing is on its way within the kernel.
    assert_eq!(poll.bytes(1_000_000), [7; 1_000_000]);
    let mut replier = instance.reply_with(5, request.get("x-iwp-requestid").unwrap(), "Content-Length: 2");
    replier.send(b"ok");
    assert_eq!(app.reply().body, b"ok");
    app.send(&[8; 2_000_000]);
    assert_eq!(poll.bytes(2_000_000), [8; 2_000_000]);
    assert_eq!(replier.reply().status, 200);
    for wire in [&mut poll, &mut app] {
        wire.post("/ping", "");
        assert_eq!(wire.reply().status, 200);
    }
}

#[test]
fn long_bodies_cross_whole_in_both_directions() {
    let instance = start(|config| config.limits.body_bytes = 64 << 20);
    let long: Vec<u8> = (0..9_000_001_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut poll = instance.park(5);
    let mut app = instance.ask_with(5, &format!("Content-Length: {}", long.len()));
    let (mut sender, sent) = (app.stream.try_clone().unwrap(), long.clone());
    let sender = std::thread::spawn(move || sender.write_all(&sent).unwrap());
    let request = poll.reply();
    sender.join().unwrap();
    assert!(request.body == long, "what the agent got is not what the app sent");
    let id = request.get("x-iwp-requestid").unwrap();
    let mut replier = instance.reply_with(5, id, &format!("Content-Length: {}", long.len()));
    let (mut sender, sent) = (replier.stream.try_clone().unwrap(), long.clone());
    let sender = std::thread::spawn(move || sender.write_all(&sent).unwrap());
    assert!(app.reply().body == long, "what the app got is not what the agent sent");
    sender.join().unwrap();
    assert_eq!(replier.reply().status, 200);
    assert_eq!(instance.status()["bytes"], 2 * long.len() as u64);
    // The connections are as good as before.
    for wire in [&mut poll, &mut app, &mut replier] {
        wire.post("/ping", "");
        assert_eq!(wire.reply().status, 200);
    }
}

#[test]
fn a_long_body_that_breaks_off_is_cut_on_the_other_side() {
    let instance = start(|_| {});
    let mut poll = instance.park(5);
    let mut app = instance.ask_with(5, "Content-Length: 3000000");
    app.send(&[7; 1_000_000]);
    let (_, framed) = poll.head();
    assert_eq!((framed, poll.bytes(1_000_000).len()), (Framed::Length(3_000_000), 1_000_000));
    drop(app);
    assert!(poll.ended());
    instance.until(|status| status["transactions"]["current"] == 0);
}

#[test]
fn memory_for_bodies_is_bounded_and_what_runs_goes_on() {
    let most = 1 << 20;
    let instance = start(|config| {
        config.limits.buffered_bytes = most;
        config.limits.parked_per_id = 64;
        config.limits.body_bytes = 1 << 30;
    });
    // Agents that take nothing: each holds what was read for it and could not be sent.
    let mut polls: Vec<Wire> = (0..64).map(|_| instance.park(5)).collect();
    // With small windows, so that the system does not take megabytes for each.
    polls.iter().for_each(|poll| socket2::SockRef::from(&poll.stream).set_recv_buffer_size(4096).unwrap());
    let mut apps = Vec::new();
    let refused = loop {
        let mut app = instance.ask_with(5, "Transfer-Encoding: chunked");
        app.stream.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
        let piece = [b"10000\r\n".as_slice(), &[7; 0x10000], b"\r\n"].concat();
        while app.stream.write_all(&piece).is_ok() {}
        app.stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let mut first = [0; 12];
        if app.stream.read(&mut first).is_ok_and(|got| got == 12) {
            break first;
        }
        apps.push(app);
        assert!(apps.len() < 60, "never refused");
    };
    assert_eq!(&refused, b"HTTP/1.1 503");
    // One of those that were let in before goes on as if nothing were.
    let (_, framed) = polls.last_mut().unwrap().head();
    assert_eq!(framed, Framed::Chunked);
    assert!(polls.last_mut().unwrap().read_chunk().is_some());
    drop((apps, polls));
    instance.until(|status| status["transactions"]["current"] == 0);
    // And then there is room again.
    let mut poll = instance.park(6);
    let app = instance.ask(6);
    assert!(poll.reply().get("x-iwp-requestid").is_some());
    drop(app);
}
