//! Calls at a fixed rate, whether or not earlier ones are answered: a server that is late makes those late that it keeps waiting,
//! as it does outside.

use std::{
    collections::HashMap,
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use anyhow::bail;
use tokio::{sync::mpsc, task::JoinSet};

use super::{Caller, Expect};

/// Calls under way at a time. With more a server does not keep up, and what it is measured by is the length of the run.
const UNDER_WAY_MAX: usize = 2_000;

/// Callers that share connections: one for each call under way at an address.
pub(crate) struct Pace {
    every: Duration,
    expect: Expect,
    idle: HashMap<SocketAddr, Vec<Caller>>,
    under_way: JoinSet<Call>,
    times: Vec<Duration>,
    failed: usize,
    first_fault: Option<anyhow::Error>,
}

/// A call that has ended.
struct Call {
    address: SocketAddr,
    caller: anyhow::Result<Caller>,
    /// From when it was to begin.
    took: Duration,
}

impl Pace {
    /// Calls to come: so many a second.
    pub(crate) fn new(per_second: u32, expect: Expect) -> Self {
        Self {
            every: Duration::from_secs(1) / per_second.max(1),
            expect,
            idle: HashMap::new(),
            under_way: JoinSet::new(),
            times: Vec::new(),
            failed: 0,
            first_fault: None,
        }
    }

    /// Calls for `time`, and waits for the last answers. `next` says whom, and with which head (see [`Caller::open`]). Gives how
    /// long each call took, in ascending order, counted from the moment at which it was to begin.
    ///
    /// # Errors
    /// A call failed; all were made nevertheless, unless far too many are under way.
    pub(crate) async fn run(
        mut self,
        time: Duration,
        mut next: impl FnMut() -> (SocketAddr, String),
    ) -> anyhow::Result<Vec<Duration>> {
        let calls = (time.as_secs_f64() / self.every.as_secs_f64()) as u32;
        let mut moments = moments(self.every, calls);
        loop {
            tokio::select! {
                Some(at) = moments.recv() => {
                    let (address, head) = next();
                    self.call(address, head, at)?;
                }
                Some(ended) = self.under_way.join_next() => self.ended(ended?),
                else => break,
            }
        }
        if let Some(fault) = self.first_fault {
            return Err(fault.context(format!("{} of {calls} transactions failed; the first", self.failed)));
        }
        self.times.sort_unstable();
        Ok(self.times)
    }

    /// Begins a call that was to begin at `at`.
    fn call(&mut self, address: SocketAddr, head: String, at: Instant) -> anyhow::Result<()> {
        if self.under_way.len() >= UNDER_WAY_MAX {
            bail!(
                "{UNDER_WAY_MAX} transactions wait for their answers: the load is more than this machine can do"
            );
        }
        let (idle, expect) = (self.idle.entry(address).or_default().pop(), self.expect);
        self.under_way.spawn(async move {
            let caller = async {
                let mut caller = match idle {
                    Some(caller) => caller,
                    None => Caller::open(address, "", expect).await?,
                };
                caller.set_head(&head);
                caller.call().await?;
                Ok(caller)
            }
            .await;
            Call { address, caller, took: at.elapsed() }
        });
        Ok(())
    }

    fn ended(&mut self, call: Call) {
        match call.caller {
            Ok(caller) => {
                self.times.push(call.took);
                self.idle.entry(call.address).or_default().push(caller);
            }
            Err(error) => {
                self.failed += 1;
                self.first_fault.get_or_insert(error);
            }
        }
    }
}

/// Gives each moment when it has come, `every` so often. A thread keeps the time: the runtime's own timer knows milliseconds only,
/// more than a call takes.
fn moments(every: Duration, count: u32) -> mpsc::Receiver<Instant> {
    let (came, moments) = mpsc::channel(UNDER_WAY_MAX);
    thread::spawn(move || {
        let began = Instant::now();
        for number in 0..count {
            let at = began + every * number;
            thread::sleep(at.saturating_duration_since(Instant::now()));
            // Nobody listens when the run was given up.
            if came.blocking_send(at).is_err() {
                return;
            }
        }
    });
    moments
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;
    use crate::load::{StandIn, Wire, echo};

    const HEAD: &str = "POST / HTTP/1.1\r\n";

    #[tokio::test]
    async fn calls_do_not_wait_for_each_other() {
        let slow = StandIn::start(|mut wire: Wire| async move {
            let mut body = Vec::new();
            while let Some(request) = wire.request().await? {
                wire.body(request.length, &mut body).await?;
                sleep(Duration::from_millis(200)).await;
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                wire.send(head.as_bytes(), &body).await?;
            }
            Ok(())
        });
        let slow = slow.await.unwrap();
        let began = Instant::now();
        let pace = Pace::new(100, Expect::Echo(64));
        let times = pace.run(Duration::from_millis(500), || (slow.address(), HEAD.into())).await.unwrap();
        assert_eq!(times.len(), 50);
        assert!(times[0] >= Duration::from_millis(200));
        assert!(began.elapsed() < Duration::from_secs(5), "one after the other would take ten seconds");
    }

    #[tokio::test]
    async fn all_calls_are_made_and_faults_counted() {
        let echo = StandIn::start(echo).await.unwrap();
        let pace = Pace::new(200, Expect::Echo(64));
        let times = pace.run(Duration::from_millis(250), || (echo.address(), HEAD.into())).await.unwrap();
        assert_eq!(times.len(), 50);
        assert!(times.is_sorted());
        let pace = Pace::new(200, Expect::Customer);
        let fault = pace.run(Duration::from_millis(100), || (echo.address(), HEAD.into())).await.unwrap_err();
        assert!(
            format!("{fault:#}").contains("20 of 20 transactions failed; the first: no customer ID"),
            "{fault:#}"
        );
    }
}
