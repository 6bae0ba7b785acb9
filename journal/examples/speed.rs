//! How many batches the journal takes, per second of CPU time and of the clock.
//!
//! `cargo run --release -p switchboard-journal --example speed [FOLDER]`

#![allow(clippy::print_stdout, reason = "it prints what it measures")]

use std::{error::Error, path::Path, time::Instant};

use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeValLike,
};
use switchboard_fleet::report::{Batch, Report, Told, WorkerKind, WorkerState};
use switchboard_journal::{Arrival, Journal, Standing};

const NOW: u64 = 1_700_000_000_000;
const SENDERS: u64 = 64;
const SECONDS: u64 = 3;

fn cpu_us() -> Result<i64, Box<dyn Error>> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    Ok(usage.user_time().num_microseconds() + usage.system_time().num_microseconds())
}

fn state(seq: u64) -> Report {
    let (host, address, version) = ("eu1".into(), "127.0.0.1:8081".into(), "0.1.0".into());
    let at_ms = NOW + 3000 * seq;
    let state = WorkerState {
        rss_bytes: 20 << 20,
        cpu_us: seq * 1000,
        uptime_s: seq * 3,
        host,
        address,
        version,
        pid: 4711,
        lost: 0,
        wrong: Vec::new(),
    };
    Report { seq, at_ms, told: Told::State(state) }
}

async fn send(journal: Journal, worker: u64, each: u64, until: Instant) -> u64 {
    let mut batches = 0;
    while Instant::now() < until {
        let first = batches * each + 1;
        let reports = (first..first + each).map(state).collect();
        let batch = Batch {
            worker: format!("eu.example.net/{worker}"),
            kind: WorkerKind::Instance,
            boot: NOW,
            reports,
        };
        if journal.take(Arrival { batch, heard_ms: NOW, standing: Standing::Known }).await.is_err() {
            break;
        }
        batches += 1;
    }
    batches
}

async fn measure(folder: &Path, each: u64) -> Result<(), Box<dyn Error>> {
    let (journal, _) = Journal::open(&folder.join(each.to_string()), NOW)?;
    let (begin, cpu) = (Instant::now(), cpu_us()?);
    let until = begin + std::time::Duration::from_secs(SECONDS);
    let senders: tokio::task::JoinSet<u64> =
        (0..SENDERS).map(|worker| send(journal.clone(), worker, each, until)).collect();
    let batches: u64 = senders.join_all().await.iter().sum();
    let (wall, cpu) = (begin.elapsed().as_secs_f64(), (cpu_us()? - cpu) as f64 / 1e6);
    journal.close().await;
    println!(
        "{each:2} reports a batch, {SENDERS} senders: {:.0} batches per CPU second ({:.1} us each), {:.0} per second",
        batches as f64 / cpu,
        cpu / batches as f64 * 1e6,
        batches as f64 / wall,
    );
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let parent = std::env::args_os().nth(1).unwrap_or_else(|| "target".into());
    let folder = Path::new(&parent).join("journal-measure");
    for each in [1, 20] {
        measure(&folder, each).await?;
    }
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
