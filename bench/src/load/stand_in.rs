//! What stands in for a server that is not measured.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::{
    net::TcpListener,
    task::{JoinHandle, JoinSet},
};

use super::Wire;

/// A running server; stopped when dropped.
pub(crate) struct StandIn {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl StandIn {
    /// Starts one on a free port of 127.0.0.1 that serves each connection with `serve`. Whatever ends one, the caller sees and tells.
    pub(crate) async fn start<F>(serve: impl Fn(Wire) -> F + Send + 'static) -> anyhow::Result<Self>
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                if let Ok(wire) = Wire::new(stream) {
                    connections.spawn(serve(wire));
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

impl Drop for StandIn {
    fn drop(&mut self) {
        self.task.abort();
    }
}
