//! Archives as the original's tools see them, and what is promised about order and faults.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use proptest::prelude::*;
use support::{rrdtool, sample, this_minute};
use switchboard_archive::{ArchiveError, Archives, Written};

const WORKER: &str = "eu.example.net:8080/8081";

/// Runs `test` with the archives of a new folder.
fn with<T>(test: impl AsyncFnOnce(&Path, &Archives) -> T) -> T {
    let folder = tempfile::tempdir().unwrap();
    let archives = Archives::open(folder.path()).unwrap();
    block_on(test(folder.path(), &archives))
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

/// Opens a folder whose writer was told to end just before.
fn reopen(folder: &Path) -> Archives {
    loop {
        match Archives::open(folder) {
            Err(ArchiveError::InUse { .. }) => std::thread::yield_now(),
            other => return other.unwrap(),
        }
    }
}

/// What `info` says, without what is different in each file.
fn layout(archive: &Path) -> Vec<String> {
    let varies = ["filename", "last_update", "cur_row", "last_ds", ".value", "unknown_", "header_size"];
    let info = rrdtool("info", archive, &[]);
    info.lines().filter(|line| !varies.iter().any(|part| line.contains(part))).map(String::from).collect()
}

/// An archive as the original made it, by Debian's own tool.
fn original(archive: &Path, start_s: i64, more: &[&str]) {
    let start = start_s.to_string();
    let mut arguments: Vec<String> = vec!["--step".into(), "60".into(), "--start".into(), start];
    for name in ["agents_u", "t_unique", "t_started", "t_completed", "t_failed", "bytes", "duration"] {
        arguments.push(format!("DS:{name}:ABSOLUTE:120:U:U"));
    }
    arguments.extend(["DS:cpu:DERIVE:120:0:U".into(), "DS:duration_avg:GAUGE:120:U:U".into()]);
    for function in ["AVERAGE", "MAX"] {
        for (rows, steps) in [(720, 1), (1440, 5), (168, 60), (60, 1440), (12, 43200)] {
            arguments.push(format!("RRA:{function}:0.5:{steps}:{rows}"));
        }
    }
    arguments.extend(more.iter().map(|one| String::from(*one)));
    rrdtool("create", archive, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn the_layout_is_the_originals_and_its_tool_reads_the_numbers() {
    with(async |folder, archives| {
        let now = this_minute();
        for n in 0..5 {
            let at_s = now - 240 + i64::try_from(n).unwrap() * 60;
            assert_eq!(archives.write(WORKER, at_s, &sample(n)).await, Ok(Written::Added));
        }
        let archive = archives.path(WORKER).unwrap();
        original(&folder.join("original"), now, &[]);
        assert_eq!(layout(&archive), layout(&folder.join("original")));

        let end = now.to_string();
        let numbers = rrdtool("fetch", &archive, &["AVERAGE", "--start", "end-120s", "--end", &end]);
        let row = numbers.lines().find(|line| line.starts_with(&format!("{now}:"))).unwrap();
        let row: Vec<f64> = row.split_whitespace().skip(1).map(|number| number.parse().unwrap()).collect();
        let s = sample(4);
        let expected = [s.agents_u, s.t_unique, s.t_started, s.t_completed, s.t_failed, s.bytes, s.duration]
            .map(|n| n as f64 / 60.0);
        assert!(
            row.iter().zip(expected).all(|(found, expected)| (found - expected).abs() <= expected * 1e-6),
            "{row:?}"
        );
        assert_eq!((row[7], row[8]), (100_000.0, 50.0));
        assert_eq!(archives.workers().unwrap(), [WORKER]);
    });
}

#[test]
fn the_first_minute_after_a_gap_is_known_and_the_gap_is_not() {
    with(async |_, archives| {
        let now = this_minute();
        for at_s in [now - 1200, now - 60, now] {
            archives.write(WORKER, at_s, &sample(9)).await.unwrap();
        }
        let (start, end) = ((now - 240).to_string(), now.to_string());
        let numbers =
            rrdtool("fetch", &archives.path(WORKER).unwrap(), &["AVERAGE", "--start", &start, "--end", &end]);
        let lines = numbers.lines().filter(|line| line.contains(':'));
        let known: Vec<_> =
            lines.map(|line| !line.split_whitespace().nth(1).unwrap().contains("nan")).collect();
        assert_eq!(known[..4], [false, false, true, true], "{numbers}");
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn in_whatever_order_samples_come_the_archive_is_the_same(
        order in Just((0..40_u64).filter(|n| n % 13 != 5).collect::<Vec<_>>()).prop_shuffle(),
        settle_after in 0..35_usize,
    ) {
        with(async |_, archives| {
            let now = this_minute();
            let at_s = |n: u64| now - 3600 + i64::try_from(n).unwrap() * 60;
            let mut sorted = order.clone();
            sorted.sort_unstable();
            for n in sorted {
                archives.write("in order", at_s(n), &sample(n)).await.unwrap();
            }
            for (index, n) in order.iter().enumerate() {
                if index == settle_after {
                    archives.settle().await.unwrap();
                }
                archives.write("as it comes", at_s(*n), &sample(*n)).await.unwrap();
                assert_eq!(archives.write("as it comes", at_s(*n), &sample(77)).await, Ok(Written::Repeated));
            }
            archives.settle().await.unwrap();
            let dump = |worker| rrdtool("dump", &archives.path(worker).unwrap(), &[]);
            assert_eq!(dump("as it comes"), dump("in order"));
            assert_eq!(archives.problems(), []);
        });
    }
}

#[test]
fn what_came_late_or_early_outlives_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let now = this_minute();
    block_on(async {
        let archives = Archives::open(folder.path()).unwrap();
        for at_s in [now - 300, now, now - 120] {
            archives.write(WORKER, at_s, &sample(3)).await.unwrap();
        }
        assert_eq!(archives.write(WORKER, now + 7200, &sample(3)).await, Ok(Written::Held));
        assert_eq!(archives.newest_s(WORKER), Some(now));
        assert!(matches!(
            archives.write(WORKER, now + 90_000, &sample(3)).await,
            Err(ArchiveError::TooFar { .. })
        ));
        assert!(matches!(archives.write(WORKER, 60, &sample(3)).await, Err(ArchiveError::TooOld { .. })));
        assert_eq!(
            Archives::open(folder.path()).err(),
            Some(ArchiveError::InUse { folder: archives.folder().into() })
        );
    });
    let archives = reopen(folder.path());
    block_on(async {
        for at_s in [now + 7200, now - 120, now] {
            assert_eq!(archives.write(WORKER, at_s, &sample(3)).await, Ok(Written::Repeated));
        }
        archives.settle().await.unwrap();
    });
    let last = rrdtool("last", &archives.path(WORKER).unwrap(), &[]);
    assert_eq!(last.trim(), now.to_string(), "what is held is not in the archive");
}

#[test]
fn an_archive_that_is_gone_is_written_again() {
    with(async |_, archives| {
        let now = this_minute();
        let archive = archives.path(WORKER).unwrap();
        for n in 0..10_u64 {
            archives.write(WORKER, now - 600 + i64::try_from(n).unwrap() * 60, &sample(n)).await.unwrap();
        }
        let before = rrdtool("dump", &archive, &[]);
        fs::remove_file(&archive).unwrap();
        assert!(matches!(archives.write(WORKER, now - 600, &sample(0)).await, Ok(Written::Repeated)));
        assert!(archives.write(WORKER, now, &sample(10)).await.is_err());
        archives.write(WORKER, now, &sample(10)).await.unwrap();
        archives.settle().await.unwrap();
        let after = rrdtool("dump", &archive, &[]);
        assert!(after.lines().count() == before.lines().count() && archives.problems().is_empty());
        assert_eq!(rrdtool("last", &archive, &[]).trim(), now.to_string());
    });
}

#[test]
fn an_archive_of_the_original_is_taken_over_and_another_is_refused() {
    with(async |_, archives| {
        let now = this_minute();
        let archive = archives.path(WORKER).unwrap();
        original(&archive, now - 3600, &[]);
        rrdtool("update", &archive, &[&format!("{}:60:0:0:0:0:0:0:5:1", now - 180)]);
        assert_eq!(archives.write(WORKER, now, &sample(1)).await, Ok(Written::Added));
        assert_eq!(archives.write(WORKER, now - 60, &sample(1)).await, Ok(Written::Late));
        assert!(matches!(
            archives.write(WORKER, now - 180, &sample(1)).await,
            Err(ArchiveError::TooOld { .. })
        ));
        archives.settle().await.unwrap();
        let (start, end) = ((now - 240).to_string(), now.to_string());
        let numbers = rrdtool("fetch", &archive, &["AVERAGE", "--start", &start, "--end", &end]);
        let of = |at_s: i64| {
            numbers.lines().find(|line| line.starts_with(&format!("{at_s}:"))).unwrap().to_owned()
        };
        assert!(!of(now - 60).contains("nan") || of(now - 60).matches("nan").count() == 1, "{numbers}");

        let foreign = archives.path("other").unwrap();
        original(&foreign, now - 3600, &["DS:more:GAUGE:120:U:U"]);
        let error = archives.write("other", now, &sample(1)).await.unwrap_err();
        assert!(
            matches!(&error, ArchiveError::Foreign { difference, .. } if difference.contains("more")),
            "{error}"
        );
    });
}

#[test]
fn one_damaged_archive_is_one_error_and_the_others_go_on() {
    with(async |_, archives| {
        let now = this_minute();
        archives.write("good", now - 60, &sample(1)).await.unwrap();
        archives.write("short", now - 60, &sample(1)).await.unwrap();
        let short = archives.path("short").unwrap();
        fs::OpenOptions::new().write(true).open(&short).unwrap().set_len(2000).unwrap();
        fs::write(archives.path("text").unwrap(), "not an archive").unwrap();
        fs::create_dir(archives.path("folder").unwrap()).unwrap();
        for worker in ["short", "text", "folder", "short"] {
            let error = archives.write(worker, now, &sample(2)).await.unwrap_err();
            assert!(!error.to_string().contains('\n') && error.to_string().contains(worker), "{error}");
            assert!(worker == "folder" || matches!(error, ArchiveError::Damaged { .. }), "{error}");
        }
        assert_eq!(archives.write("good", now, &sample(2)).await, Ok(Written::Added));
        let problems: Vec<_> = archives.problems().into_iter().map(|problem| problem.worker).collect();
        assert_eq!(problems, ["folder", "short", "text"]);

        fs::remove_file(&short).unwrap();
        archives.write("short", now, &sample(2)).await.unwrap();
        archives.settle().await.unwrap();
        assert!(!archives.problems().iter().any(|problem| problem.worker == "short"));
        assert_eq!(rrdtool("last", &short, &[]).trim(), now.to_string());
    });
}

#[test]
fn a_tail_that_was_cut_still_takes_late_samples() {
    with(async |_, archives| {
        let now = this_minute();
        let at_s = |n: u64| now - 60 * 3000 + i64::try_from(n).unwrap() * 60;
        for n in 0..=3000 {
            archives.write("in order", at_s(n), &sample(n)).await.unwrap();
            if n != 2000 {
                archives.write("late", at_s(n), &sample(n)).await.unwrap();
            }
        }
        archives.settle().await.unwrap();
        let archive = archives.path("late").unwrap();
        assert!(archive.with_extension("base").exists());
        let lines = fs::read_to_string(archive.with_extension("tail")).unwrap().lines().count();
        assert!(lines < 2000, "{lines}");
        assert!(matches!(
            archives.write("late", at_s(1000), &sample(1)).await,
            Err(ArchiveError::TooOld { .. })
        ));
        assert_eq!(archives.write("late", at_s(2000), &sample(2000)).await, Ok(Written::Late));
        archives.settle().await.unwrap();
        let dump = |worker| rrdtool("dump", &archives.path(worker).unwrap(), &[]);
        assert_eq!(dump("late"), dump("in order"));
    });
}

/// Another process that has the file locked, as a reader has it.
struct Reader(Child);

impl Reader {
    fn of(archive: &Path) -> Self {
        let me = std::env::current_exe().unwrap();
        let mut child = Command::new(me)
            .args(["--ignored", "--exact", "keeps_a_file_locked", "--nocapture"])
            .env("KEEP_LOCKED", archive)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().ends_with("it is locked")));
        Self(child)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "the other process of the next test"]
fn keeps_a_file_locked() {
    use nix::fcntl::{FcntlArg, fcntl};
    let Some(archive) = std::env::var_os("KEEP_LOCKED") else { return };
    let file = fs::OpenOptions::new().read(true).write(true).open(archive).unwrap();
    let lock = nix::libc::flock {
        l_type: nix::libc::F_RDLCK as _,
        l_whence: nix::libc::SEEK_SET as _,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    fcntl(&file, FcntlArg::F_SETLK(&lock)).unwrap();
    println!("it is locked");
    let _ = std::io::stdin().read_line(&mut String::new());
}

#[test]
fn a_locked_archive_is_tried_again_and_its_sample_is_not_lost() {
    with(async |_, archives| {
        let now = this_minute();
        archives.write(WORKER, now - 180, &sample(1)).await.unwrap();
        let reader = Reader::of(&archives.path(WORKER).unwrap());
        let error = archives.write(WORKER, now - 120, &sample(2)).await.unwrap_err();
        assert!(matches!(error, ArchiveError::Locked { waited_ms: 1000.., .. }), "{error}");
        let third = sample(3);
        let (during, ()) = tokio::join!(archives.write(WORKER, now - 60, &third), async { drop(reader) });
        during.unwrap();
        archives.write(WORKER, now, &sample(4)).await.unwrap();
        let (start, end) = ((now - 180).to_string(), now.to_string());
        let numbers =
            rrdtool("fetch", &archives.path(WORKER).unwrap(), &["AVERAGE", "--start", &start, "--end", &end]);
        let known = numbers.lines().filter(|line| line.contains(':') && !line.contains("nan")).count();
        assert_eq!(known, 3, "{numbers}");
        assert_eq!(archives.problems(), []);
    });
}
