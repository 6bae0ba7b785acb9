//! The command `switchboard`.

mod agent;
mod call;
mod check;
mod front;
mod instance;
mod key;
mod range;
mod reload;
mod reporting;
mod up;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

/// A self-hosted fleet that carries requests of mobile apps to desktops behind NAT.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true)]
struct Cli {
    /// The server's configuration.
    #[arg(long, global = true, env = "SWITCHBOARD_CONFIG", default_value = "fleet.toml")]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Bring up this server: instances, front and monitor.
    Up(up::Args),
    /// Run one instance in the foreground.
    Instance(instance::Args),
    /// Run a desktop agent.
    Agent(agent::Args),
    /// Ask an agent something, as an app.
    Call(call::Args),
    /// Make a fleet key.
    Key,
    /// Read the whole configuration and say every fault.
    Check,
    /// Tell the running `up` to read its configuration again.
    Reload,
    /// Customer-ID ranges.
    Range(range::Args),
    /// nginx in front of the instances.
    Front(front::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Up(args) => up::run(&cli.config, args),
        Command::Instance(args) => instance::run(&cli.config, args),
        Command::Agent(args) => agent::run(args),
        Command::Call(args) => call::run(args),
        Command::Key => key::run(&cli.config),
        Command::Check => check::run(&cli.config),
        Command::Reload => reload::run(&cli.config),
        Command::Range(args) => range::run(&cli.config, args),
        Command::Front(args) => front::run(&cli.config, args),
    };
    done.map_or_else(|error| error.report("switchboard"), |()| ExitCode::SUCCESS)
}
