//! What running instances say of their IDs at `GET /status`.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use anyhow::{Context, ensure};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use switchboard_fleet::{
    config::Whole,
    snapshot::{Ids, Snapshot},
};
use tokio::{net::TcpStream, task::JoinSet, time::timeout};

/// An instance that has not answered within this counts as not running.
const DEADLINE: Duration = Duration::from_secs(1);
/// Most bytes of a status.
const STATUS_BYTES_MAX: usize = 1 << 20;

/// Asks every instance of the server; one that does not answer is left out.
pub(super) async fn ask(whole: &Whole) -> BTreeMap<u16, Ids> {
    let mut questions = JoinSet::new();
    for (port, config) in &whole.instances {
        let (port, address) = (*port, SocketAddr::new(config.listen.address, *port));
        questions.spawn(async move { (port, timeout(DEADLINE, status(address)).await) });
    }
    let answers = questions.join_all().await;
    answers.into_iter().filter_map(|(port, answer)| Some((port, answer.ok()?.ok()?.ids))).collect()
}

/// Asks one instance.
async fn status(address: SocketAddr) -> anyhow::Result<Snapshot> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut tasks = JoinSet::new();
    tasks.spawn(connection);
    let request = Request::get("/status").header("host", address.to_string()).body(Empty::<Bytes>::new())?;
    let answer = sender.send_request(request).await?;
    // 503 is the answer of one that starts or drains, with the same body.
    ensure!(matches!(answer.status().as_u16(), 200 | 503), "status {}", answer.status());
    let body = Limited::new(answer.into_body(), STATUS_BYTES_MAX).collect().await;
    let body = body.map_err(anyhow::Error::from_boxed)?.to_bytes();
    serde_json::from_slice(&body).context("not a status")
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn snapshot(left: u64) -> Snapshot {
        serde_json::from_value(serde_json::json!({
            "state": "ready", "server": "a.example", "port": 1, "pid": 1, "version": "1", "uptime_s": 1,
            "cpu_us": 1, "rss_bytes": 1, "agents": {"parked": 0, "unique": 0},
            "transactions": {"started": 0, "completed": 0, "failed": 0, "current": 0}, "bytes": 0,
            "connections": 0, "refused": 0, "ids": {"left": left}, "peers": {"servers": [], "ports": []},
            "locations": {"entries": 0, "bytes": 0, "bytes_per_entry": 0.0}
        }))
        .unwrap()
    }

    /// Answers one call with this head and body.
    async fn answer(listener: tokio::net::TcpListener, head: &'static str, body: String) {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 1024];
        let read = stream.read(&mut request).await.unwrap();
        assert!(request[..read].starts_with(b"GET /status HTTP/1.1\r\n"));
        let text = format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(text.as_bytes()).await.unwrap();
    }

    #[tokio::test]
    async fn an_instance_is_asked_and_a_stranger_is_not_believed() {
        for (head, body, good) in [
            ("200 OK", serde_json::to_string(&snapshot(7)).unwrap(), true),
            ("503 Service Unavailable", serde_json::to_string(&snapshot(7)).unwrap(), true),
            ("404 Not Found", serde_json::to_string(&snapshot(7)).unwrap(), false),
            ("200 OK", "hello".into(), false),
            ("200 OK", " ".repeat(STATUS_BYTES_MAX + 1), false),
        ] {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let server = tokio::spawn(answer(listener, head, body));
            assert_eq!(status(address).await.ok(), good.then(|| snapshot(7)), "{head}");
            server.abort();
        }
    }
}
