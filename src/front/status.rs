//! `front status`.

use switchboard_daemon::Outcome;
use switchboard_fleet::{
    config::Config,
    front::{Backend, Table},
};
use switchboard_nginx::{Front, InstanceState, Site, Status, Switches, probe};

use super::{ask, say};

/// Shows nginx and its backends: all that the controller knows, or, without one, the instances and whether they answer.
pub(super) fn show(config: &Config, json: bool) -> Outcome {
    if ask::is_there(config) {
        let table = ask::table(config)?;
        if json {
            say(serde_json::to_string_pretty(&table)?);
        } else {
            nginx(config)?;
            lines(&table).iter().for_each(say);
        }
        return Ok(());
    }
    if json {
        return Err(anyhow::anyhow!(
            "the front's controller does not run: there is no table without it; start `switchboard up`"
        )
        .into());
    }
    nginx(config)?;
    let switches = Switches::kept(&Site::of(config)?)?;
    say(format!("{:<22} {:<7} STATE", "BACKEND", "SWITCH"));
    for port in &config.instances {
        let address = switchboard_nginx::backend(config, *port);
        let state = match probe(address) {
            InstanceState::Answers(state) => state,
            InstanceState::Silent(why) => format!("does not answer: {why}"),
        };
        say(format!("{:<22} {:<7} {state}", address.to_string(), switches.get(*port)));
    }
    Ok(())
}

fn nginx(config: &Config) -> anyhow::Result<()> {
    let Status { pid, generation } = Front::new(config)?.status(config)?;
    say(match (pid, generation) {
        (Some(pid), Some(generation)) => format!("nginx runs as process {pid}, configuration {generation}"),
        (Some(pid), None) => format!("nginx runs as process {pid} and does not answer"),
        (None, _) => "nginx does not run".into(),
    });
    Ok(())
}

fn lines(table: &Table) -> Vec<String> {
    let mut lines = Vec::new();
    match &table.nginx.module {
        Some(version) => lines.push(format!("module {version} counts and switches")),
        None => {
            lines.push("no module: nothing is counted, and a switch is a reload; see front.module".into())
        }
    }
    lines.extend(table.panic.iter().map(|panic| format!("PANIC MODE: {}", panic.why)));
    lines.extend(table.wrong.iter().map(|wrong| format!("WRONG: {wrong}")));
    for upstream in &table.upstreams {
        lines.push(String::new());
        lines.push(format!(
            "{:<22} {:<11} {:>6} {:>6} {:>8} {:>8} {:>9} {:>9} {:>8} {:>8}",
            upstream.name,
            "STATE",
            "SHARE",
            "NOW",
            "REQ/S",
            "FAILED",
            "REQUESTS",
            "IN FLIGHT",
            "P50 MS",
            "P99 MS"
        ));
        lines.extend(upstream.backends.iter().flat_map(row));
    }
    lines
}

fn row(backend: &Backend) -> impl Iterator<Item = String> {
    let ms = |ms: Option<u64>| ms.map_or_else(|| "-".into(), |ms| ms.to_string());
    let share = backend.weight * backend.share / 100;
    let line = format!(
        "{:<22} {:<11} {:>4} % {:>4.0} % {:>8.1} {:>6.1} % {:>9} {:>9} {:>8} {:>8}",
        backend.address,
        backend.state.word(),
        share,
        backend.traffic * 100.0,
        backend.per_second,
        backend.failed * 100.0,
        backend.requests,
        backend.in_flight,
        ms(backend.recent.p50_ms),
        ms(backend.recent.p99_ms),
    );
    let why = backend.why.iter().map(|why| format!("    {why}"));
    [line].into_iter().chain(why.collect::<Vec<_>>())
}
