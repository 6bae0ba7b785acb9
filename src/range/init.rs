//! `switchboard range init`: the fleet's range is made, once.

use std::path::Path;

use anyhow::anyhow;
use switchboard_daemon::{Failure, Outcome};
use switchboard_fleet::{
    CustomerId,
    config::{Config, load, load_instance},
};
use switchboard_range::{IdRange, Ledger, PgStore};

pub(super) fn run(config: &Path, from: CustomerId, to: CustomerId) -> Outcome {
    let Some(range) = IdRange::new(from, to) else {
        return usage(format!("--from {from} is larger than --to {to}: expected the first and the last ID"));
    };
    let server = load(config)?;
    if server.range.store.is_some() {
        return in_database(&server, range);
    }
    if !server.is_master(server.master.port) {
        return usage(format!(
            "{}: the fleet's master is {}, on another server: run this there",
            config.display(),
            server.master
        ));
    }
    let port = server.master.port;
    let path = load_instance(config, port)?.master_range_file(port);
    let ledger = Ledger::init_master(&path, range)?;
    super::print(&format!("{}: the master holds {} ({} IDs)", path.display(), range, ledger.left()));
    Ok(())
}

fn in_database(server: &Config, range: IdRange) -> Outcome {
    let Some(url) = &server.range.store else { return Ok(()) };
    let store = PgStore::new(url.expose(), server.timeouts.lookup.get())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(store.init(range))?;
    super::print(&format!("the database of range.store holds {} ({} IDs)", range, range.count()));
    Ok(())
}

fn usage(message: String) -> Outcome {
    Err(Failure::Configuration(anyhow!(message)))
}
