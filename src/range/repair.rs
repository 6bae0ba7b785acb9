//! `switchboard range repair`: the way out when a ledger cannot be used. It only ever moves forward, past every ID that may have
//! been given.

use std::{
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{anyhow, bail};
use switchboard_daemon::{Failure, Outcome};
use switchboard_fleet::{
    CustomerId,
    config::{Config, Whole, load_whole},
};
use switchboard_instance::peers::Peer;
use switchboard_range::{IdRange, Ledger, Mark, Repaired, repair_instance, repair_master, salvage};

use super::fleet::Fleet;

/// Arguments of `switchboard range repair`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The instance whose ledger is repaired. It must not run.
    #[arg(value_name = "PORT")]
    port: u16,
    /// Repair the ledger of the fleet's range at this instance, not the instance's own.
    #[arg(long)]
    master: bool,
    /// With --master: every ID up to this one may have been granted. Needed only if not everyone who might know answers.
    #[arg(long, value_name = "ID", requires = "master")]
    above: Option<CustomerId>,
    /// With --master: the last ID of the fleet's range, if nothing else tells it.
    #[arg(long, value_name = "ID", requires = "master")]
    to: Option<CustomerId>,
}

pub(super) fn run(config: &Path, args: Args) -> Outcome {
    let whole = load_whole(config)?;
    let Some(instance) = whole.instances.get(&args.port) else {
        return Err(Failure::Configuration(anyhow!(
            "{}: there is no instance {}",
            config.display(),
            args.port
        )));
    };
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as u64;
    if args.master {
        return master(&whole, instance, &args, now_ms);
    }
    let path = instance.range_file(args.port);
    report(
        &path,
        &repair_instance(&path, now_ms)?,
        "it is empty: the instance asks for a new range when it starts",
    );
    Ok(())
}

fn master(whole: &Whole, instance: &Config, args: &Args, now_ms: u64) -> Outcome {
    if instance.range.store.is_some() {
        return Err(Failure::Configuration(anyhow!(
            "range.store is set: the fleet's range is in the database"
        )));
    }
    let path = instance.master_range_file(args.port);
    refuse_moved(&path)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let known = runtime.block_on(ask_everyone(whole, args))?;
    runtime.block_on(refuse_beside_another(whole, args, &known))?;
    let salvaged = salvage(&path);
    let granted = known.iter().map(|mark| mark.granted_to).chain([salvaged.granted_to, highest_held(whole)]);
    let granted_to = args.above.map_or(0, CustomerId::get).max(granted.max().unwrap_or(0));
    // A range may have been granted that nobody who answers has heard of: the largest there is.
    let granted_to = granted_to.saturating_add(instance.range.size_max);
    let last = args.to.map(CustomerId::get);
    let last = last.or(salvaged.whole.map(|whole| whole.last().get()));
    let last = last.or(known.iter().map(|mark| mark.last).max());
    let Some(last) = last else {
        return Err(
            anyhow!("nothing tells how far the fleet's range goes: give its last ID with --to").into()
        );
    };
    let first = salvaged.whole.map_or(1, |whole| whole.first().get());
    let Some(range) = IdRange::from_numbers(first, last) else {
        return Err(anyhow!("--to {last} is below the range's first ID, {first}").into());
    };
    let epoch = known.iter().map(|mark| mark.epoch).chain([salvaged.epoch]).max().unwrap_or(0) + 1;
    let repaired = repair_master(&path, epoch, granted_to, range, now_ms)?;
    let left = repaired.record.holdings.left();
    report(&path, &repaired, &format!("{left} IDs are left, all above {granted_to}; epoch {epoch}"));
    Ok(())
}

/// What every running instance of this server and every other server know of the fleet's ledger, and what is written down here.
async fn ask_everyone(whole: &Whole, args: &Args) -> anyhow::Result<Vec<Mark>> {
    let fleet = Fleet::new(&whole.server, whole.server.instance_name(args.port))?;
    let mut known: Vec<Mark> = super::move_master::newest_mark(whole).into_iter().collect();
    let mut silent = Vec::new();
    let siblings = whole.instances.keys().filter(|port| **port != args.port).map(|port| Peer::Sibling(*port));
    let servers = whole.server.servers.iter().cloned().map(Peer::Server);
    for peer in servers.chain(siblings) {
        match (fleet.mark(&peer).await, &peer) {
            (Ok(mark), _) => known.extend(mark),
            // What a sibling that does not run knows lies on this disk.
            (Err(_), Peer::Sibling(_)) => {}
            (Err(error), Peer::Server(name)) => silent.push(format!("{name}: {error:#}")),
        }
    }
    if !silent.is_empty() && args.above.is_none() {
        bail!(
            "not everyone says what was granted to them:\n{}\nstart them, or give the highest ID that may have been granted with --above",
            silent.join("\n")
        );
    }
    Ok(known)
}

/// What a sealed ledger held is in use elsewhere, or on its way there.
fn refuse_moved(path: &Path) -> anyhow::Result<()> {
    let moved = Ledger::read_only(path).ok().and_then(|record| record.moved);
    match moved {
        Some(moved) if moved.pending => bail!(
            "{}: its range is on its way to {}: start this instance, and it goes on until it has arrived",
            path.display(),
            moved.to
        ),
        Some(moved) => bail!("{}: its range has moved to {}: repair it there", path.display(), moved.to),
        None => Ok(()),
    }
}

/// While another master grants, what it grants next would be granted here as well.
async fn refuse_beside_another(whole: &Whole, args: &Args, known: &[Mark]) -> anyhow::Result<()> {
    let own = whole.server.instance_name(args.port);
    let newest = known.iter().reduce(|best, mark| if mark.is_newer_than(best) { mark } else { best });
    let Some(master) = newest.map(|mark| &mark.place).filter(|place| **place != own) else { return Ok(()) };
    let fleet = Fleet::new(&whole.server, own.clone())?;
    if fleet.answers(master).await {
        bail!(
            "the fleet has a master that runs, {master}: `switchboard range move-master {own}` moves its range; \
             stop it only if its ledger cannot be used"
        );
    }
    Ok(())
}

/// The highest ID that this server's instances hold.
fn highest_held(whole: &Whole) -> u64 {
    let records = whole.instances.iter().map(|(port, config)| Ledger::read_only(&config.range_file(*port)));
    let ranges = records.flatten().flat_map(|record| record.holdings.ranges().collect::<Vec<_>>());
    ranges.map(|range| range.last().get()).max().unwrap_or(0)
}

fn report(path: &Path, repaired: &Repaired, now: &str) {
    if let Some(aside) = &repaired.aside {
        super::print(&format!("{}: moved aside to {}", path.display(), aside.display()));
    }
    super::print(&format!("{}: repaired; {now}", path.display()));
}
