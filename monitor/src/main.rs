//! The program `switchboard-monitor`: takes what the programs of a fleet report, keeps archives, draws charts, shows pages, writes letters.
//!
//! The way of a report: `admission` (who may), `intake` (read), the journal (durable, each once), `roster` (the newest of each
//! worker), `filing` (samples into archives). What is done with it: `looking` (rules, letters, `mail`), `web` (pages, charts).
//! `control` and `ask` are the two ends of the commands.

mod admission;
mod ask;
mod caller;
mod charting;
mod clock;
mod control;
mod cpu;
mod desk;
mod draw;
mod error;
mod filing;
mod intake;
mod log;
mod looking;
mod mail;
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
        Some(Command::DrawForParent) => switchboard_archive::serve_drawing().map_err(Into::into),
    };
    done.map_or_else(|error| error.report(), |()| ExitCode::SUCCESS)
}
