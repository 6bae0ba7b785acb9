//! What a proxied request costs nginx with the module, and without it.

use std::path::Path;

use anyhow::bail;

use crate::{
    effort::Effort,
    figures::{Series, Unit},
    front::{Front, Plan},
    load::{Backend, Expect, Load},
    rows::{
        Scene,
        front::{CALLERS, SPARE},
        proxied_head, tell,
    },
    table::Line,
};

/// Bytes of request and answer.
const BODY_BYTES: usize = 1 << 10;

/// What is measured by itself.
struct Case {
    name: &'static str,
    backends: usize,
    spare: usize,
    /// Whether callers name the port of a backend, each that of another one.
    by_port: bool,
}

const CASES: [Case; 4] = [
    Case { name: "2 backends in turn", backends: 2, spare: SPARE, by_port: false },
    Case { name: "2 backends in turn, 1,000 spare places", backends: 2, spare: 1000, by_port: false },
    Case { name: "1,000 backends in turn", backends: 1000, spare: SPARE, by_port: false },
    Case { name: "1,000 backends, each by its port", backends: 1000, spare: SPARE, by_port: true },
];

/// Lets nginx with the module and nginx without it take turns.
pub(crate) async fn measure(scene: &Scene) -> anyhow::Result<Vec<Line>> {
    let Some(module) = &scene.module else { return Ok(Vec::new()) };
    let mut lines = Vec::new();
    for case in &CASES {
        lines.push(case.measure(&scene.effort, module).await?);
    }
    Ok(lines)
}

impl Case {
    async fn measure(&self, effort: &Effort, module: &Path) -> anyhow::Result<Line> {
        let backends = Backend::start_all(self.backends).await?;
        let ports: Vec<u16> = backends.iter().map(Backend::port).collect();
        let plan = Plan { ports: &ports, spare: self.spare, module: Some(module) };
        let (front, stock) =
            (Front::start(&plan).await?, Front::start(&Plan { module: None, ..plan }).await?);
        let (mut with, mut without) = (Series::default(), Series::default());
        for _ in 0..effort.fine_rounds {
            with.push(self.turn("with the module", &front, &ports, effort).await?);
            without.push(self.turn("without", &stock, &ports, effort).await?);
            let held = front.counts().await?.of(ports[0]).await?;
            if held.max_fails != 0 {
                bail!("the controller does not hold the module's lease: {held:?}");
            }
        }
        let what = format!(
            "nginx's CPU time for a request proxied with the module, {}; to compare: without the module",
            self.name
        );
        let line = Line::new(what, &with, Unit::Microseconds);
        Ok(line.beside(&with, &without, Unit::Microseconds))
    }

    /// CPU seconds for a request.
    async fn turn(&self, who: &str, front: &Front, ports: &[u16], effort: &Effort) -> anyhow::Result<f64> {
        let mut load = Load::new();
        for port in ports.iter().cycle().take(CALLERS) {
            let path = if self.by_port { format!("/client/{port}") } else { "/anyone".into() };
            load.call(front.address()?, &proxied_head(&path), Expect::Echo(BODY_BYTES)).await?;
        }
        let effort = Effort { window: effort.fine_window, ..*effort };
        let turn = load.turn(&effort, || front.cpu()).await?;
        tell(&format!("nginx {who}, {}", self.name), turn);
        Ok(turn.cpu_per_call())
    }
}
