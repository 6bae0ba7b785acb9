//! The app against servers whose every answer the test gives.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::{Relay, piece, text, whole, within};
use http::{HeaderMap, HeaderValue, Method};
use switchboard_client::{App, AppConfig, CallError, Upload, UploadError};
use switchboard_fleet::{CustomerId, ServerName};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

type Asked = Result<(u16, HeaderMap, Bytes), CallError>;

fn config(servers: &[&ServerName]) -> AppConfig {
    AppConfig {
        servers: servers.iter().copied().cloned().collect(),
        id: CustomerId::new(7).unwrap(),
        headers: HeaderMap::new(),
        method: None,
        path: None,
        wait: Duration::from_secs(20),
    }
}

/// Asks beside the test, reading the whole reply.
fn call(config: AppConfig, mut upload: Upload) -> JoinHandle<Asked> {
    tokio::spawn(async move {
        let (head, body) = App::new(config)?.call(&mut upload).await?.into_parts();
        Ok((head.status.as_u16(), head.headers, whole(body).await))
    })
}

async fn end(call: JoinHandle<Asked>) -> Asked {
    within("the end of the call", call).await.unwrap()
}

/// Says that the agent is at `at`, port 9.
async fn locate(relay: &mut Relay, at: &ServerName) {
    let call = relay.next("/client").await;
    assert_eq!((call.path.as_str(), call.header("x-iwp-productunivid")), ("/client", "7"));
    call.ok(&[("x-iwp-host", at.as_str()), ("x-iwp-port", "9")]);
}

#[tokio::test]
async fn finds_the_agent_and_streams_both_ways() {
    let mut relay = Relay::start().await;
    let mut told = config(&[&relay.name]);
    told.headers.insert("x-own", HeaderValue::from_static("1"));
    (told.method, told.path) = (Some(Method::GET), Some("/a?b".parse().unwrap()));
    let (mut input, source) = tokio::io::duplex(64);
    let asked = tokio::spawn(async move {
        let mut upload = Upload::stream(source);
        App::new(told).unwrap().call(&mut upload).await.unwrap()
    });
    let at = relay.name.clone();
    locate(&mut relay, &at).await;
    input.write_all(b"up").await.unwrap();
    let mut call = relay.next("/client/9").await;
    for (name, value) in [("x-own", "1"), ("x-iwp-method", "GET"), ("x-iwp-path", "/a?b")] {
        assert_eq!(call.header(name), value);
    }
    assert_eq!(piece(&mut call.body).await.unwrap(), "up");
    let (mut agent, body) = common::pieces();
    let mut rest = call.answer_reading(201, &[("x-iwp-requestid", "r"), ("x-iwp-port", "1")], body);
    within("sending", agent.send_data(Bytes::from("down"))).await.unwrap();
    let reply = within("the reply", asked).await.unwrap();
    assert_eq!(reply.status(), 201);
    let mut reply = reply.into_body();
    assert_eq!(piece(&mut reply).await.unwrap(), "down", "before either body ended");
    input.write_all(b"more").await.unwrap();
    assert_eq!(piece(&mut rest).await.unwrap(), "more");
    drop((input, agent));
    assert_eq!((whole(rest).await, whole(reply).await), (Bytes::new(), Bytes::new()));
}

#[tokio::test]
async fn is_sent_on_and_sends_its_body_again() {
    let (mut here, mut there) = (Relay::start().await, Relay::start().await);
    for (upload, length) in [(Upload::bytes("body"), "4"), (Upload::stream(&b"body"[..]), "")] {
        let asked = call(config(&[&here.name]), upload);
        let at = here.name.clone();
        locate(&mut here, &at).await;
        let mut first = here.next("/client/9").await;
        assert_eq!(piece(&mut first.body).await.unwrap(), "body");
        first.ok(&[("x-iwp-host", there.name.as_str()), ("x-iwp-port", "10")]);
        let second = there.next("/client/10").await;
        assert_eq!(second.header("content-length"), length);
        let body = second.answer_reading(200, &[("x-iwp-requestid", "r")], text("reply"));
        assert_eq!(whole(body).await, "body");
        assert_eq!(end(asked).await.unwrap().2, "reply");
    }
}

#[tokio::test]
async fn is_sent_on_so_often_and_no_more() {
    let mut relay = Relay::start().await;
    let asked = call(config(&[&relay.name]), Upload::bytes(""));
    let at = relay.name.clone();
    locate(&mut relay, &at).await;
    for port in 10..=15 {
        relay.next("/client/").await.ok(&[("x-iwp-port", &port.to_string())]);
    }
    assert!(matches!(end(asked).await, Err(CallError::Hops(_))));
}

#[tokio::test]
async fn a_stream_read_too_far_is_a_clear_error() {
    let mut relay = Relay::start().await;
    let asked = call(config(&[&relay.name]), Upload::stream(std::io::Cursor::new(vec![1; 4 << 20])));
    let at = relay.name.clone();
    locate(&mut relay, &at).await;
    let mut first = relay.next("/client/9").await;
    let mut read = 0;
    while read <= 1 << 20 {
        read += piece(&mut first.body).await.unwrap().len();
    }
    first.ok(&[("x-iwp-port", "10")]);
    let ended = end(asked).await;
    assert!(matches!(ended, Err(CallError::Upload(UploadError::ReadTooFar))), "{ended:?}");
}

