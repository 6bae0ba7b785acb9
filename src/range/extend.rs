//! `switchboard range extend`: more customer IDs for a fleet that has used up most of its range.

use std::path::Path;

use anyhow::anyhow;
use switchboard_daemon::{Failure, Outcome};
use switchboard_fleet::{CustomerId, config::load_whole};
use switchboard_range::{IdRange, Kind, Ledger, LedgerError};

pub(super) fn run(config: &Path, from: CustomerId, to: CustomerId) -> Outcome {
    let whole = load_whole(config)?;
    if whole.server.range.store.is_some() {
        return usage("range.store is set: change the row in its table (docs/operations.md)".into());
    }
    let Some(range) = IdRange::new(from, to) else {
        return usage(format!("--from {from} is larger than --to {to}: expected the first and the last ID"));
    };
    let here = whole.instances.iter().map(|(port, config)| config.master_range_file(*port));
    let in_use = |path: &Path| Ledger::read_only(path).is_ok_and(|record| record.moved.is_none());
    let Some(path) = here.into_iter().find(|path| in_use(path)) else {
        return usage(format!("{}: no instance of this server has the fleet's range", config.display()));
    };
    let mut ledger = Ledger::open(&path, Kind::Master).map_err(explain)?;
    let last = ledger.whole().map_or(0, |whole| whole.last().get());
    if from.get() <= last {
        return Err(anyhow!(
            "{}: the fleet's range goes to {last} already, and what is below may have been granted: --from must be greater",
            path.display()
        )
        .into());
    }
    ledger.add(range, None)?;
    super::print(&format!(
        "{}: the master holds {} IDs now, {range} among them",
        path.display(),
        ledger.left()
    ));
    Ok(())
}

/// A running master has its ledger in use.
fn explain(error: LedgerError) -> anyhow::Error {
    match error {
        LedgerError::InUse { path } => {
            anyhow!(
                "{}: the master runs: stop it, extend its range, start it; the others go on meanwhile",
                path.display()
            )
        }
        other => other.into(),
    }
}

fn usage(message: String) -> Outcome {
    Err(Failure::Configuration(anyhow!(message)))
}
