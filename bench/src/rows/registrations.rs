//! Registrations per CPU second, ledger on disk included.

use crate::{
    effort::Effort,
    figures::{Series, Unit},
    load::{Caller, Expect, Load, Turn},
    rows::{Scene, answer_turn, tell},
    serve::Instance,
    table::Line,
};

const HEAD: &str = "POST /getuniversalid HTTP/1.1\r\n";
/// Leaf is Meituan's service for IDs, which takes ranges from a database. The figure is from `README_CN.md` in
/// github.com/Meituan-Dianping/Leaf: "close to 50,000" calls a second on a virtual machine with four cores.
const WHAT: &str = "registrations per CPU second, the ledger on disk included; nginx: `return 200`; \
                    to compare: Leaf says about 50,000/s of itself, on 4 cores (github.com/Meituan-Dianping/Leaf)";
/// Agents that register at a time.
const CALLERS: u64 = 64;

/// Lets the instance and nginx take turns.
pub(crate) async fn measure(scene: &Scene) -> anyhow::Result<Vec<Line>> {
    let (mut ours, mut answered) = (Series::default(), Series::default());
    let instance = Instance::start()?;
    until_it_has_ids(&instance).await?;
    for _ in 0..scene.effort.rounds {
        ours.push(turn(&instance, &scene.effort).await?.per_cpu_second());
        if let Some(nginx) = &scene.nginx {
            answered.push(answer_turn(nginx, &scene.effort, CALLERS).await?.per_cpu_second());
        }
    }
    let line = Line::new(WHAT, &ours, Unit::PerSecond);
    Ok(vec![line.beside(&ours, &answered, Unit::PerSecond)])
}

/// A new instance gets its first range from its master within moments.
async fn until_it_has_ids(instance: &Instance) -> anyhow::Result<()> {
    while instance.status().await?.ids.left == 0 {
        Caller::open(instance.address(), HEAD, Expect::Done).await?.call().await?;
    }
    Ok(())
}

async fn turn(instance: &Instance, effort: &Effort) -> anyhow::Result<Turn> {
    let mut load = Load::new();
    for _ in 0..CALLERS {
        load.call(instance.address(), HEAD, Expect::Customer).await?;
    }
    let turn = load.turn(effort, || instance.cpu()).await?;
    tell("Switchboard, registrations", turn);
    Ok(turn)
}
