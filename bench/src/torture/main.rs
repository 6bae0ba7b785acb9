//! `switchboard-torture`: whether a customer ID is ever given twice, whatever dies meanwhile.
//!
//! One fleet of real processes on this machine: a master and four other instances, each with a disk of its own. New customers
//! register at all of them as fast as they can. Meanwhile a random instance, the master included, is killed with SIGKILL about
//! every 200 ms and started again at once, and now and then a disk is full for a moment. Ranges are small, so that they are
//! fetched all the time. Every ID that was ever answered is kept, and looked at in the end. An ID counts when the head of its
//! answer has been read whole.
//!
//! It fails if an ID was given twice; if one that was given is still held by a ledger, or is not the fleet's; if an instance
//! gives no IDs any more when all that is over; and if too little happened for any of that to mean something.
//!
//! The same seed gives the same story. When what of it hits whom depends on the machine.
//!
//! **Disks** are small tmpfs mounts, in a mount namespace of this program's own that ends with it, so it needs root or user
//! namespaces. Where it may not mount, that part is left out, and said to be.
//!
//! **Old disks** (`--old-disk`): half way through, a ledger is replaced by an older copy of itself, as happens when a disk is
//! restored. Then the run passes only if that was found out before an ID was given twice. With `unseen` nobody can find
//! it out: that run fails, and so shows that repeats are seen.
//!
//! | module | what happens there |
//! |---|---|
//! | `story` | what happens when, from a seed; pure |
//! | `disks` | the namespace, and disks that can be full |
//! | `fleet`, `instance` | the processes, killed and started |
//! | `old_disk` | an older copy of a ledger |
//! | `run` | all of it together |
//! | `callers` | new customers |
//! | `tally` | whether an ID was given twice; pure |
//! | `report` | what was seen, and whether it is good; pure |

mod callers;
mod disks;
mod fleet;
mod instance;
mod old_disk;
mod report;
mod run;
mod story;
mod tally;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context, bail};
use clap::Parser;
use tokio::{
    runtime::Builder,
    signal::unix::{SignalKind, signal},
};

use crate::{old_disk::OldDisk, report::Report, run::Run};

/// Kills instances while customers register, and looks whether an ID was given twice.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Cli {
    /// How long.
    #[arg(
        long,
        env = "TORTURE_SECONDS",
        default_value_t = 120,
        value_parser = clap::value_parser!(u64).range(1..=86_400)
    )]
    seconds: u64,
    /// The story that is played; a new one if not set.
    #[arg(long, env = "TORTURE_SEED")]
    seed: Option<u64>,
    /// The program; `switchboard` beside this one if not set.
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Put an older copy of a ledger back half way through.
    #[arg(long, value_name = "WHOSE")]
    old_disk: Option<OldDisk>,
    /// This process is in a mount namespace of its own already.
    #[arg(long, hide = true)]
    inside: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if !cli.inside {
        disks::enter_namespace();
    }
    match torture(cli) {
        Ok(report) => tell(&report),
        Err(error) => {
            eprintln!("switchboard-torture: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[allow(clippy::print_stdout, reason = "the report is what this program is for")]
fn tell(report: &Report) -> ExitCode {
    println!("{report}");
    if report.faults().is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn torture(cli: Cli) -> anyhow::Result<Report> {
    let program = match cli.program {
        Some(program) => program,
        None => std::env::current_exe()?.parent().context("this program has no folder")?.join("switchboard"),
    };
    let run = Run {
        seed: cli.seed.unwrap_or_else(rand::random),
        length: Duration::from_secs(cli.seconds),
        program,
        old_disk: cli.old_disk,
        disks: cli.inside,
    };
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        // However it ends, processes, disks and folder end with it: they are owned by `play`.
        tokio::select! {
            report = run.play() => report,
            _ = terminate.recv() => bail!("stopped"),
            _ = interrupt.recv() => bail!("stopped"),
        }
    })
}
