//! `switchboard range`: the fleet's customer IDs. What this server holds of them, the making of the fleet's range, its move to
//! another master, and the way out when a ledger cannot be used.

mod extend;
mod fleet;
mod init;
mod live;
mod move_master;
mod repair;
mod show;

use std::path::Path;

use switchboard_daemon::Outcome;
use switchboard_fleet::{CustomerId, InstanceName};

/// Arguments of `switchboard range`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// What this server's instances and its master hold, what is left, and how long it lasts.
    Show,
    /// Make the fleet's range, once: the master's ledger, or a row in the database of `range.store`.
    Init {
        /// The first ID.
        #[arg(long, value_name = "ID")]
        from: CustomerId,
        /// The last ID, inclusive.
        #[arg(long, value_name = "ID")]
        to: CustomerId,
    },
    /// Add IDs to the fleet's range, above all that it ever had. The master must not run.
    Extend {
        /// The first ID.
        #[arg(long, value_name = "ID")]
        from: CustomerId,
        /// The last ID, inclusive.
        #[arg(long, value_name = "ID")]
        to: CustomerId,
    },
    /// Make another instance the master. The present one never grants again.
    MoveMaster {
        /// The new master, e.g. `eu.example.net/8081`.
        #[arg(value_name = "SERVER/PORT")]
        to: InstanceName,
    },
    /// Put an empty ledger in the place of one that cannot be used, beyond every ID that may have been given.
    Repair(repair::Args),
}

/// Runs the command.
pub(crate) fn run(config: &Path, args: Args) -> Outcome {
    match args.command {
        Command::Show => show::run(config),
        Command::Init { from, to } => init::run(config, from, to),
        Command::Extend { from, to } => extend::run(config, from, to),
        Command::MoveMaster { to } => move_master::run(config, &to),
        Command::Repair(args) => repair::run(config, args),
    }
}

#[allow(clippy::print_stdout, reason = "this is where the command speaks to a person")]
fn print(text: &str) {
    println!("{text}");
}
