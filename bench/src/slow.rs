//! Apps that send and read slowly, and their agents, which do not, as a process of their own: what these cost must not delay
//! the callers who are timed.

use std::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    rc::Rc,
    time::Duration,
};

use anyhow::{Context, bail};
use clap::Args;
use switchboard_fleet::KeyRing;
use tokio::{
    runtime::Builder,
    task::JoinSet,
    time::{Interval, MissedTickBehavior, interval, sleep},
};

use crate::{
    cpu,
    load::{Load, Wire, agent_headers},
    serve,
};

/// So much is sent or read at a time.
const PIECE_BYTES: usize = 4 << 10;
/// And then nothing for so long: 16 KiB a second. Oftener would keep both cores busy with nothing but waking these apps.
const PAUSE: Duration = Duration::from_millis(250);
/// What one packet carries.
const SEGMENT_BYTES: u32 = 1400;
/// What the kernel keeps for an app: no more, so that the instance has to wait for it.
const APP_SOCKET_BYTES: u32 = 8 << 10;
/// What it keeps for an agent that replies, and what the agent gives it at a time.
const AGENT_SOCKET_BYTES: u32 = 64 << 10;
/// A body that is not long.
const SHORT_BYTES: usize = 8;
/// An app that finds no agent, as that is not there yet, asks so often.
const TRIES: u32 = 50;
/// What bodies are made of.
static ZEROS: [u8; AGENT_SOCKET_BYTES as usize] = [0; AGENT_SOCKET_BYTES as usize];

/// What the process has to do.
#[derive(Debug, Clone, Args)]
pub(crate) struct Job {
    /// The instance's port.
    port: u16,
    /// Where its key is.
    folder: PathBuf,
    /// The customer ID of the first; each app has an agent of its own.
    first: u64,
    /// Apps that read slowly, and as many that send slowly.
    each: u64,
    /// Bytes of what they read or send before they begin anew.
    bytes: usize,
}

/// What one app wants: the bytes of its request and of the reply.
#[derive(Debug, Clone, Copy)]
struct Wish {
    id: u64,
    request: usize,
    reply: usize,
}

struct Slow {
    address: SocketAddr,
    keys: KeyRing,
}

/// Starts the process: `each` that read and `each` that send, customers from `first` on.
pub(crate) fn start(
    load: &mut Load,
    instance: &serve::Instance,
    first: u64,
    each: u64,
    bytes: usize,
) -> anyhow::Result<()> {
    let arguments = [
        "slow".to_owned(),
        instance.port().to_string(),
        instance.folder().display().to_string(),
        first.to_string(),
        each.to_string(),
        bytes.to_string(),
    ];
    load.start_crew(format!("the slow apps of the instance at port {}", instance.port()), arguments)
}

/// Is those apps and agents, until standard input ends.
///
/// # Errors
/// Anything that went wrong for any of them.
pub(crate) fn run(job: Job) -> anyhow::Result<()> {
    // An app's connection, its agent's poll and its reply.
    cpu::raise_file_limit(2 * job.each * 3 + 100)?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, job.port));
    let slow = Rc::new(Slow { address, keys: serve::keys(&job.folder)? });
    let runtime = Builder::new_current_thread().enable_all().build_local(Default::default())?;
    let gone = serve::input_ends(|| ());
    let reader = |id| Wish { id, request: SHORT_BYTES, reply: job.bytes };
    let sender = |id| Wish { id, request: job.bytes, reply: SHORT_BYTES };
    let middle = job.first + job.each;
    let wishes = (job.first..middle).map(reader).chain((middle..middle + job.each).map(sender));
    runtime.block_on(async {
        let mut tasks = JoinSet::new();
        for wish in wishes {
            let (app, agent) = (slow.clone(), slow.clone());
            tasks.spawn_local(async move { agent.be_agent(wish).await.context("an agent") });
            tasks.spawn_local(async move { app.be_app(wish).await.context("a slow app") });
        }
        tokio::select! {
            _ = gone => Ok(()),
            Some(ended) = tasks.join_next() => match ended? {
                Err(error) => Err(error),
                Ok(never) => match never {},
            },
        }
    })
}

