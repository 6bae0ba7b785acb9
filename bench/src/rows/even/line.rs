//! Apps in line for one customer, whose agent has just gone and is expected back.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::task::JoinSet;

use crate::{
    load::{Agent, Load, Wire},
    rows::app_head,
    serve::Instance,
};

/// Between two looks at the instance.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// The agent comes back with so many polls.
const POLLS: usize = 8;

/// Apps that wait; gone when dropped.
pub(super) struct Queue {
    id: u64,
    apps: JoinSet<anyhow::Result<bool>>,
}

/// How it ended for them.
pub(super) struct Served {
    /// Apps that got their own request's echo.
    pub(super) answered: usize,
    /// Apps that were told that no agent is there.
    pub(super) told: usize,
    /// From the agent's return to the last answer.
    pub(super) took: Duration,
}

impl Queue {
    /// Lets `count` apps wait for the agent of customer `id`. Besides them `parked` polls are parked at the instance.
    pub(super) async fn form(
        instance: &Instance,
        id: u64,
        count: usize,
        parked: usize,
    ) -> anyhow::Result<Self> {
        let mut agent = Agent::open(instance.address(), &instance.agent_headers(id)?).await?;
        agent.park().await?;
        instance.until_parked(parked + 1).await?;
        drop(agent);
        instance.until_parked(parked).await?;
        let mut apps = JoinSet::new();
        for number in 0..count {
            let mut wire = Wire::open(instance.address()).await?;
            let body = number.to_le_bytes();
            let head =
                format!("{}Host: bench\r\nContent-Length: {}\r\n\r\n", app_head(instance, id), body.len());
            wire.send(head.as_bytes(), &body).await?;
            apps.spawn(wait(wire, body));
        }
        let mut queue = Self { id, apps };
        tokio::select! {
            all = instance.until(LOOK_EVERY, |status| status.transactions.waiting == count as u64) => all?,
            early = queue.early() => bail!("an app in line was answered before its agent came: {early:?}"),
        }
        Ok(queue)
    }

    /// An app that is answered while all should wait.
    async fn early(&mut self) -> Option<anyhow::Result<bool>> {
        match self.apps.join_next().await? {
            Ok(ended) => Some(ended),
            Err(error) => Some(Err(error.into())),
        }
    }

    /// Whether all wait that did at first.
    ///
    /// # Errors
    /// One does not, and why.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        match self.apps.try_join_next() {
            None => Ok(()),
            Some(early) => bail!("an app in line was answered before its agent came: {early:?}"),
        }
    }

    /// The agent comes back, as part of `load`, and serves them all.
    ///
    /// # Errors
    /// An app got neither its reply nor the word that nobody is there.
    pub(super) async fn serve(mut self, load: &mut Load, instance: &Instance) -> anyhow::Result<Served> {
        let began = Instant::now();
        for _ in 0..POLLS {
            load.serve(instance.address(), instance.port(), &instance.agent_headers(self.id)?).await?;
        }
        let (answered, told) = load
            .during(async {
                let (mut answered, mut told) = (0, 0);
                while let Some(ended) = self.apps.join_next().await {
                    if ended?? { answered += 1 } else { told += 1 }
                }
                Ok((answered, told))
            })
            .await?;
        Ok(Served { answered, told, took: began.elapsed() })
    }
}

/// One app; whether its agent answered.
async fn wait(mut wire: Wire, sent: [u8; 8]) -> anyhow::Result<bool> {
    wire.doze().await?;
    let answer = wire.answer().await.context("an app in line")?;
    let mut body = Vec::new();
    wire.body(answer.length, &mut body).await?;
    match (answer.status, answer.nobody) {
        (200, true) => Ok(false),
        (200, false) if body == sent => Ok(true),
        (200, false) => bail!("a wrong body of {} bytes to an app in line", body.len()),
        (status, _) => bail!("status {status} to an app in line"),
    }
}
