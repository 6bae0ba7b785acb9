//! What was answered with "taken" is there after a kill, once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::{
    collections::hash_map::RandomState,
    env,
    hash::BuildHasher,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use support::*;

/// The folder for the process that is to be killed.
const FOLDER: &str = "JOURNAL_TO_BE_KILLED";
const WORKERS: u64 = 4;
const KILLS: u64 = 12;

/// Not a test of its own: the process that is killed. It takes reports of some workers at a time, each again after it was taken now
/// and then, and prints each number when it was answered.
#[test]
#[ignore = "runs until it is killed"]
fn the_process_that_is_killed() {
    let Ok(folder) = env::var(FOLDER) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (journal, memory) = open(Path::new(&folder));
        let tasks = (0..WORKERS).map(|worker| {
            let name = format!("w{worker}");
            let before = memory.workers.iter().find(|other| other.name == name);
            // What was taken last may not have been printed: it is sent again.
            let first = before.map_or(0, |before| before.taken).saturating_sub(20) + 1;
            tokio::spawn(send(journal.clone(), name, first))
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
    });
}

async fn send(journal: switchboard_journal::Journal, name: String, mut first: u64) {
    loop {
        let last = first + first % 9;
        let receipt = take(&journal, known(&name, BOOT, (first..=last).map(info).collect())).await;
        assert!(receipt.taken.missing.is_empty() && receipt.taken.upto >= last);
        let mut out = std::io::stdout().lock();
        writeln!(out, "taken {name} {last}").unwrap();
        first = if last.is_multiple_of(5) { last } else { last + 1 };
    }
}

/// Runs the process for some time that nobody knows, and gives the greatest number that it printed of each worker.
fn run_and_kill(folder: &Path) -> Vec<u64> {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["the_process_that_is_killed", "--exact", "--ignored", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut lines = lines.map_while(Result::ok).filter_map(|line| {
        let (_, taken) = line.split_once("taken w")?;
        let (worker, seq) = taken.split_once(' ')?;
        Some((worker.parse::<usize>().ok()?, seq.parse::<u64>().ok()?))
    });
    let mut printed = vec![0; WORKERS as usize];
    // It is running for sure when it has taken something.
    let first = lines.next().expect("the process takes reports");
    let killer = thread::spawn(move || {
        thread::sleep(Duration::from_micros(RandomState::new().hash_one(0) % 150_000));
        child.kill().unwrap();
        child.wait().unwrap();
    });
    for (worker, seq) in [first].into_iter().chain(lines) {
        printed[worker] = seq.max(printed[worker]);
    }
    killer.join().unwrap();
    printed
}

#[tokio::test]
async fn killed_at_any_moment() {
    let folder = tempfile::tempdir().unwrap();
    let mut printed = vec![0; WORKERS as usize];
    for _ in 0..KILLS {
        for (worker, seq) in run_and_kill(folder.path()).into_iter().enumerate() {
            printed[worker] = seq.max(printed[worker]);
        }
        let (journal, memory) = open(folder.path());
        for (worker, printed) in printed.iter().enumerate() {
            let name = format!("w{worker}");
            let numbers = numbers(&journal, &name).await;
            let upto = numbers.len() as u64;
            assert!(upto >= *printed, "{name}: {printed} was answered, {upto} are there");
            assert_eq!(numbers, (1..=upto).collect::<Vec<_>>(), "{name}: each once");
            let remembered = memory.workers.iter().find(|other| other.name == name);
            assert_eq!(remembered.map_or(0, |other| other.taken), upto);
        }
        journal.close().await;
    }
    assert!(printed.iter().all(|seq| *seq > 0), "{printed:?}");
}
