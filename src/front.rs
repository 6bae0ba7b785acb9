//! `switchboard front`: the nginx side.

use std::{net::SocketAddr, path::Path, str::FromStr};

use anyhow::anyhow;
use switchboard_fleet::config::{Config, load};
use switchboard_nginx::{Applied, Front, InstanceState, Site, Switch, Switches, probe, render};

use crate::error::{Failure, Outcome};

/// Arguments of `switchboard front`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print the nginx configuration.
    Render,
    /// Put the configuration in force; nginx goes on with the old one if it refuses the new.
    Apply,
    /// Show the instances, how they are switched, and whether they answer.
    Status,
    /// Give an instance no traffic at all.
    Off(Change),
    /// Give an instance its share of the traffic again.
    On(Change),
    /// Give an instance no new agents and apps; those that know its port still reach it.
    Drain(Change),
}

#[derive(Debug, clap::Args)]
struct Change {
    /// The instance: PORT or ADDRESS:PORT.
    backend: Backend,
    /// Do it even if no instance stays in rotation.
    #[arg(long)]
    force: bool,
}

/// An instance as a person names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Backend {
    Port(u16),
    Address(SocketAddr),
}

impl FromStr for Backend {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let port = || text.parse().map(Self::Port);
        text.parse().map(Self::Address).or_else(|_| port()).map_err(|_| "expected PORT or ADDRESS:PORT")
    }
}

/// Runs the command.
pub(crate) fn run(config: &Path, args: Args) -> Outcome {
    let config = load(config)?;
    match args.command {
        Command::Render => print_configuration(&config),
        Command::Apply => {
            let applied = Front::new(&config)?.apply(&config)?;
            say(describe(applied));
            Ok(())
        }
        Command::Status => status(&config),
        Command::Off(change) => switch(&config, &change, Switch::Off),
        Command::On(change) => switch(&config, &change, Switch::On),
        Command::Drain(change) => switch(&config, &change, Switch::Drain),
    }
}

/// What would be put in force now; works where nginx is not installed too.
fn print_configuration(config: &Config) -> Outcome {
    let site = Site::of(config)?;
    let switches = Switches::kept(&site)?;
    say(render(config, &switches, &site, 0).trim_end());
    Ok(())
}

fn switch(config: &Config, change: &Change, switch: Switch) -> Outcome {
    let port = port_of(change.backend, config).map_err(Failure::Configuration)?;
    let applied = Front::new(config)?.switch(config, port, switch, change.force)?;
    say(format!("instance {port}: {switch}; {}", describe(applied)));
    Ok(())
}

fn port_of(backend: Backend, config: &Config) -> anyhow::Result<u16> {
    let (port, here) = match backend {
        Backend::Port(port) => (port, true),
        Backend::Address(address) => (address.port(), address.ip() == config.listen.address),
    };
    if here && config.instances.contains(&port) {
        return Ok(port);
    }
    let address = config.listen.address;
    let known: Vec<_> =
        config.instances.iter().map(|port| SocketAddr::new(address, *port).to_string()).collect();
    Err(anyhow!("{port}: no such instance of this server; it has {}", known.join(", ")))
}

fn status(config: &Config) -> Outcome {
    let site = Site::of(config)?;
    let switches = Switches::kept(&site)?;
    match Front::new(config)?.status(config)? {
        switchboard_nginx::Status { pid: Some(pid), generation: Some(generation) } => {
            say(format!("nginx runs as process {pid}, configuration {generation}"));
        }
        switchboard_nginx::Status { pid: Some(pid), .. } => {
            say(format!("nginx runs as process {pid} and does not answer"))
        }
        _ => say("nginx does not run"),
    }
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

fn describe(applied: Applied) -> String {
    let Applied { generation, live } = applied;
    if live {
        format!("nginx serves configuration {generation}")
    } else {
        format!("nginx does not run; configuration {generation} waits for its start")
    }
}

#[allow(clippy::print_stdout, reason = "this is where the command speaks to a person")]
fn say(text: impl AsRef<str>) {
    println!("{}", text.as_ref());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backends_as_a_person_names_them() {
        let config = Config::default();
        let port = |text: &str| {
            text.parse().map_err(anyhow::Error::msg).and_then(|backend| port_of(backend, &config))
        };
        assert_eq!(port("8082").unwrap(), 8082);
        assert_eq!(port("127.0.0.1:8081").unwrap(), 8081);
        for unknown in ["8083", "127.0.0.2:8081", "127.0.0.1:1", "eight", "", "8081x", "70000"] {
            assert!(port(unknown).is_err(), "{unknown}");
        }
    }
}