#[tokio::test]
async fn waits_for_an_agent_that_is_not_there() {
    let mut relay = Relay::start().await;
    let asked = call(config(&[&relay.name]), Upload::bytes("x"));
    let at = relay.name.clone();
    relay.next("/client").await.ok(&[("x-iwp-responsetype", "0")]);
    locate(&mut relay, &at).await;
    relay.next("/client/9").await.ok(&[("x-iwp-responsetype", "0")]);
    locate(&mut relay, &at).await;
    relay.next("/client/9").await.ok(&[("x-iwp-requestid", "r")]);
    assert_eq!(end(asked).await.unwrap().0, 200);

    let short = AppConfig { wait: Duration::ZERO, ..config(&[&relay.name]) };
    let asked = call(short, Upload::bytes("x"));
    relay.next("/client").await.ok(&[("x-iwp-responsetype", "0")]);
    assert!(matches!(end(asked).await, Err(CallError::NobodyThere { .. })));
}

#[tokio::test]
async fn an_instance_that_went_is_looked_for_anew_and_a_dead_server_passed_over() {
    let (mut relay, mut dead) = (Relay::start().await, Relay::start().await);
    dead.kill().await;
    let asked = call(config(&[&dead.name, &relay.name]), Upload::bytes("x"));
    locate(&mut relay, &dead.name).await;
    let at = relay.name.clone();
    locate(&mut relay, &at).await;
    relay.next("/client/9").await.ok(&[("x-iwp-requestid", "r")]);
    assert_eq!(end(asked).await.unwrap().0, 200);

    let asked = call(config(&[&dead.name]), Upload::bytes("x"));
    assert!(matches!(end(asked).await, Err(CallError::Unreachable(_))));
}

#[tokio::test]
async fn errors_of_the_fleet_are_errors_and_those_of_the_agent_are_replies() {
    let mut relay = Relay::start().await;
    let at = relay.name.clone();
    for (status, headers) in [
        (503, vec![("x-iwp-reason", "the agent broke off")]),
        (504, vec![("x-iwp-reason", "late"), ("x-iwp-isrecycle", "1")]),
        (404, vec![("x-iwp-requestid", "r")]),
    ] {
        let asked = call(config(&[&relay.name]), Upload::bytes("x"));
        locate(&mut relay, &at).await;
        relay.next("/client/9").await.answer(status, &headers, text(""));
        match (status, end(asked).await) {
            (503, Err(error @ CallError::Refused { .. })) => {
                assert!(
                    error.to_string().contains("503 Service Unavailable: the agent broke off"),
                    "{error}"
                );
            }
            (504, Err(CallError::NoAnswer { reason, .. })) => assert_eq!(reason, "late"),
            (404, Ok((404, ..))) => {}
            (_, other) => panic!("{status}: {other:?}"),
        }
    }
}

/// Reads a request's head and a little of its body, answers, and closes: what is unread makes the client's
/// next write fail.
async fn answer_early(listener: &TcpListener, answer: &str) {
    let (mut stream, _): (TcpStream, _) = within("a connection", listener.accept()).await.unwrap();
    let mut buffer = [0; 4096];
    within("a request", stream.read(&mut buffer)).await.unwrap();
    stream.write_all(answer.as_bytes()).await.unwrap();
}

#[tokio::test]
async fn an_early_answer_is_heard() {
    let mut relay = Relay::start().await;
    let early = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at: ServerName = early.local_addr().unwrap().to_string().parse().unwrap();
    let body = Bytes::from(vec![1; 8 << 20]);
    for _ in 0..20 {
        let asked = call(config(&[&relay.name]), Upload::bytes(body.clone()));
        locate(&mut relay, &at).await;
        let refused =
            "HTTP/1.1 413 Payload Too Large\r\nX-IWP-Reason: too large\r\nContent-Length: 0\r\n\r\n";
        answer_early(&early, refused).await;
        match end(asked).await {
            Err(CallError::Refused { status, reason, .. }) => {
                assert_eq!((status.as_u16(), reason.as_str()), (413, "too large"));
            }
            other => panic!("{other:?}"),
        }
    }
    let asked = call(config(&[&relay.name]), Upload::bytes(body.clone()));
    locate(&mut relay, &at).await;
    let on = format!(
        "HTTP/1.1 200 OK\r\nX-IWP-Host: {}\r\nX-IWP-Port: 10\r\nContent-Length: 0\r\n\r\n",
        relay.name
    );
    answer_early(&early, &on).await;
    let there = relay.next("/client/10").await;
    assert_eq!(
        whole(there.answer_reading(200, &[("x-iwp-requestid", "r")], text(""))).await.len(),
        body.len()
    );
    assert_eq!(end(asked).await.unwrap().0, 200);
}
