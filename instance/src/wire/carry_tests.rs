#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{future::poll_fn, io::Read, net::Ipv4Addr};

use tokio::net::TcpListener;

use super::*;
use crate::{
    server::Place,
    wire::{socket::Socket, watch::Lines},
};

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
