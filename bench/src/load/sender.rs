//! Who reports: a worker that sends its state, signed, again and again.

use std::{
    net::SocketAddr,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, bail};
use http::{HeaderMap, HeaderValue, Method, header::CONTENT_TYPE};
use switchboard_fleet::{
    KeyRing, header,
    report::{Batch, Report, Taken, Told, WorkerKind, WorkerState},
};

use super::Wire;

/// One worker and its connection.
pub(crate) struct Sender {
    address: SocketAddr,
    wire: Wire,
    keys: KeyRing,
    batch: Batch,
    answer: Vec<u8>,
}

impl Sender {
    /// Connects to the monitor at `address`. A worker of this name begins a new life.
    pub(crate) async fn open(address: SocketAddr, keys: &KeyRing, worker: &str) -> anyhow::Result<Self> {
        // No instance: the monitor calls the servers of those.
        let kind = WorkerKind::Program;
        let batch = Batch { worker: worker.into(), kind, boot: now_ms(), reports: Vec::new() };
        let wire = Wire::open(address).await?;
        Ok(Self { address, wire, keys: keys.clone(), batch, answer: Vec::new() })
    }

    /// Its name.
    pub(crate) fn worker(&self) -> &str {
        &self.batch.worker
    }

    /// The number of its last report.
    pub(crate) fn last(&self) -> u64 {
        self.batch.reports.last().map_or(0, |report| report.seq)
    }

    /// Sends the next `count` reports, and returns when they are taken.
    ///
    /// # Errors
    /// The connection failed, or the monitor does not say that it has all reports up to the last one.
    pub(crate) async fn report(&mut self, count: usize) -> anyhow::Result<()> {
        let (first, at_ms) = (self.last() + 1, now_ms());
        let told = |seq| Told::State(state(seq));
        let reports = (first..).take(count).map(|seq| Report { seq, at_ms, told: told(seq) });
        self.batch.reports = reports.collect();
        self.send().await
    }

    /// Sends the last reports again over a new connection, as after an answer that was lost.
    ///
    /// # Errors
    /// As [`Sender::report`].
    pub(crate) async fn repeat(&mut self) -> anyhow::Result<()> {
        self.wire = Wire::open(self.address).await?;
        self.send().await
    }

    async fn send(&mut self) -> anyhow::Result<()> {
        let body = serde_json::to_vec(&self.batch)?;
        let head = self.head(&body)?;
        self.wire.send(head.as_bytes(), &body).await?;
        let head = self.wire.answer().await?;
        self.wire.body(head.length, &mut self.answer).await?;
        let (worker, last) = (self.worker(), self.last());
        if head.status != 200 {
            let why = String::from_utf8_lossy(&self.answer);
            bail!("{worker}: status {} to the report {last}: {why}", head.status);
        }
        let taken: Taken = serde_json::from_slice(&self.answer).context("not what a monitor answers")?;
        if taken != (Taken { upto: last, missing: Vec::new() }) {
            bail!("{worker}: up to {last} was sent, and the monitor has {taken:?}");
        }
        Ok(())
    }

    fn head(&self, body: &[u8]) -> anyhow::Result<String> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::DIGEST, KeyRing::digest(body).try_into()?);
        let signature = self.keys.sign(&Method::POST, "/report", &headers, SystemTime::now());
        headers.insert(header::SIGNATURE, signature);
        let mut head = format!("POST /report HTTP/1.1\r\nHost: {}\r\n", self.address);
        for (name, value) in &headers {
            head += &format!("{name}: {}\r\n", value.to_str()?);
        }
        Ok(format!("{head}Content-Length: {}\r\n\r\n", body.len()))
    }
}

/// As a real worker tells it.
fn state(seq: u64) -> WorkerState {
    WorkerState {
        rss_bytes: (20 << 20) + seq * 4096 % (1 << 20),
        cpu_us: 1000 * seq,
        uptime_s: 3 * seq,
        host: "bench.example.net".into(),
        address: "127.0.0.1:8081".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        pid: std::process::id(),
        lost: 0,
        wrong: Vec::new(),
    }
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{StandIn, echo, take};

    #[tokio::test]
    async fn numbers_go_on_and_are_repeated() {
        let taker = StandIn::start(take).await.unwrap();
        let mut sender = Sender::open(taker.address(), &KeyRing::new(["key"]), "a").await.unwrap();
        sender.report(1).await.unwrap();
        sender.report(20).await.unwrap();
        assert_eq!(sender.last(), 21);
        sender.repeat().await.unwrap();
        assert_eq!(sender.last(), 21);
    }

    #[tokio::test]
    async fn what_is_not_said_to_be_taken_is_found_out() {
        let echo = StandIn::start(echo).await.unwrap();
        let mut sender = Sender::open(echo.address(), &KeyRing::new(["key"]), "a").await.unwrap();
        assert!(sender.report(1).await.is_err());
    }
}
