//! What stands in for an instance behind a front: it is well, and sends bodies back.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use tokio::{sync::watch, time::timeout};

use super::{StandIn, Wire};

/// What an instance in service says of itself.
const READY: &[u8] = b"{\"state\":\"ready\"}";

/// An instance that is not one. When this is dropped nobody listens there, and all connections are closed, as after SIGKILL.
pub(crate) struct Backend {
    stand_in: StandIn,
    first: watch::Receiver<Option<Instant>>,
}

impl Backend {
    /// One on a free port.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let (came, first) = watch::channel(None);
        let came = Arc::new(came);
        let stand_in = StandIn::start(move |wire| serve(wire, Arc::clone(&came))).await?;
        Ok(Self { stand_in, first })
    }

    /// So many.
    pub(crate) async fn start_all(count: usize) -> anyhow::Result<Vec<Self>> {
        let mut all = Vec::with_capacity(count);
        for _ in 0..count {
            all.push(Self::start().await?);
        }
        Ok(all)
    }

    /// Its port on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.stand_in.address().port()
    }

    /// When its first request came that was no check.
    ///
    /// # Errors
    /// None comes within `patience`.
    pub(crate) async fn first_request(&mut self, patience: Duration) -> anyhow::Result<Instant> {
        let came = timeout(patience, self.first.wait_for(Option::is_some)).await;
        let came = came.with_context(|| format!("no request came within {patience:?}"))?;
        came.ok().and_then(|at| *at).context("nobody listens there any more")
    }
}

/// Serves one connection.
async fn serve(mut wire: Wire, came: Arc<watch::Sender<Option<Instant>>>) -> anyhow::Result<()> {
    let mut body = Vec::new();
    while let Some(request) = wire.request().await? {
        wire.body(request.length, &mut body).await?;
        let answer = if request.is_check { READY } else { &body };
        if !request.is_check && came.borrow().is_none() {
            came.send_replace(Some(Instant::now()));
        }
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", answer.len());
        wire.send(head.as_bytes(), answer).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{Caller, Expect, get};

    #[tokio::test]
    async fn a_check_is_no_request() {
        let mut backend = Backend::start().await.unwrap();
        let address = ([127, 0, 0, 1], backend.port()).into();
        assert_eq!(get(address, "/status").await.unwrap(), READY);
        assert!(backend.first_request(Duration::ZERO).await.is_err());
        let before = Instant::now();
        let mut caller = Caller::open(address, "POST /x HTTP/1.1\r\n", Expect::Echo(64)).await.unwrap();
        caller.call().await.unwrap();
        let first = backend.first_request(Duration::from_secs(20)).await.unwrap();
        caller.call().await.unwrap();
        assert!(first > before);
        assert_eq!(backend.first_request(Duration::ZERO).await.unwrap(), first, "the first one counts");
    }

    #[tokio::test]
    async fn nobody_is_behind_one_that_was_dropped() {
        let backend = Backend::start().await.unwrap();
        let address = ([127, 0, 0, 1], backend.port()).into();
        let mut caller = Caller::open(address, "GET / HTTP/1.1\r\n", Expect::Done).await.unwrap();
        caller.call().await.unwrap();
        drop(backend);
        assert!(caller.call().await.is_err());
        assert!(caller.reopen().await.is_err());
    }
}
