//! Load: callers, agents and reporting workers on keep-alive connections, all on one thread, and what they got done.

mod agent;
mod backend;
mod caller;
mod crew;
mod echo;
mod head;
mod hearer;
mod pace;
mod sender;
mod stand_in;
mod taker;
mod wire;

use std::{
    array,
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::bail;
use tokio::{sync::Mutex, task::JoinSet, time::sleep};

pub(crate) use agent::{Agent, agent_headers};
pub(crate) use backend::Backend;
pub(crate) use caller::{Caller, Expect};
pub(crate) use echo::echo;
pub(crate) use hearer::Hearers;
pub(crate) use pace::Pace;
pub(crate) use sender::Sender;
pub(crate) use stand_in::StandIn;
pub(crate) use taker::take;
pub(crate) use wire::{Wire, get};

use crate::effort::Effort;

use crew::Crew;

/// Less than this cannot be told from the unit in which the kernel counts.
const CPU_MIN: Duration = Duration::from_millis(50);

/// Callers and agents at work; stopped when dropped.
pub(crate) struct Load {
    /// Before the tasks, which would see them end.
    crews: Vec<Crew>,
    tasks: JoinSet<anyhow::Result<Infallible>>,
    done: Arc<AtomicU64>,
    failed: Arc<AtomicU64>,
}

/// What a server did in one turn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn {
    calls: u64,
    cpu: Duration,
    elapsed: Duration,
}

impl Load {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self { crews: Vec::new(), tasks: JoinSet::new(), done: Arc::default(), failed: Arc::default() }
    }

    /// Adds a caller that calls again as soon as it has its answer.
    pub(crate) async fn call(
        &mut self,
        address: SocketAddr,
        head: &str,
        expect: Expect,
    ) -> anyhow::Result<()> {
        self.add(Caller::open(address, head, expect).await?, false, false);
        Ok(())
    }

    /// The same, but each call goes over a new connection.
    pub(crate) async fn call_anew(
        &mut self,
        address: SocketAddr,
        head: &str,
        expect: Expect,
    ) -> anyhow::Result<()> {
        self.add(Caller::open(address, head, expect).await?, true, false);
        Ok(())
    }

    /// As [`Load::call`], but a call that fails is counted and not the end of the load.
    pub(crate) async fn call_on(
        &mut self,
        address: SocketAddr,
        head: &str,
        expect: Expect,
    ) -> anyhow::Result<()> {
        self.add(Caller::open(address, head, expect).await?, false, true);
        Ok(())
    }

    /// Lets a caller call: over a new connection each time if `anew`; if it `forgives`, a failure is counted and not the end.
    fn add(&mut self, mut caller: Caller, anew: bool, forgives: bool) {
        let (done, failed) = (self.done.clone(), self.failed.clone());
        self.tasks.spawn(async move {
            loop {
                let called = caller.call().await;
                let broke = called.is_err();
                if !forgives {
                    called?;
                }
                done.fetch_add(1, Ordering::Relaxed);
                failed.fetch_add(u64::from(broke), Ordering::Relaxed);
                if anew || broke {
                    caller.reopen().await?;
                }
            }
        });
    }

    /// Adds an agent's connection to the instance of `port`, at `address` or through a front there.
    pub(crate) async fn serve(
        &mut self,
        address: SocketAddr,
        port: u16,
        agent_headers: &str,
    ) -> anyhow::Result<()> {
        let agent = Agent::through(address, port, agent_headers).await?;
        self.tasks.spawn(agent.serve());
        Ok(())
    }

    /// Adds a worker that sends reports, `count` in each call. It is free again when the load is gone.
    pub(crate) fn report(&mut self, sender: Arc<Mutex<Sender>>, count: usize) {
        let done = self.done.clone();
        self.tasks.spawn(async move {
            let mut sender = sender.lock_owned().await;
            loop {
                sender.report(count).await?;
                done.fetch_add(1, Ordering::Relaxed);
            }
        });
    }

    /// Lets the load run, and gives what was done within `effort.window` and the CPU time that it took. A server that
    /// got too little time to measure gets another window.
    ///
    /// # Errors
    /// Whatever goes wrong with any of the calls: there is no such thing as a few wrong answers.
    pub(crate) async fn turn(
        &mut self,
        effort: &Effort,
        cpu: impl Fn() -> anyhow::Result<Duration>,
    ) -> anyhow::Result<Turn> {
        let [turn] = self.turn_of(effort, || Ok([cpu()?])).await?;
        Ok(turn)
    }

    /// The same of several servers, or sums of them, that do the calls together.
    ///
    /// # Errors
    /// As [`Load::turn`].
    pub(crate) async fn turn_of<const N: usize>(
        &mut self,
        effort: &Effort,
        cpu: impl Fn() -> anyhow::Result<[Duration; N]>,
    ) -> anyhow::Result<[Turn; N]> {
        self.run(effort.warm_up).await?;
        let (began, calls_before, cpu_before) = (Instant::now(), self.calls(), cpu()?);
        loop {
            self.run(effort.window).await?;
            let (calls, cpu_after) = (self.calls() - calls_before, cpu()?);
            let elapsed = began.elapsed();
            let turns = array::from_fn(|n| Turn { calls, cpu: cpu_after[n] - cpu_before[n], elapsed });
            if calls > 0 && turns.iter().all(|turn: &Turn| turn.cpu >= CPU_MIN) {
                return Ok(turns);
            }
        }
    }

    /// Lets the load run while `work` is done; gives what `work` gives.
    pub(crate) async fn during<T>(
        &mut self,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        tokio::select! {
            result = work => result,
            Some(ended) = self.tasks.join_next() => match ended? {
                Err(error) => Err(error),
                Ok(never) => match never {},
            },
        }
    }

    /// Lets the load run for so long.
    pub(crate) async fn run(&mut self, time: Duration) -> anyhow::Result<()> {
        if self.tasks.is_empty() {
            bail!("there is nobody to call");
        }
        self.during(async {
            sleep(time).await;
            Ok(())
        })
        .await
    }

    /// Calls that have ended.
    pub(crate) fn calls(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Calls of [`Load::call_on`] that failed.
    pub(crate) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }
}

impl Turn {
    /// Calls for each second of CPU time.
    pub(crate) fn per_cpu_second(&self) -> f64 {
        self.calls as f64 / self.cpu.as_secs_f64()
    }

    /// CPU seconds for each call.
    pub(crate) fn cpu_per_call(&self) -> f64 {
        self.cpu.as_secs_f64() / self.calls as f64
    }

    /// How much of one core the server used, 1 being all of it.
    pub(crate) fn cores(&self) -> f64 {
        self.cpu.as_secs_f64() / self.elapsed.as_secs_f64()
    }
}
