//! Sudden ends: a panic, an abort, a kill; and what the next life makes of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(unreachable_pub, dead_code, reason = "the support is shared between test programs")]

mod support;

use std::{
    collections::BTreeMap,
    env, fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio, abort},
    thread,
};

use support::{Act, Monitor, config, line, nobody, until};
use switchboard_fleet::report::{Report, Told};
use switchboard_worker::Worker;

const ROLE: &str = "WORKER_TEST_ROLE";
const SPOOL: &str = "WORKER_TEST_SPOOL";

/// Not a test by itself: the program that the tests below start and that ends suddenly.
#[test]
#[ignore = "started by other tests as a program of its own"]
fn program() {
    let spool = PathBuf::from(env::var_os(SPOOL).expect("only as a program of its own"));
    let worker = Worker::start(config(nobody(), &spool)).unwrap();
    match env::var(ROLE).unwrap().as_str() {
        "abort" => {
            let _ = thread::spawn(|| panic!("the last words\nof {}", 1)).join();
            abort();
        }
        "log" => {
            for n in 0.. {
                worker.log(line(format!("line {n}")));
                thread::park_timeout(std::time::Duration::from_micros(100));
            }
        }
        role => panic!("{role}"),
    }
}

fn start_program(role: &str, spool: &Path) -> Child {
    let program = env::current_exe().unwrap();
    let mut command = Command::new(program);
    command.args(["--exact", "program", "--ignored"]).env(ROLE, role).env(SPOOL, spool);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// The reports of all spool files, with their life.
fn saved(spool: &Path) -> Vec<(u64, Report)> {
    let mut all = Vec::new();
    for file in fs::read_dir(spool).into_iter().flatten().flatten() {
        let name = file.file_name().into_string().unwrap();
        let Some((boot, _)) = name.strip_suffix(".jsonl").and_then(|name| name.split_once('-')) else {
            continue;
        };
        let text = fs::read_to_string(file.path()).unwrap_or_default();
        let reports = text.lines().filter_map(|line| serde_json::from_str(line).ok());
        all.extend(reports.map(|report| (boot.parse().unwrap(), report)));
    }
    all
}

#[test]
fn a_panic_is_reported_by_the_thread_that_panics() {
    let monitor = Monitor::start(|_, _| Act::Take);
    let spool = tempfile::tempdir().unwrap();
    let worker = Worker::start(config(monitor.address, spool.path())).unwrap();
    assert!(thread::spawn(|| panic!("out of ideas")).join().is_err());
    assert!(thread::spawn(|| std::panic::panic_any(7)).join().is_err());
    let panics = |has: &support::Has| {
        let panic = |report: &Report| match &report.told {
            Told::Panic { message, place } => Some((message.clone(), place.clone())),
            _ => None,
        };
        has.reports().filter_map(panic).collect::<Vec<_>>()
    };
    let has = monitor.wait("both panics", |has| {
        let panics = panics(has);
        ["out of ideas", "no text"].iter().all(|wanted| panics.iter().any(|(message, _)| message == wanted))
    });
    let panics = panics(&has);
    let (_, place) = panics.iter().find(|(message, _)| message == "out of ideas").unwrap();
    assert!(place.contains("tests/ends.rs:"), "{place}");
    worker.stop();
    let has = monitor.has();
    assert_eq!(has.missing_at_stop(*has.lives.keys().next().unwrap()), Some(0));
}

#[test]
fn a_panic_before_an_abort_is_reported_by_the_next_life() {
    let spool = tempfile::tempdir().unwrap();
    let status = start_program("abort", spool.path()).wait().unwrap();
    assert!(!status.success());
    let monitor = Monitor::start(|_, _| Act::Take);
    let worker = Worker::start(config(monitor.address, spool.path())).unwrap();
    let has = monitor.wait("the next life", |has| has.lives.len() == 2);
    let first = has.lives.values().next().unwrap();
    let is_panic = |report: &Report| matches!(&report.told, Told::Panic { message, .. } if message == "the last words\nof 1");
    assert!(first.values().any(is_panic), "{first:?}");
    drop(worker);
}

#[test]
fn a_killed_program_loses_nothing_that_was_saved() {
    let spool = tempfile::tempdir().unwrap();
    for round in 1..=3 {
        let mut program = start_program("log", spool.path());
        let newest = || {
            let mut lives: BTreeMap<u64, usize> = BTreeMap::new();
            for (boot, _) in saved(spool.path()) {
                *lives.entry(boot).or_default() += 1;
            }
            if lives.len() == round { lives.last_entry().map_or(0, |life| *life.get()) } else { 0 }
        };
        until("a hundred reports of this life are saved", || newest() >= 100);
        program.kill().unwrap();
        program.wait().unwrap();
    }
    let saved = saved(spool.path());
    let newest = fs::read_dir(spool.path()).unwrap().flatten().map(|file| file.path());
    let newest = newest.filter(|path| path.extension().is_some_and(|end| end == "jsonl")).max().unwrap();
    fs::OpenOptions::new()
        .append(true)
        .open(newest)
        .unwrap()
        .write_all(br#"{"seq":99999,"at_ms":1,"ty"#)
        .unwrap();

    let monitor = Monitor::start(|_, n| if n % 3 == 0 { Act::TakeSilently } else { Act::Take });
    let worker = Worker::start(config(monitor.address, spool.path())).unwrap();
    monitor.wait("the fourth life", |has| has.lives.len() == 4);
    worker.stop();
    let has = monitor.has();
    for (boot, report) in &saved {
        assert_eq!(has.lives[boot].get(&report.seq), Some(report));
    }
    // What is not there never was on disk: a killed life's last moment.
    let earlier: usize = has.lives.values().take(3).map(|life| life.len()).sum();
    assert_eq!(earlier, saved.len());
    for life in has.lives.values().take(3) {
        assert_eq!(*life.keys().last().unwrap(), life.len() as u64, "a gap amid what was saved");
    }
}
