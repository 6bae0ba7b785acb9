//! Bodies through nginx and without it: the first byte is there before the last is sent, and memory stays where it is.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    thread,
};

use support::{Fleet, PATIENCE, Server, get, post, until};

/// A customer with a poll parked at an instance, played over one front or the bare port.
struct Agent {
    id: String,
    port: u16,
    address: SocketAddr,
    poll: TcpStream,
}

impl Agent {
    fn park(server: &Server, address: SocketAddr) -> Self {
        let answer = until("an ID", || {
            Some(post(server.front, "/getuniversalid", ""))
                .filter(|answer| get(answer, "X-IWP-ProductUnivId").is_some())
        });
        let header = |name| format!("{name}: {}\r\n", get(&answer, name).unwrap());
        let id = format!("{}{}", header("x-iwp-productunivid"), header("x-iwp-token"));
        let port = server.ports[0];
        let mut poll = connect(address);
        write!(poll, "POST /agent/{port} HTTP/1.1\r\nHost: a\r\n{id}Content-Length: 0\r\n\r\n").unwrap();
        until("the poll", || (server.status(port)?["agents"]["parked"] == 1).then_some(()));
        Self { id, port, address, poll }
    }

    fn ask(&self, framing: &str) -> TcpStream {
        let mut app = connect(self.address);
        let customer = self.id.lines().next().unwrap();
        write!(app, "POST /client/{} HTTP/1.1\r\nHost: a\r\n{customer}\r\n{framing}\r\n\r\n", self.port)
            .unwrap();
        app
    }

    fn reply(&self, request: &str, framing: &str) -> TcpStream {
        let mut replier = connect(self.address);
        let id = get(request, "x-iwp-requestid").unwrap();
        write!(
            replier,
            "POST /agentreply/{} HTTP/1.1\r\nHost: a\r\n{}X-IWP-RequestId: {id}\r\n{framing}\r\n\r\n",
            self.port, self.id
        )
        .unwrap();
        replier
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// The head of a message, byte by byte so that nothing of the body is taken.
fn head(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        text.push(byte[0]);
    }
    String::from_utf8(text).unwrap()
}

fn expect(stream: &mut TcpStream, bytes: &[u8]) {
    let mut got = vec![0; bytes.len()];
    stream.read_exact(&mut got).unwrap();
    assert_eq!(got, bytes);
}

#[test]
fn the_first_byte_arrives_before_the_last_is_sent() {
    let fleet = Fleet::of_one("");
    let server = &fleet.servers[0];
    for address in [server.front, SocketAddr::from((Ipv4Addr::LOCALHOST, server.ports[0]))] {
        let mut agent = Agent::park(server, address);
        let mut app = agent.ask("Content-Length: 10");
        app.write_all(b"12345").unwrap();
        let request = head(&mut agent.poll);
        assert_eq!(get(&request, "Content-Length"), Some("10"));
        expect(&mut agent.poll, b"12345");
        let mut replier = agent.reply(&request, "Content-Length: 6");
        replier.write_all(b"abc").unwrap();
        let answer = head(&mut app);
        assert_eq!(get(&answer, "Content-Length"), Some("6"));
        expect(&mut app, b"abc");
        app.write_all(b"67890").unwrap();
        expect(&mut agent.poll, b"67890");
        replier.write_all(b"def").unwrap();
        expect(&mut app, b"def");
        assert!(head(&mut replier).starts_with("HTTP/1.1 200"));
        // Chunks too.
        drop(agent);
        until("the end", || (server.status(server.ports[0])?["agents"]["parked"] == 0).then_some(()));
        let mut agent = Agent::park(server, address);
        let mut app = agent.ask("Transfer-Encoding: chunked");
        app.write_all(b"3\r\none\r\n").unwrap();
        head(&mut agent.poll);
        expect(&mut agent.poll, b"3\r\none\r\n");
        app.write_all(b"3\r\ntwo\r\n0\r\n\r\n").unwrap();
        expect(&mut agent.poll, b"3\r\ntwo\r\n0\r\n\r\n");
        drop((agent, app));
        until("the end", || (server.status(server.ports[0])?["transactions"]["current"] == 0).then_some(()));
    }
}

/// nginx forgets an upload whose upstream was full for a moment, once it has passed on the answer's head.
#[test]
fn a_reply_that_begins_early_does_not_stop_a_long_request() {
    let fleet = Fleet::of_one("");
    let server = &fleet.servers[0];
    let (_agent, id) = server.agent("echo", &["--echo"]);
    let body: Vec<u8> = (0..30_000_000u32).map(|n| (n % 253) as u8).collect();
    let file = server.folder.join("body");
    std::fs::write(&file, &body).unwrap();
    for round in 0..15 {
        let output = server.call(id, &["--data", &format!("@{}", file.display())]);
        assert!(output.status.success() && output.stdout == body, "round {round}: {:?}", output.stderr);
    }
}

#[test]
fn four_gib_pass_without_the_instance_growing() {
    const BYTES: u64 = 4 << 30;
    const PIECE: usize = 1 << 20;
    let fleet = Fleet::of_one("[limits]\nbody_bytes = 5000000000");
    let server = &fleet.servers[0];
    let port = server.ports[0];
    let mut agent = Agent::park(server, SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let mut app = agent.ask(&format!("Content-Length: {BYTES}"));
    let sender = thread::spawn(move || {
        let piece = vec![b'x'; PIECE];
        for _ in 0..BYTES / PIECE as u64 {
            app.write_all(&piece).unwrap();
        }
        app
    });
    head(&mut agent.poll);
    let mut buffer = vec![0; PIECE];
    let mut got = 0;
    let mut before = None;
    let rss = || server.status(port).unwrap()["rss_bytes"].as_u64().unwrap();
    while got < BYTES {
        got += agent.poll.read(&mut buffer).unwrap() as u64;
        // Once the buffers of this transaction are there.
        if before.is_none() && got > 64 << 20 {
            before = Some(rss());
        }
    }
    let grown = rss().saturating_sub(before.unwrap());
    assert!(grown < 1 << 20, "grown by {grown} bytes");
    sender.join().unwrap();
}
