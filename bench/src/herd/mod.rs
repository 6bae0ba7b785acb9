//! Agents by the ten thousand, as a process of their own for each instance: they need as many files as it does.

mod agent;
mod replies;

use std::{
    net::{Ipv4Addr, SocketAddr},
    ops::Range,
    path::PathBuf,
    rc::Rc,
    sync::Arc,
};

use clap::Args;
use switchboard_fleet::KeyRing;
use tokio::{
    runtime::Builder,
    sync::{Semaphore, mpsc},
    task::spawn_local,
};

use crate::{cpu, load::Load, serve};

use replies::Replies;

/// Agents that connect and say hello at a time.
pub(crate) const CONNECTING_MAX: usize = 64;
/// Files besides the agents' connections: those for replies, and the process' own.
const SPARE_FILES: u64 = replies::OPEN_MAX as u64 + 100;
/// Addresses from which one process connects. The kernel finds a free port quickly while no more than half of an address' ports
/// are taken.
pub(crate) const SOURCES: u64 = 4;

/// What one process has to do.
#[derive(Debug, Clone, Args)]
pub(crate) struct Job {
    /// The instance's port.
    port: u16,
    /// Where its key is.
    folder: PathBuf,
    /// The first agent's customer ID.
    first: u64,
    /// How many there are; their IDs follow each other.
    agents: u64,
    /// The third number of the addresses in 127.0.0.0/8 that they connect from.
    net: u8,
}

/// What the agents of one process share.
struct Herd {
    address: SocketAddr,
    keys: KeyRing,
    replies: Replies,
    job: Job,
}

/// Starts a process with the agents of these customers at an instance. They connect as fast as it goes.
pub(crate) fn start(
    load: &mut Load,
    instance: &serve::Instance,
    customers: &Range<u64>,
    net: u8,
) -> anyhow::Result<()> {
    let arguments = [
        "herd".to_owned(),
        instance.port().to_string(),
        instance.folder().display().to_string(),
        customers.start.to_string(),
        (customers.end - customers.start).to_string(),
        net.to_string(),
    ];
    load.start_crew(format!("the agents of the instance at port {}", instance.port()), arguments)
}

/// Is those agents, until standard input ends.
///
/// # Errors
/// Anything that went wrong for any of them.
pub(crate) fn run(job: Job) -> anyhow::Result<()> {
    cpu::raise_file_limit(job.agents + SPARE_FILES)?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, job.port));
    let herd =
        Rc::new(Herd { address, keys: serve::keys(&job.folder)?, replies: Replies::new(address), job });
    let runtime = Builder::new_current_thread().enable_all().build_local(Default::default())?;
    let gone = serve::input_ends(|| ());
    runtime.block_on(async {
        let (wrong, mut first_wrong) = mpsc::channel(1);
        tokio::select! {
            _ = gone => Ok(()),
            Some(error) = first_wrong.recv() => Err(error),
            Err(error) = herd.drive(wrong) => Err(error),
        }
    })
}

impl Herd {
    /// Lets the agents connect, not too many at a time.
    async fn drive(self: Rc<Self>, wrong: mpsc::Sender<anyhow::Error>) -> anyhow::Result<()> {
        let places = Arc::new(Semaphore::new(CONNECTING_MAX));
        for number in 0..self.job.agents {
            let place = places.clone().acquire_owned().await?;
            let (herd, wrong) = (self.clone(), wrong.clone());
            spawn_local(async move {
                let Err(error) = agent::live(&herd, number, place).await;
                let id = herd.job.first + number;
                let context = format!("the agent of customer {id} at {}", herd.address);
                // After the first fault all is over.
                let _ = wrong.try_send(error.context(context));
            });
        }
        Ok(())
    }

    /// Where an agent connects from: neighbours from different addresses.
    fn source(&self, number: u64) -> Ipv4Addr {
        Ipv4Addr::new(127, 0, self.job.net, 2 + (number % SOURCES) as u8)
    }

    /// The headers of an agent's calls to a route, but for the length.
    fn head(&self, route: &str, id: u64) -> anyhow::Result<String> {
        let headers = crate::load::agent_headers(&self.keys, id)?;
        Ok(format!("POST /{route} HTTP/1.1\r\nHost: bench\r\n{headers}"))
    }
}
