//! What the front costs, and how soon something is so. Everything is as rendered for a server, with its controller; only the instances
//! are stood in for.

pub(crate) mod cost;
pub(crate) mod dead;
pub(crate) mod join;
pub(crate) mod switch;

use std::time::Duration;

use anyhow::bail;
use rand::random_range;
use tokio::time::sleep;

use crate::{
    front::{Front, Plan},
    load::{Backend, Expect, Load},
    rows::Scene,
};

/// Callers at a time.
const CALLERS: usize = 64;
/// Places for instances that join, as by default.
const SPARE: usize = 16;
/// The head of a request that any backend may answer.
const ANYONE: &str = "GET /anyone HTTP/1.1\r\n";
/// Once a second the controller looks.
const LOOK_EVERY_MS: u64 = 1000;

/// A front, and what stands behind it.
struct Stage {
    backends: Vec<Backend>,
    front: Front,
    workers: Vec<u32>,
}

impl Stage {
    /// A front with the module, its controller, and so many backends; `None` if there is no module.
    async fn set(scene: &Scene, backends: usize) -> anyhow::Result<Option<Self>> {
        let Some(module) = &scene.module else { return Ok(None) };
        let backends = Backend::start_all(backends).await?;
        let ports: Vec<u16> = backends.iter().map(Backend::port).collect();
        let front = Front::start(&Plan { ports: &ports, spare: SPARE, module: Some(module) }).await?;
        let workers = front.workers()?;
        Ok(Some(Self { backends, front, workers }))
    }

    /// Callers who must all be answered.
    async fn load(&self) -> anyhow::Result<Load> {
        let mut load = Load::new();
        for _ in 0..CALLERS {
            load.call(self.front.address()?, ANYONE, Expect::Done).await?;
        }
        Ok(load)
    }

    /// Nothing of what was done took a reload.
    fn assert_no_reload(&self) -> anyhow::Result<()> {
        let workers = self.front.workers()?;
        if workers != self.workers {
            bail!("nginx was reloaded: its processes were {:?} and are {workers:?}", self.workers);
        }
        Ok(())
    }
}

/// Waits until some moment between two of the controller's looks, each as likely as any other.
async fn at_any_moment(load: &mut Load) -> anyhow::Result<()> {
    let pause = LOOK_EVERY_MS / 2 + random_range(0..LOOK_EVERY_MS);
    load.during(async {
        sleep(Duration::from_millis(pause)).await;
        Ok(())
    })
    .await
}
