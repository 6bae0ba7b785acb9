//! The location table: what an entry costs in memory, and how fast it is found and noted.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use switchboard_fleet::{CustomerId, InstanceName, ServerName};
use switchboard_instance::directory::Directory;
use tokio::task::spawn_blocking;

use crate::{
    figures::{Series, Unit, grouped},
    load::{Caller, Expect},
    rows::Scene,
    serve::Instance,
    table::Line,
};

const GOAL_BYTES: f64 = 32.0;
const GOAL_LOOKUP_SECONDS: f64 = 1e-6;

/// IDs of the fleet's range as the samples have it, from which those of the table are taken.
const FIRST_ID: u64 = 26_018_363;
/// How many there are.
const IDS: u64 = 53_981_638;
/// Without a common divisor with [`IDS`], so that multiples of it meet each ID once, in no order.
const STRIDE: u64 = 33_363_487;
/// Servers whose instances customers are at.
const SERVERS: usize = 25;
/// Instances of each.
const PORTS: u16 = 8;
/// When the first agent connected, ms since 1970.
const SINCE: u64 = 1_700_000_000_000;

/// What was measured of a table by itself.
struct Measured {
    bytes: f64,
    fresh: Duration,
    renew: Duration,
    hit: Duration,
    miss: Duration,
}

/// A table by itself, and what an instance says of its own.
pub(crate) async fn measure(scene: &Scene) -> anyhow::Result<Vec<Line>> {
    let (entries, lookups) = (scene.effort.table, scene.effort.lookups);
    // On a thread of its own, so that a signal still ends the run.
    let measured = spawn_blocking(move || table(entries, lookups)).await??;
    let of =
        format!("a table of {} customers at {} instances", grouped(entries), SERVERS * usize::from(PORTS));
    let time = |what: &str, time: Duration| {
        Line::new(format!("{what}, {of}"), &Series::one(time.as_secs_f64()), Unit::Nanoseconds)
    };
    let bytes = Line::new(format!("memory for each in {of}"), &Series::one(measured.bytes), Unit::Bytes);
    Ok(vec![
        bytes.goal(GOAL_BYTES, Unit::Bytes),
        time("lookup of a customer at random", measured.hit).goal(GOAL_LOOKUP_SECONDS, Unit::Nanoseconds),
        time("lookup of one that is not there", measured.miss).goal(GOAL_LOOKUP_SECONDS, Unit::Nanoseconds),
        time("note of a new customer, growth included", measured.fresh),
        time("note of a known one, at random, who has moved", measured.renew),
        of_an_instance(scene).await?,
    ])
}

/// Fills a table and looks things up in it, each of them after the one before and where nobody can foresee.
fn table(entries: u64, lookups: u64) -> anyhow::Result<Measured> {
    let places = places()?;
    let capacity = usize::try_from(entries).context("more customers than there is room to count")?;
    let mut directory = Directory::new(capacity);
    let place = |n: u64| &places[(n % places.len() as u64) as usize];
    let fresh = timed(entries, |n, _| note(&mut directory, n, place(n), SINCE + n));
    if directory.entries() as u64 != entries {
        bail!("{} of {entries} customers are in the table", directory.entries());
    }
    let bytes = directory.bytes() as f64 / entries as f64;
    let mut missed = 0;
    let hit = timed(lookups, |_, past| {
        let found = customer(past % entries).and_then(|id| directory.get(id));
        missed += u64::from(found.is_none());
        found.map_or(0, |location| location.since ^ u64::from(location.place.port))
    });
    let mut met = 0;
    let miss = timed(lookups, |_, past| {
        let found = customer(entries + past % (IDS - entries)).and_then(|id| directory.get(id));
        met += u64::from(found.is_some());
        u64::from(found.is_some())
    });
    if (missed, met) != (0, 0) {
        bail!("{missed} of {lookups} customers were not found, and {met} who are not in the table were");
    }
    let later = SINCE + entries;
    let renew = timed(lookups, |n, past| note(&mut directory, past % entries, place(past), later + n));
    Ok(Measured { bytes, fresh, renew, hit, miss })
}

/// The mean time of `count` steps. Each gets its number and a number at random that follows from what the one before gave, so
/// that none can begin before that.
fn timed(count: u64, mut step: impl FnMut(u64, u64) -> u64) -> Duration {
    let mut past = 0x9e37_79b9_7f4a_7c15;
    let began = Instant::now();
    for n in 0..count {
        past = mixed(past ^ black_box(step(n, past)).wrapping_add(n));
    }
    began.elapsed() / u32::try_from(count).unwrap_or(u32::MAX)
}

/// The finisher of SplitMix64.
fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// The customers in an order that has nothing to do with their numbers.
fn customer(n: u64) -> Option<CustomerId> {
    CustomerId::new(FIRST_ID + n * STRIDE % IDS)
}

fn note(directory: &mut Directory, n: u64, place: &InstanceName, since: u64) -> u64 {
    customer(n).map_or(0, |id| u64::from(directory.note(id, place, since)))
}

fn places() -> anyhow::Result<Vec<InstanceName>> {
    let mut places = Vec::new();
    for server in 0..SERVERS {
        let server: ServerName = format!("server-{server}.example.net").parse()?;
        places.extend((0..PORTS).map(|n| InstanceName { server: server.clone(), port: 8081 + n }));
    }
    Ok(places)
}

/// What the instance says of its table after so many agents have said hello.
async fn of_an_instance(scene: &Scene) -> anyhow::Result<Line> {
    let customers = scene.effort.located;
    let instance = Instance::start()?;
    let head =
        |id| Ok::<_, anyhow::Error>(format!("POST /connect HTTP/1.1\r\n{}", instance.agent_headers(id)?));
    let mut caller = Caller::open(instance.address(), &head(1)?, Expect::Done).await?;
    for id in 1..=customers {
        caller.set_head(&head(id)?);
        caller.call().await?;
    }
    let table = instance.status().await?.locations;
    if table.entries != customers {
        bail!("{} of {customers} customers are in the table", table.entries);
    }
    let what = format!("location table of an instance for each of {} customers", grouped(customers));
    let line = Line::new(what, &Series::one(table.bytes_per_entry), Unit::Bytes);
    Ok(line.goal(GOAL_BYTES, Unit::Bytes))
}
