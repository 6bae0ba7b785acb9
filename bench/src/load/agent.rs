//! One connection of an agent that echoes: poll, take the request, reply, poll again.

use std::{convert::Infallible, net::SocketAddr};

use anyhow::{Context, bail};
use switchboard_fleet::{CustomerId, KeyRing};

use super::Wire;

/// The headers by which an agent says who it is, each line ended; `id` is not 0.
pub(crate) fn agent_headers(keys: &KeyRing, id: u64) -> anyhow::Result<String> {
    let customer = CustomerId::new(id).context("a customer ID of 0")?;
    Ok(format!("X-IWP-ProductUnivId: {id}\r\nX-IWP-Token: {}\r\n", keys.token(customer)))
}

/// An agent's connection.
pub(crate) struct Agent {
    address: SocketAddr,
    wire: Wire,
    poll: String,
    /// The reply's head up to the request ID.
    reply: String,
}

impl Agent {
    /// Connects to the instance at `address`. `headers` say who the agent is, each line ended.
    pub(crate) async fn open(address: SocketAddr, headers: &str) -> anyhow::Result<Self> {
        Self::through(address, address.port(), headers).await
    }

    /// The same through a front at `address`, to the instance of `port`.
    pub(crate) async fn through(address: SocketAddr, port: u16, headers: &str) -> anyhow::Result<Self> {
        let head = |route| format!("POST /{route}/{port} HTTP/1.1\r\nHost: bench\r\n{headers}");
        Ok(Self {
            address,
            wire: Wire::open(address).await?,
            poll: format!("{}Content-Length: 0\r\n\r\n", head("agent")),
            reply: format!("{}X-iwp-responsecode: 200\r\nX-IWP-RequestId: ", head("agentreply")),
        })
    }

    /// Parks a poll and leaves it there.
    pub(crate) async fn park(&mut self) -> anyhow::Result<()> {
        Ok(self.wire.send(self.poll.as_bytes(), &[]).await?)
    }

    /// Waits until the poll is given back without a request, as the oldest is when there is one too many.
    ///
    /// # Errors
    /// The connection failed, or something else came.
    pub(crate) async fn released(&mut self) -> anyhow::Result<()> {
        let answer = self.wire.answer().await?;
        if answer.status != 200 || !answer.nobody || answer.length > 0 {
            bail!("status {} and {} bytes to a poll that was to be given back", answer.status, answer.length);
        }
        Ok(())
    }

    /// Answers requests for ever.
    ///
    /// # Errors
    /// The connection failed, or the instance did not take a poll or a reply.
    pub(crate) async fn serve(mut self) -> anyhow::Result<Infallible> {
        let mut body = Vec::new();
        loop {
            self.park().await?;
            let request = self.wire.answer().await?;
            self.wire.body(request.length, &mut body).await?;
            self.reopen_after(request.closes).await?;
            if request.status != 200 {
                bail!("status {} to a poll", request.status);
            }
            if request.nobody {
                continue;
            }
            let id = request.request_id.context("a request without X-IWP-RequestId")?;
            let head = format!("{}{id}\r\nContent-Length: {}\r\n\r\n", self.reply, body.len());
            self.wire.send(head.as_bytes(), &body).await?;
            let taken = self.wire.answer().await?;
            self.reopen_after(taken.closes).await?;
            if taken.status != 200 {
                bail!("status {} to a reply", taken.status);
            }
        }
    }

    /// nginx ends a connection after so many requests.
    async fn reopen_after(&mut self, closes: bool) -> anyhow::Result<()> {
        if closes {
            self.wire = Wire::open(self.address).await?;
        }
        Ok(())
    }
}
