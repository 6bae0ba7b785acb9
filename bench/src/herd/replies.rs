//! The second connection of an agent, on which it replies: shared by all of a process, as few reply at a time.

use std::{
    cell::RefCell,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::bail;
use tokio::sync::Semaphore;

use crate::load::Wire;

/// Connections open at a time; who finds none waits.
pub(super) const OPEN_MAX: usize = 400;
/// A connection that has not been used for so long is not used any more: the instance is about to end it (`timeouts.idle`).
const FRESH: Duration = Duration::from_secs(30);

/// Connections to one instance.
pub(super) struct Replies {
    address: SocketAddr,
    places: Semaphore,
    /// The one used last is at the end.
    idle: RefCell<Vec<(Instant, Wire)>>,
}

impl Replies {
    /// None is open yet.
    pub(super) fn new(address: SocketAddr) -> Self {
        Self { address, places: Semaphore::new(OPEN_MAX), idle: RefCell::default() }
    }

    /// Sends a reply, and returns when the instance has taken it.
    ///
    /// # Errors
    /// The connection failed, or the status is not 200.
    pub(super) async fn send(&self, head: &str, body: &[u8]) -> anyhow::Result<()> {
        let _place = self.places.acquire().await?;
        let mut wire = self.open().await?;
        wire.send(head.as_bytes(), body).await?;
        let taken = wire.answer().await?;
        wire.body(taken.length, &mut Vec::new()).await?;
        if taken.status != 200 {
            bail!("status {}", taken.status);
        }
        if !taken.closes {
            self.idle.borrow_mut().push((Instant::now(), wire));
        }
        Ok(())
    }

    /// The connection that was used last, or a new one.
    async fn open(&self) -> anyhow::Result<Wire> {
        let last = {
            let mut idle = self.idle.borrow_mut();
            idle.retain(|(used, _)| used.elapsed() < FRESH);
            idle.pop()
        };
        match last {
            Some((_, wire)) => Ok(wire),
            None => Wire::open(self.address).await,
        }
    }
}
