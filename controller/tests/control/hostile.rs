//! Whatever is sent to the socket, the controller goes on.

use std::os::unix::fs::PermissionsExt;

use http::Method;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};

use crate::stage::Stage;

#[tokio::test]
async fn odd_questions_are_refused() {
    let stage = Stage::new(2, 0).await;
    let running = stage.start().await;
    let mode = std::fs::metadata(stage.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let deep = "[".repeat(60_000);
    let table: [(Method, &str, String, u16); 15] = [
        (Method::GET, "/", String::new(), 404),
        (Method::GET, "/orders", String::new(), 405),
        (Method::POST, "/upstreams", String::new(), 405),
        (Method::GET, "/upstreams?heat=2", String::new(), 400),
        (Method::GET, "/upstreams?heat=1", String::new(), 200),
        (Method::POST, "/orders", String::new(), 400),
        (Method::POST, "/orders", "null".into(), 400),
        (Method::POST, "/orders", deep, 400),
        (Method::POST, "/orders", "x".repeat(70_000), 413),
        (Method::POST, "/orders", "{\"id\":1}".into(), 400),
        (Method::POST, "/join", "{\"port\":70000,\"pid\":1}".into(), 400),
        (Method::POST, "/join", "{\"port\":0,\"pid\":1}".into(), 400),
        (Method::POST, "/join", "{\"port\":-1}".into(), 400),
        (Method::POST, "/leave", "[]".into(), 400),
        (Method::DELETE, "/join", String::new(), 405),
    ];
    for (method, path, body, expected) in table {
        let what = format!("{method} {path} {:.20}", body);
        assert_eq!(stage.call(method, path, body).await.0, expected, "{what}");
    }
    for (id, more) in [
        ("A", serde_json::json!({})),
        ("a-1", serde_json::json!({ "who": "" })),
        ("a-2", serde_json::json!({ "who": "x".repeat(301) })),
        ("a-3", serde_json::json!({ "why": "a\nb" })),
        ("a-4", serde_json::json!({ "until_ms": 5 })),
        ("a-5", serde_json::json!({ "until_ms": u64::MAX })),
    ] {
        let refused = stage.order(id, &stage.address(0), serde_json::json!({ "change": "off" }), more).await;
        assert_eq!(refused.unwrap_err()["refused"], "bad", "{id}");
    }
    assert_eq!(stage.audit().len(), 6);
    running.stop().await;
}

#[tokio::test]
async fn connections_that_are_no_http_do_no_harm() {
    let stage = Stage::new(1, 0).await;
    let running = stage.start().await;
    let mut open = Vec::new();
    for text in
        ["", "GET", "\r\n\r\n\0\0\0", "POST /orders HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n{"]
    {
        for _ in 0..50 {
            let mut stream = UnixStream::connect(stage.socket()).await.unwrap();
            stream.write_all(text.as_bytes()).await.unwrap();
            open.push(stream);
        }
    }
    let mut stream = UnixStream::connect(stage.socket()).await.unwrap();
    stream.write_all(&[b'x'; 100_000]).await.ok();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok();
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    let table = stage.table().await;
    assert_eq!(table.upstreams[0].backends.len(), 1);
    drop(open);
    running.stop().await;
}
