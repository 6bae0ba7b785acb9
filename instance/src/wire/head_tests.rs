#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::BytesMut;
use proptest::prelude::*;

use super::*;
use crate::{fuzzing::Messages, wire::body::CHUNK_EXTRA_MAX};

const LIMITS: HeadLimits = HeadLimits { bytes: 300, headers: 8 };

/// Feeds `bytes` cut into pieces of the given sizes; gives what was found.
fn feed_cut(bytes: &[u8], cuts: &[usize]) -> Result<Messages, Refusal> {
    let mut messages = Messages::new(LIMITS);
    let (mut rest, mut cuts) = (bytes, cuts.iter().cycle());
    while !rest.is_empty() {
        let (piece, after) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
        messages.feed(piece)?;
        rest = after;
    }
    Ok(messages)
}

/// The heads in it, the data of its bodies, and whether it ends with a message; or the status of the refusal.
fn verdict(text: &str) -> Result<(u32, String, bool), u16> {
    let messages =
        feed_cut(text.as_bytes(), &[text.len().max(1)]).map_err(|refusal| refusal.status.as_u16())?;
    let data = String::from_utf8(messages.data.clone()).unwrap();
    Ok((messages.heads, data, messages.is_between()))
}

#[test]
fn messages_that_are() {
    let found = |heads, data: &str, whole| Ok((heads, data.to_owned(), whole));
    assert_eq!(verdict("POST / HTTP/1.1\r\n\r\n"), found(1, "", true));
    assert_eq!(verdict("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"), found(1, "abc", true));
    assert_eq!(verdict("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nab"), found(1, "ab", false));
    let chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(verdict(&format!("{chunked}3\r\nabc\r\n0\r\n\r\n")), found(1, "abc", true));
    assert_eq!(
        verdict(&format!("{chunked}3;a=b\r\nabc\r\n1\r\nd\r\n0\r\nA: b\r\nC: d\r\n\r\n")),
        found(1, "abcd", true)
    );
    assert_eq!(verdict(&format!("{chunked}a\r\n0123456789\r\n")), found(1, "0123456789", false));
    assert_eq!(verdict("POST / HTT"), found(0, "", false));
    assert_eq!(verdict("POST / HTTP/1.1\r\n\r\nPOST / HTTP/1.1\r\n\r\n"), found(2, "", true));
}

#[test]
fn what_a_head_says_of_its_connection() {
    let head = |fields: &str| {
        let mut bytes = BytesMut::from(format!("POST /ping?a HTTP/1.1\r\n{fields}\r\nrest").as_bytes());
        let head = Head::take(&mut bytes, LIMITS).unwrap().unwrap();
        assert_eq!((&bytes[..], head.target(), head.path()), (&b"rest"[..], &b"/ping?a"[..], "/ping"));
        (head.is_last, head.expects_continue)
    };
    assert_eq!(head(""), (false, false));
    assert_eq!(head("Connection: a, Close\r\n"), (true, false));
    assert_eq!(head("Connection: closed\r\nExpect: 100-Continue\r\n"), (false, true));
}

#[test]
fn messages_that_are_not() {
    let head = "POST / HTTP/1.1\r\n";
    for (rest, status) in [
        ("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        ("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n", 400),
        ("Content-Length: 3\r\nContent-Length: 3\r\n\r\n", 400),
        ("Content-Length: 3, 3\r\n\r\n", 400),
        ("Content-Length: +3\r\n\r\n", 400),
        ("Content-Length: \r\n\r\n", 400),
        ("Content-Length: 99999999999999999999\r\n\r\n", 400),
        ("Transfer-Encoding: gzip, chunked\r\n\r\n", 400),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        ("A b: c\r\n\r\n", 400),
        ("Transfer-Encoding : chunked\r\n\r\n", 400),
        ("Transfer-Encoding: chunked\r\n\r\nx", 400),
        ("Transfer-Encoding: chunked\r\n\r\n\r\n", 400),
        ("Transfer-Encoding: chunked\r\n\r\n3\nabc", 400),
        ("Transfer-Encoding: chunked\r\n\r\n3\r\nabcd", 400),
        ("Transfer-Encoding: chunked\r\n\r\n-3\r\n", 400),
        ("Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", 400),
        ("a: b\r\n\r\nnonsense \u{1} here\r\n\r\n", 400),
        ("a:b\r\na:b\r\na:b\r\na:b\r\na:b\r\na:b\r\na:b\r\na:b\r\na:b\r\n\r\n", 431),
    ] {
        assert_eq!(verdict(&format!("{head}{rest}")), Err(status), "{rest:?}");
    }
    assert_eq!(verdict("POST / HTTP/1.0\r\n\r\n"), Err(505));
    assert_eq!(verdict("POST / HTTP/1.2\r\n\r\n"), Err(505));
    assert_eq!(verdict("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Err(505));
    assert_eq!(verdict("POST /a<b> HTTP/1.1\r\n\r\n"), Err(400));
    assert_eq!(verdict("POST ? HTTP/1.1\r\n\r\n"), Err(400));
    assert_eq!(verdict("\u{16}\u{3}\u{1}"), Err(400));
    assert_eq!(verdict(&format!("{head}A: {}\r\n\r\n", "x".repeat(300))), Err(431));
    let extension = "x".repeat(CHUNK_EXTRA_MAX + 1);
    assert_eq!(verdict(&format!("{head}Transfer-Encoding: chunked\r\n\r\n1;{extension}")), Err(400));
}

proptest! {
    #[test]
    fn it_does_not_matter_how_the_bytes_are_cut(
        requests in prop::collection::vec((0usize..3, prop::collection::vec(0usize..40, 0..4)), 1..4),
        tail in prop::collection::vec(any::<u8>(), 0..8),
        cuts in prop::collection::vec(1usize..50, 1..8),
    ) {
        let mut stream = Vec::new();
        for (kind, sizes) in &requests {
            let total: usize = sizes.iter().sum();
            match kind {
                0 => stream.extend(b"POST /ping HTTP/1.1\r\n\r\n"),
                1 => {
                    stream.extend(format!("POST / HTTP/1.1\r\ncontent-length: {total}\r\n\r\n").bytes());
                    stream.extend(std::iter::repeat_n(b'\n', total));
                }
                _ => {
                    stream.extend(b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n");
                    for size in sizes.iter().filter(|size| **size > 0) {
                        stream.extend(format!("{size:x}\r\n").bytes());
                        stream.extend(std::iter::repeat_n(b'0', *size));
                        stream.extend(b"\r\n");
                    }
                    stream.extend(b"0\r\n\r\n");
                }
            }
        }
        let found = feed_cut(&stream, &cuts).unwrap();
        prop_assert_eq!((found.heads as usize, found.is_between()), (requests.len(), true));
        let data: usize = requests.iter().filter(|(kind, _)| *kind > 0).flat_map(|(_, sizes)| sizes).sum();
        prop_assert_eq!(found.data.len(), data);
        // Nonsense is found at the end of its line at the latest.
        stream.extend(tail);
        stream.extend(b"\r\n\r\n");
        let seen = |cuts: &[usize]| feed_cut(&stream, cuts).ok().map(|found| (found.heads, found.data));
        prop_assert_eq!(seen(&cuts), seen(&[1]));
    }
}
