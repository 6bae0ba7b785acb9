#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    cell::Cell,
    future::poll_fn,
    io::{Read, Write},
    net::Ipv4Addr,
    rc::Rc,
};

use bytes::Buf;

use tokio::{
    io::AsyncWriteExt,
    net::TcpListener,
    task::{JoinSet, yield_now},
};

use super::*;
use crate::{
    server::Place,
    wire::{
        body::Body,
        line::Line,
        pipe::PIPE_BYTES,
        socket::Socket,
        turns::{ROUND_BYTES, ROUND_PLACES},
        watch::Lines,
    },
};

/// What an instance reads at a time.
const PIECE_MAX: u64 = 64 << 10;

/// A line of `lines`, and its other end.
async fn line(lines: &Rc<Lines>) -> (Rc<Line>, std::net::TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let end = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (stream, peer) = listener.accept().await.unwrap();
    (Line::new(Socket::Plain(stream), peer.ip(), lines.add(), Place::uncounted()), end)
}

#[tokio::test]
async fn a_chunked_body_ends_once_whoever_sees_its_end_first() {
    for ended_before in [false, true] {
        let lines = Lines::new(1024, 1024);
        let ((from, _sender), (to, mut reader)) = (line(&lines).await, line(&lines).await);
        // All of it was read in an attempt with another reader, which has failed.
        from.expect(Body::Ended, false);
        let outlet = Outlet::new(to.lend(), true, Rc::default());
        if ended_before {
            outlet.end();
        }
        let mut body = Intake::new(from, 10);
        assert_eq!(poll_fn(|cx| poll_carry(cx, &mut body, &outlet)).await, Passage::Whole);
        drop((outlet, body, to));
        let mut got = String::new();
        reader.read_to_string(&mut got).unwrap();
        assert_eq!(got, "0\r\n\r\n");
    }
}

#[tokio::test]
async fn what_lines_hold_is_accounted_for() {
    let lines = Lines::new(1024, 3);
    let (line, _end) = line(&lines).await;
    line.unread().extend_from_slice(b"abc");
    line.account();
    assert!(lines.are_full());
    line.unread().advance(1);
    line.account();
    assert!(!lines.are_full());
    line.unsent().extend_from_slice(b"d");
    line.account();
    assert!(lines.are_full());
    drop(line);
    assert!(!lines.are_full());
}

/// Bodies of `bytes` each that can all go on at once; the most that was carried between two looks at the system's events.
async fn most_between_looks(bodies: usize, bytes: u64) -> u64 {
    let lines = Lines::new(PIECE_MAX as usize, usize::MAX);
    let (carried, mut tasks, mut senders) = (Rc::new(Cell::new(0)), JoinSet::new(), Vec::new());
    let turns = lines.clone();
    let giving = tokio::task::spawn_local(async move { turns.turns.give_forever().await });
    for _ in 0..bodies {
        let ((from, mut sender), (to, reader)) = (line(&lines).await, line(&lines).await);
        sender.write_all(b"1").unwrap();
        reader.set_nonblocking(true).unwrap();
        let mut reader = tokio::net::TcpStream::from_std(reader).unwrap();
        tasks.spawn_local(async move {
            tokio::io::copy(&mut reader, &mut tokio::io::sink()).await.unwrap();
        });
        from.expect(Body::exact(bytes), false);
        let outlet = Outlet::new(to.lend(), false, carried.clone());
        let mut body = Intake::new(from, bytes);
        tasks.spawn_local(async move {
            assert_eq!(poll_fn(|cx| poll_carry(cx, &mut body, &outlet)).await, Passage::Whole);
        });
        senders.push(sender);
    }
    // The first piece of each stands in no line.
    while carried.get() < bodies as u64 {
        yield_now().await;
    }
    for mut sender in senders {
        sender.set_nonblocking(true).unwrap();
        let rest = vec![0; bytes as usize - 1];
        // What the system takes at once is there before anybody goes on.
        let sent = sender.write(&rest).unwrap();
        let mut sender = tokio::net::TcpStream::from_std(sender).unwrap();
        tasks.spawn_local(async move { sender.write_all(&rest[sent..]).await.unwrap() });
    }
    let (mut most, mut before) = (0, carried.get());
    while carried.get() < bodies as u64 * bytes {
        yield_now().await;
        most = most.max(carried.get() - before);
        before = carried.get();
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    giving.abort();
    most
}

#[tokio::test(flavor = "local")]
async fn bodies_take_turns_with_everything_else() {
    for (bytes, piece) in [(PIPED_MIN - 1, PIECE_MAX), (2 * PIPED_MIN, PIPE_BYTES as u64)] {
        let most = most_between_looks(40, bytes).await;
        // Whoever comes last may spend more than is left.
        let allowed = ROUND_BYTES as u64 + piece * (1 + ROUND_PLACES as u64);
        assert!(
            most <= allowed,
            "{most} bytes of bodies of {bytes} between two looks, {allowed} are allowed"
        );
        assert!(most > piece, "{most} bytes: nobody was made to wait");
    }
}
