//! What a worker reports to when the worker is what is measured: it takes every batch and keeps nothing.

use std::net::{Ipv4Addr, SocketAddr};

use switchboard_fleet::report::{Batch, Taken};
use tokio::{
    net::TcpListener,
    task::{JoinHandle, JoinSet},
};

use super::Wire;

/// A running taker of reports; stopped when dropped.
pub(crate) struct Taker {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Taker {
    /// Starts one on a free port of 127.0.0.1.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                if let Ok(wire) = Wire::new(stream) {
                    connections.spawn(take(wire));
                }
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { address, task })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Taker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn take(mut wire: Wire) -> anyhow::Result<()> {
    let mut body = Vec::new();
    while let Some(request) = wire.request().await? {
        wire.body(request.length, &mut body).await?;
        let batch: Batch = serde_json::from_slice(&body)?;
        let upto = batch.reports.last().map_or(0, |report| report.seq);
        let answer = serde_json::to_vec(&Taken { upto, missing: Vec::new() })?;
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            answer.len()
        );
        wire.send(head.as_bytes(), &answer).await?;
    }
    Ok(())
}