impl Slow {
    /// An app: calls again and again, each time a piece at a time.
    async fn be_app(&self, wish: Wish) -> anyhow::Result<Infallible> {
        // Not all in step.
        sleep(PAUSE.mul_f64(rand::random_range(0.0..1.0))).await;
        let mut wire = Wire::open_far(self.address, SEGMENT_BYTES, APP_SOCKET_BYTES).await?;
        let mut pace = interval(PAUSE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut tries = 0;
        loop {
            let met = self.call(&mut wire, wish, &mut pace).await?;
            tries = if met { 0 } else { tries + 1 };
            if tries == TRIES {
                bail!("no agent for customer {}", wish.id);
            }
        }
    }

    /// One call; whether the agent was there.
    async fn call(&self, wire: &mut Wire, wish: Wish, pace: &mut Interval) -> anyhow::Result<bool> {
        let head = format!(
            "POST /client/{} HTTP/1.1\r\nHost: bench\r\nX-IWP-ProductUnivId: {}\r\nContent-Length: {}\r\n\r\n",
            self.address.port(),
            wish.id,
            wish.request
        );
        wire.send(head.as_bytes(), &[]).await?;
        let mut left = wish.request;
        while left > 0 {
            pace.tick().await;
            let some = left.min(PIECE_BYTES);
            wire.send(&ZEROS[..some], &[]).await?;
            left -= some;
        }
        let answer = wire.answer().await?;
        let mut left = answer.length;
        while left > 0 {
            pace.tick().await;
            left -= wire.skim(left.min(PIECE_BYTES)).await?;
        }
        match (answer.status, answer.nobody, answer.length) {
            (200, true, _) => Ok(false),
            (200, false, length) if length == wish.reply => Ok(true),
            (status, _, length) => bail!("status {status} and {length} bytes for customer {}", wish.id),
        }
    }

    /// An agent: reads what comes and replies as fast as it is let.
    async fn be_agent(&self, wish: Wish) -> anyhow::Result<Infallible> {
        let port = self.address.port();
        let headers = format!("Host: bench\r\n{}", agent_headers(&self.keys, wish.id)?);
        let poll = format!("POST /agent/{port} HTTP/1.1\r\n{headers}Content-Length: 0\r\n\r\n");
        let mut wire = Wire::open(self.address).await?;
        loop {
            wire.send(poll.as_bytes(), &[]).await?;
            let request = wire.answer().await?;
            let mut left = request.length;
            while left > 0 {
                left -= wire.skim(left).await?;
            }
            if request.status != 200 {
                bail!("status {} to a poll", request.status);
            }
            if request.nobody {
                continue;
            }
            let request_id = request.request_id.context("a request without X-IWP-RequestId")?;
            let reply = format!(
                "POST /agentreply/{port} HTTP/1.1\r\n{headers}X-IWP-RequestId: {request_id}\r\nContent-Length: {}\r\n\r\n",
                wish.reply
            );
            self.reply(&reply, wish.reply).await.with_context(|| format!("the reply of {}", wish.id))?;
        }
    }

    /// Over a connection of its own: between two replies the instance may well end one that waits.
    async fn reply(&self, head: &str, length: usize) -> anyhow::Result<()> {
        let mut wire = Wire::open_far(self.address, SEGMENT_BYTES, AGENT_SOCKET_BYTES).await?;
        wire.send(head.as_bytes(), &[]).await?;
        let mut left = length;
        while left > 0 {
            let some = left.min(ZEROS.len());
            wire.send(&ZEROS[..some], &[]).await?;
            left -= some;
        }
        let taken = wire.answer().await?;
        if taken.status != 200 {
            bail!("status {}", taken.status);
        }
        Ok(())
    }
}
