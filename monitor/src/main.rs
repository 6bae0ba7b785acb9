//! The program `switchboard-monitor`: takes what the programs of a fleet report, keeps archives, draws charts, shows pages, writes letters.
//!
//! The way of a report: `admission` (who may), `intake` (read), the journal (durable, each once), `roster` (the newest of each
//! worker), `filing` (samples into archives). What is done with it: `looking` (rules, letters, `mail`), `web` (pages, charts).
//! `control` and `ask` are the two ends of the commands.
//!
//! The way of a front's table, and of an order to it: `fronts`. Who may give one: `logins`.

mod admission;
mod ask;
mod body;
mod caller;
mod charting;
mod clock;
mod control;
mod cpu;
mod desk;
mod draw;
mod filing;
mod fronts;
mod intake;
mod logins;
mod looking;
mod mail;
mod password;
mod reach;
mod roster;
mod run;
mod upkeep;
mod watched;
mod web;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

/// Archives, charts, alerts and pages of a Switchboard fleet. Without a command: runs until SIGTERM or Ctrl-C.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true)]
struct Cli {
    /// The server's configuration.
    #[arg(long, global = true, env = "SWITCHBOARD_CONFIG", default_value = "fleet.toml")]
    config: PathBuf,
    #[command(flatten)]
    run: run::Args,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Draw one chart into a file.
    Chart(draw::Args),
    /// Send no letters about planned work; with an end.
    Silence(ask::SilenceArgs),
    /// Forget a worker that is not coming back.
    Forget(ask::ForgetArgs),
    /// Print a link that logs its reader in at the pages, once.
    Login(ask::LoginArgs),
    /// Read a password, and print what belongs into `monitor.admins`.
    Password,
    /// Draw for the process that holds the other end of standard input.
    #[command(name = draw::DRAW, hide = true)]
    DrawForParent,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        None => run::run(&cli.config, cli.run),
        Some(Command::Chart(args)) => draw::run(&cli.config, args),
        Some(Command::Silence(args)) => ask::silence(&cli.config, args),
        Some(Command::Forget(args)) => ask::forget(&cli.config, args),
        Some(Command::Login(args)) => ask::login(&cli.config, args),
        Some(Command::Password) => password::run(),
        Some(Command::DrawForParent) => switchboard_archive::serve_drawing().map_err(Into::into),
    };
    done.map_or_else(|error| error.report("switchboard-monitor"), |()| ExitCode::SUCCESS)
}
