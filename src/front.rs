//! `switchboard front`: the nginx side.

mod ask;
mod control;
mod status;
mod switch;
mod until;

use std::path::Path;

use switchboard_controller::followed;
use switchboard_daemon::Outcome;
use switchboard_fleet::{
    config::{Config, load},
    front::Change,
};
use switchboard_nginx::{Applied, Front, Site, Switches, render};

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
    /// Show nginx and the instances: how they are switched, and how they do.
    Status {
        /// Everything that is known, as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Give an instance no traffic at all.
    Off(switch::Away),
    /// Give an instance its share of the traffic again.
    On(switch::Which),
    /// Give an instance no new agents and apps; those that know its port still reach it.
    Drain(switch::Away),
    /// Give an instance a part of its share.
    Weight(switch::Part),
    /// Run the controller: it counts, checks, switches, and tells the monitor. `up` does so by itself.
    Control(control::Args),
}

/// Runs the command.
pub(crate) fn run(config: &Path, args: Args) -> Outcome {
    let mut config = load(config)?;
    if !matches!(args.command, Command::Control(_)) {
        config = followed(&config)?;
    }
    match args.command {
        Command::Render => print_configuration(&config),
        Command::Apply => {
            let applied = Front::new(&config)?.apply(&config)?;
            say(describe(&applied));
            Ok(())
        }
        Command::Status { json } => status::show(&config, json),
        Command::Off(away) => switch::away(&config, &away, Change::Off),
        Command::On(which) => switch::on(&config, &which),
        Command::Drain(away) => switch::away(&config, &away, Change::Drain),
        Command::Weight(part) => switch::weight(&config, &part),
        Command::Control(args) => control::run(config, &args),
    }
}

/// What would be put in force now; works where nginx is not installed too.
fn print_configuration(config: &Config) -> Outcome {
    let site = Site::of(config)?;
    let switches = Switches::kept(&site)?;
    say(render(config, &switches, &site, 0).trim_end());
    Ok(())
}

fn describe(Applied { generation, live, without_module }: &Applied) -> String {
    let mut text = if *live {
        format!("nginx serves configuration {generation}")
    } else {
        format!("nginx does not run; configuration {generation} waits for its start")
    };
    if let Some(why) = without_module {
        text += &format!(
            "; without the module, which it does not load ({why}): build it again with `make module`"
        );
    }
    text
}

#[allow(clippy::print_stdout, reason = "this is where the command speaks to a person")]
fn say(text: impl AsRef<str>) {
    println!("{}", text.as_ref());
}
