//! What is counted: one thing after the other, never two at a time.

use std::time::Duration;

use anyhow::Context;
use switchboard_fleet::config::Config;
use tokio::time::sleep;

use super::{callgrind::Watched, profile::Profile};
use crate::{
    load::{Agent, Caller, Expect},
    rows::{agents, app_head},
};

/// The customer.
const CUSTOMER: u64 = 1;
/// After this without a call the instance has done all that follows from the calls before.
const QUIET: Duration = Duration::from_millis(400);

/// What is done so and so often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Transactions with bodies of so many bytes, each way.
    Transactions(usize),
    /// Polls that are given back, and come again.
    Polls,
    /// Agents that say hello, each another one.
    Hellos,
}

/// One case.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    /// By which it is known in the file of bounds.
    pub(crate) name: &'static str,
    kind: Kind,
    /// How often it is done while instructions are counted: so often that what happens by the clock does not matter.
    pub(crate) count: usize,
}

/// All, in the order of the table.
pub(crate) const CASES: [Case; 4] = [
    Case { name: "transaction-1k", kind: Kind::Transactions(1 << 10), count: 1000 },
    Case { name: "transaction-64k", kind: Kind::Transactions(64 << 10), count: 500 },
    Case { name: "poll", kind: Kind::Polls, count: 3000 },
    Case { name: "connect", kind: Kind::Hellos, count: 3000 },
];

impl Case {
    /// What the instance does for all of them.
    pub(crate) async fn count(&self) -> anyhow::Result<Profile> {
        let mut watched = Watched::start()?;
        match self.kind {
            Kind::Transactions(bytes) => self.transactions(&mut watched, bytes).await,
            Kind::Polls => self.polls(&mut watched).await,
            Kind::Hellos => self.hellos(&mut watched).await,
        }
    }

    /// As often as it takes until tables have their size and pools are full.
    fn warm_up(&self) -> usize {
        self.count / 5
    }

    async fn transactions(&self, watched: &mut Watched, bytes: usize) -> anyhow::Result<Profile> {
        let mut load = agents(&watched.instance, CUSTOMER..=CUSTOMER).await?;
        let head = app_head(&watched.instance, CUSTOMER);
        let mut app = Caller::open(watched.instance.address(), &head, Expect::Echo(bytes)).await?;
        load.during(times(self.warm_up(), &mut app)).await?;
        watched.end_part()?;
        load.during(times(self.count, &mut app)).await?;
        watched.end_part()
    }

    async fn polls(&self, watched: &mut Watched) -> anyhow::Result<Profile> {
        let (address, headers) = (watched.instance.address(), watched.instance.agent_headers(CUSTOMER)?);
        let most = Config::default().limits.parked_per_id;
        let mut polls = Vec::with_capacity(most + 1);
        for _ in 0..=most {
            polls.push(Agent::open(address, &headers).await?);
        }
        for poll in polls.iter_mut().take(most) {
            poll.park().await?;
        }
        watched.instance.until_parked(most).await?;
        let mut turns = Turns { polls, next: most };
        turns.take(self.warm_up()).await?;
        watched.end_part()?;
        turns.take(self.count).await?;
        watched.end_part()
    }

    async fn hellos(&self, watched: &mut Watched) -> anyhow::Result<Profile> {
        let head =
            |id| anyhow::Ok(format!("POST /connect HTTP/1.1\r\n{}", watched.instance.agent_headers(id)?));
        let mut caller = Caller::open(watched.instance.address(), &head(CUSTOMER)?, Expect::Done).await?;
        let heads = (CUSTOMER..).take(self.warm_up() + self.count).map(head);
        let heads = heads.collect::<anyhow::Result<Vec<_>>>()?;
        let (first, then) = heads.split_at(self.warm_up());
        hellos(&mut caller, first).await?;
        watched.end_part()?;
        hellos(&mut caller, then).await?;
        watched.end_part()
    }
}

/// Polls of one customer on connections of their own: one more than may be parked, so that each that comes gives back the oldest.
struct Turns {
    polls: Vec<Agent>,
    /// The connection that has none parked.
    next: usize,
}

impl Turns {
    async fn take(&mut self, count: usize) -> anyhow::Result<()> {
        for _ in 0..count {
            self.polls.get_mut(self.next).context("no such poll")?.park().await?;
            self.next = (self.next + 1) % self.polls.len();
            self.polls.get_mut(self.next).context("no such poll")?.released().await?;
        }
        sleep(QUIET).await;
        Ok(())
    }
}

async fn times(count: usize, caller: &mut Caller) -> anyhow::Result<()> {
    for _ in 0..count {
        caller.call().await?;
    }
    sleep(QUIET).await;
    Ok(())
}

async fn hellos(caller: &mut Caller, heads: &[String]) -> anyhow::Result<()> {
    for head in heads {
        caller.set_head(head);
        caller.call().await?;
    }
    sleep(QUIET).await;
    Ok(())
}
