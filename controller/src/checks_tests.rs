use std::collections::BTreeMap;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

const WITHIN: Duration = Duration::from_millis(300);

/// Something that listens and says `answers` one by one, a connection each; nothing to those beyond.
async fn listener(answers: &'static [&'static str]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut open = Vec::new();
        for number in 0.. {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 1024];
            let read = stream.read(&mut head).await.unwrap();
            if let Some(answer) = answers.get(number) {
                assert!(answer.starts_with("HTTP/1.1 404") || !head[..read].is_empty());
                stream.write_all(answer.as_bytes()).await.unwrap();
            } else {
                open.push(stream);
            }
        }
    });
    address
}

async fn asked(answers: &'static [&'static str]) -> Outcome {
    check(listener(answers).await, WITHIN).await
}

#[tokio::test]
async fn what_answers_mean() {
    let good = asked(&["HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{\"state\":\"ready\"}"]).await;
    assert!(matches!(good.check, Check::Good { .. }) && good.checked.fault.is_none(), "{good:?}");
    let drains = asked(&["HTTP/1.1 503 No\r\nContent-Length: 20\r\n\r\n{\"state\":\"draining\"}"]).await;
    assert_eq!(drains.check, Check::Bad(Cause::Status503));
    assert_eq!(drains.checked.fault.as_deref(), Some("it answered 503: it is draining"));
    let away = asked(&[
        "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ])
    .await;
    assert!(matches!(away.check, Check::Good { .. }), "{away:?}");
    for (bad, cause) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", Cause::Other),
        ("SSH-2.0-OpenSSH\r\n\r\n", Cause::Other),
        ("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", Cause::Cut),
        ("", Cause::Cut),
        ("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", Cause::Status500),
    ] {
        let outcome = asked(vec![bad].leak()).await;
        assert_eq!(outcome.check, Check::Bad(cause), "{bad}: {outcome:?}");
    }
    assert_eq!(asked(&[]).await.check, Check::Bad(Cause::ReadTimeout));
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert_eq!(check(closed, WITHIN).await.check, Check::Bad(Cause::Refused));
}

#[tokio::test]
async fn all_are_asked_in_turn_and_new_ones_at_once() {
    let addresses: Addresses =
        (0..3).map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()).collect();
    let (list, watched) = watch::channel(Addresses::from([]));
    let (send, mut outcomes) = mpsc::channel(100);
    let task = tokio::spawn(run(watched, Duration::from_millis(60), WITHIN, send));
    list.send_replace(addresses);
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    while counts.len() < 3 || counts.values().any(|count| *count < 3) {
        *counts.entry(outcomes.recv().await.unwrap().address).or_default() += 1;
    }
    let (least, most) = (counts.values().min().unwrap(), counts.values().max().unwrap());
    assert!(most - least <= 2, "{counts:?}");
    task.abort();
}
