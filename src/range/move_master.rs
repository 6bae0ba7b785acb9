//! `switchboard range move-master`: another instance becomes the master.

use std::path::Path;

use anyhow::anyhow;
use switchboard_daemon::{Failure, Outcome};
use switchboard_fleet::{
    InstanceName,
    config::{Whole, load_whole},
};
use switchboard_range::{Ledger, Mark};

use super::fleet::Fleet;

pub(super) fn run(config: &Path, to: &InstanceName) -> Outcome {
    let whole = load_whole(config)?;
    if whole.server.range.store.is_some() {
        return usage("range.store is set: there is no master to move".into());
    }
    let master = newest_mark(&whole).map_or_else(|| whole.server.master.clone(), |mark| mark.place);
    let own = whole.server.instance_name(*whole.server.instances.first().unwrap_or(&master.port));
    let fleet = Fleet::new(&whole.server, own)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(fleet.move_master(&master, to))?;
    super::print(&format!(
        "{to} is the master now; {master} never grants again\n\
         Every instance hears of it within seconds. Set in every fleet.toml, for those that start without having heard:\n\
         master = {{ server = \"{}\", port = {} }}",
        to.server, to.port
    ));
    Ok(())
}

/// The newest state of the fleet's ledger that this server's instances have written down.
pub(super) fn newest_mark(whole: &Whole) -> Option<Mark> {
    let known = whole.instances.iter().filter_map(|(port, config)| {
        Ledger::read_only(&config.range_file(*port)).ok().and_then(|record| record.known)
    });
    known.reduce(|best, mark| if mark.is_newer_than(&best) { mark } else { best })
}

fn usage(message: String) -> Outcome {
    Err(Failure::Configuration(anyhow!(message)))
}
