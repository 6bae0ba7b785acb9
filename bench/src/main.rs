//! `switchboard-bench`: what one instance, one monitor and one front do, and at what price, beside nginx,
//! hyper alone, rathole and rrdtool in the same run, as one Markdown table.
//!
//! The modules in the order of a run:
//!
//! | module | what happens there |
//! |---|---|
//! | `effort` | how long a run lasts and how much it tries |
//! | `serve`, `monitor`, `front`, `plain`, `nginx`, `rathole`, `rrdtool` | the servers under load, each a process of its own (`program`: how those of this workspace are started) |
//! | `herd`, `slow` | agents by the ten thousand, and apps that are slow: load that needs processes of its own |
//! | `talker` | a program that reports, also a process of its own |
//! | `cpu`, `kernel`, `machine` | what the kernel says of them, of itself and of the machine |
//! | `load` | callers and agents, the load |
//! | `rows` | what is measured |
//! | `figures`, `table` | from samples to the table |
//! | `instructions` | by itself: how many instructions a request takes, and how many it may |

mod cores;
mod cpu;
mod effort;
mod figures;
mod front;
mod herd;
mod instructions;
mod kernel;
mod load;
mod machine;
mod monitor;
mod nginx;
mod plain;
mod program;
mod rathole;
mod rows;
mod rrdtool;
mod serve;
mod slow;
mod table;
mod talker;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, bail};
use clap::{Parser, Subcommand};
use tokio::{
    runtime::Builder,
    signal::unix::{SignalKind, signal},
    time::timeout,
};

use crate::{
    effort::Effort,
    rows::{RowName, Scene},
    table::Table,
};

/// The whole run ends within this, done or not.
const RUN_MAX: Duration = Duration::from_secs(1260);
/// The same of counting instructions.
const COUNT_MAX: Duration = Duration::from_secs(180);
/// The command by which this program draws for itself.
const DRAW: &str = "draw";

/// Measures one Switchboard instance, one monitor and one front on this machine, beside nginx, hyper alone, rathole and rrdtool.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Cli {
    /// A few seconds for each row: to see that all works, not to compare.
    #[arg(long)]
    quick: bool,
    /// Only this row.
    #[arg(long, value_name = "NAME")]
    only: Option<RowName>,
    #[command(subcommand)]
    inner: Option<Inner>,
}

#[derive(Debug, Subcommand)]
enum Inner {
    /// Counts the instructions of one instance for each transaction, poll and hello, and compares them with what they may be.
    Instructions {
        /// Takes what is counted now as what they may be.
        #[arg(long)]
        accept: bool,
        /// What they may be.
        #[arg(long, value_name = "FILE", default_value = "bench/instructions.toml")]
        bounds: PathBuf,
    },
    /// What this program starts as the server under load.
    #[command(hide = true)]
    ServeInstance {
        #[command(flatten)]
        place: serve::Place,
    },
    /// What this program starts as the agents of one instance.
    #[command(hide = true)]
    Herd {
        #[command(flatten)]
        job: herd::Job,
    },
    /// What this program starts as apps that are slow, and their agents.
    #[command(hide = true)]
    Slow {
        #[command(flatten)]
        job: slow::Job,
    },
    /// What this program starts as a bare server of hyper.
    #[command(hide = true)]
    ServePlain,
    /// What this program starts as the program that reports, or does not.
    #[command(hide = true)]
    Talk {
        /// Where what is not sent yet is kept.
        folder: PathBuf,
        /// The monitor that hears it; none: nobody does.
        monitor: Option<SocketAddr>,
    },
    /// What this program starts as the process that draws charts.
    #[command(name = DRAW, hide = true)]
    Draw,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.inner {
        Some(Inner::ServeInstance { place }) => serve::serve(&place),
        Some(Inner::Herd { job }) => herd::run(job),
        Some(Inner::Slow { job }) => slow::run(job),
        Some(Inner::ServePlain) => plain::serve(),
        Some(Inner::Talk { folder, monitor }) => talker::talk(&folder, monitor),
        Some(Inner::Draw) => switchboard_archive::serve_drawing().map_err(Into::into),
        Some(Inner::Instructions { accept, bounds }) => count(accept, &bounds),
        None => bench(cli.quick, cli.only),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("switchboard-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[allow(clippy::print_stdout, reason = "the table is what this program is for")]
fn bench(quick: bool, only: Option<RowName>) -> anyhow::Result<()> {
    let effort = if quick { Effort::quick() } else { Effort::full() };
    cpu::raise_file_limit(effort.files_needed())?;
    if cfg!(debug_assertions) {
        eprintln!("this is a debug build: its numbers mean nothing");
    }
    println!("{}", run(RUN_MAX, measure(effort, only))?);
    Ok(())
}

#[allow(clippy::print_stdout, reason = "the table is what this is for")]
fn count(accept: bool, bounds: &Path) -> anyhow::Result<()> {
    let counted = run(COUNT_MAX, instructions::count())?;
    println!("{counted}");
    instructions::compare(&counted, bounds, accept)
}

/// Does `work` within `most`. However it ends, what was started ends with it: the servers are owned by `work`.
fn run<T>(most: Duration, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let work = timeout(most, work);
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::select! {
            done = work => done.with_context(|| format!("not done after {most:?}, given up"))?,
            _ = terminate.recv() => bail!("stopped"),
            _ = interrupt.recv() => bail!("stopped"),
        }
    })
}

async fn measure(effort: Effort, only: Option<RowName>) -> anyhow::Result<Table> {
    let scene = Scene::set(effort).await?;
    let rrdtool = scene.rrdtool.as_deref().map(rrdtool::version).transpose()?;
    let rathole = scene.rathole.as_deref().map(rathole::version).transpose()?;
    let nginx = scene.nginx.as_ref().map(|nginx| nginx.version().to_owned());
    let programs = [("nginx", nginx), ("rathole", rathole), ("rrdtool", rrdtool)];
    let mut table = Table::new(machine::describe(&programs));
    for row in RowName::ALL.into_iter().filter(|row| only.is_none_or(|only| only == *row)) {
        let lines = rows::measure(row, &scene).await.with_context(|| format!("row {row}"))?;
        table.lines.extend(lines);
    }
    Ok(table)
}
