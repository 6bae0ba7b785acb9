//! A worker and the monitors it may meet: good, slow, forgetful, absent, refusing, lying.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(unreachable_pub, dead_code, reason = "the support is shared between test programs")]

mod support;

use std::time::{Duration, Instant};

use support::{Act, Monitor, config, line, nobody, on_disk, until};
use switchboard_fleet::{
    KeyRing,
    report::{Sample, Told},
};
use switchboard_worker::Worker;

fn is_log(message: &str) -> impl Fn(&Told) -> bool {
    move |told| matches!(told, Told::Log(line) if line.message == message)
}

/// Starts a worker, logs `count` lines, stops, and gives what the monitor has in the end: nothing is missing.
fn all_arrive(monitor: &Monitor, count: usize) -> support::Has {
    let spool = tempfile::tempdir().unwrap();
    let worker = Worker::start(config(monitor.address, spool.path())).unwrap();
    for n in 0..count {
        worker.log(line(format!("line {n}")));
    }
    let last = format!("line {}", count - 1);
    monitor.wait("the last line", |has| has.messages().contains(&last.as_str()));
    worker.stop();
    let has = monitor.has();
    assert_eq!(has.missing_at_stop(*has.lives.keys().next().unwrap()), Some(0));
    let wanted: Vec<String> = (0..count).map(|n| format!("line {n}")).collect();
    assert_eq!(has.messages(), wanted);
    assert_eq!(on_disk(spool.path()), (0, 0));
    has
}

#[test]
fn the_monitor_hears_of_the_whole_life() {
    let keys = KeyRing::new([[7; 32]]);
    let monitor = Monitor::start_at("127.0.0.1:0".parse().unwrap(), Some(keys.clone()), |_, _| Act::Take);
    let spool = tempfile::tempdir().unwrap();
    let mut settings = config(monitor.address, spool.path());
    settings.keys = Some(keys);
    let worker = Worker::start(settings).unwrap();
    worker.log(line("hello"));
    worker.sample(60_000, Sample { t_started: 5, duration_avg: f64::NAN, ..Sample::default() });
    monitor.wait("three states", |has| {
        has.reports().filter(|report| matches!(report.told, Told::State(_))).count() >= 3
    });
    worker.stop();
    let has = monitor.has();
    let (&boot, life) = has.lives.iter().next().unwrap();
    assert_eq!((has.lives.len(), has.missing_at_stop(boot)), (1, Some(0)));
    let told: Vec<&Told> = life.values().map(|report| &report.told).collect();
    assert_eq!((told[0], told[told.len() - 1]), (&Told::Started, &Told::Stopping));
    assert_eq!(life.values().filter(|report| is_log("hello")(&report.told)).count(), 1);
    let sample = life.values().find(|report| matches!(report.told, Told::Sample(_))).unwrap();
    assert_eq!(sample.at_ms, 60_000);
    assert_eq!(sample.told, Told::Sample(Sample { t_started: 5, ..Sample::default() }));
    for told in &told {
        if let Told::State(state) = told {
            assert_eq!((state.pid, state.lost), (std::process::id(), 0));
            assert_eq!((state.address.as_str(), state.version.as_str()), ("127.0.0.1:8081", "0.1.0"));
        }
    }
    assert!(life.values().filter(|report| report.at_ms != 60_000).all(|report| report.at_ms >= boot));
}

#[test]
fn a_lost_answer_costs_a_second_sending_with_the_same_numbers() {
    let monitor = Monitor::start(|_, n| if n % 2 == 0 { Act::TakeSilently } else { Act::Take });
    assert!(all_arrive(&monitor, 700).again > 0);
}

#[test]
fn refusals_cost_time_only() {
    let monitor = Monitor::start(|_, n| match n {
        0 => Act::Refuse(401),
        1 => Act::Refuse(500),
        2 => Act::Refuse(404),
        3 => Act::Say("hello".into()),
        4 => Act::Say("x".repeat(100_000)),
        5 => Act::Say(r#"{"upto":0}"#.into()),
        _ => Act::Take,
    });
    all_arrive(&monitor, 20);
}

#[test]
fn batches_become_as_small_as_the_monitor_wants_them() {
    let monitor = Monitor::start(|batch, _| match batch.reports.len() {
        ..=3 => Act::Take,
        _ => Act::Refuse(413),
    });
    all_arrive(&monitor, 40);
}

#[test]
fn a_report_that_was_missing_is_sent_again() {
    let monitor = Monitor::start(|batch, n| match batch.reports.get(1) {
        Some(report) if n == 0 => Act::TakeAllBut(report.seq),
        _ => Act::Take,
    });
    all_arrive(&monitor, 100);
}

#[test]
fn a_report_that_is_never_taken_is_given_up_and_counted() {
    let monitor = Monitor::start(|batch, _| {
        let has_poison = batch.reports.iter().any(|report| is_log("poison")(&report.told));
        if has_poison { Act::Refuse(400) } else { Act::Take }
    });
    let spool = tempfile::tempdir().unwrap();
    let worker = Worker::start(config(monitor.address, spool.path())).unwrap();
    for message in ["before", "poison", "after"] {
        worker.log(line(message));
    }
    let has = monitor.wait("a state that counts it", |has| {
        has.reports().any(|report| matches!(&report.told, Told::State(state) if state.lost == 1))
    });
    assert_eq!(has.messages(), ["before", "after"]);
    worker.stop();
    let has = monitor.has();
    assert_eq!(has.missing_at_stop(*has.lives.keys().next().unwrap()), Some(1));
}

#[test]
fn a_report_that_stays_missing_holds_up_no_other() {
    let monitor = Monitor::start(|batch, _| {
        let poison = batch.reports.iter().find(|report| is_log("poison")(&report.told));
        poison.map_or(Act::Take, |report| Act::TakeAllBut(report.seq))
    });
    let spool = tempfile::tempdir().unwrap();
    let worker = Worker::start(config(monitor.address, spool.path())).unwrap();
    for message in ["before", "poison", "after"] {
        worker.log(line(message));
    }
    monitor.wait("a state that counts it", |has| {
        has.reports().any(|report| matches!(&report.told, Told::State(state) if state.lost == 1))
    });
    assert_eq!(monitor.has().messages(), ["before", "after"]);
    drop(worker);
}

#[test]
fn a_monitor_that_hangs_costs_the_spool_and_the_end_is_bounded() {
    let monitor = Monitor::start(|_, _| Act::Hang);
    let spool = tempfile::tempdir().unwrap();
    let mut settings = config(monitor.address, spool.path());
    settings.bounds.answer_within = Duration::from_secs(3600);
    settings.bounds.stop_within = Duration::from_millis(500);
    let worker = Worker::start(settings).unwrap();
    monitor.wait("a batch", |has| has.batches > 0);
    worker.log(line("while it hangs"));
    let saved = || {
        let files = std::fs::read_dir(spool.path()).unwrap().flatten();
        files.filter_map(|file| std::fs::read_to_string(file.path()).ok()).collect::<String>()
    };
    until("the line is on disk", || saved().contains("while it hangs"));
    let begin = Instant::now();
    worker.stop();
    assert!(begin.elapsed() < Duration::from_secs(30));
    assert!(saved().contains("stopping"));
}

#[test]
fn an_answer_that_comes_too_late_is_asked_for_again() {
    let monitor = Monitor::start(|_, n| if n < 2 { Act::Hang } else { Act::Take });
    let spool = tempfile::tempdir().unwrap();
    let mut settings = config(monitor.address, spool.path());
    settings.bounds.answer_within = Duration::from_millis(200);
    let worker = Worker::start(settings).unwrap();
    worker.log(line("patient"));
    monitor.wait("the line", |has| has.messages() == ["patient"]);
    drop(worker);
}

#[test]
fn a_monitor_that_restarts_misses_nothing() {
    let address = nobody();
    let spool = tempfile::tempdir().unwrap();
    let worker = Worker::start(config(address, spool.path())).unwrap();
    let mut messages = Vec::new();
    let mut numbers = Vec::new();
    let mut boot = 0;
    for round in 0..5 {
        let message = format!("round {round}");
        worker.log(line(message.clone()));
        until("it is saved", || on_disk(spool.path()).0 > 0);
        let monitor = Monitor::start_at(address, None, |_, _| Act::Take);
        monitor.wait("the line", |has| has.messages().contains(&message.as_str()));
        let has = monitor.end();
        messages.extend(has.messages().into_iter().map(str::to_owned));
        boot = *has.lives.keys().next().unwrap();
        numbers.extend(has.lives[&boot].keys().copied());
    }
    let last = Monitor::start_at(address, None, |_, _| Act::Take);
    worker.stop();
    let has = last.has();
    numbers.extend(has.lives[&boot].keys().copied());
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    // What a monitor had as it ended may come to the next one too.
    messages.sort();
    messages.dedup();
    assert_eq!(messages, (0..5).map(|round| format!("round {round}")).collect::<Vec<_>>());
}

#[test]
fn earlier_lives_are_sent_first_with_their_times_and_numbers() {
    let spool = tempfile::tempdir().unwrap();
    for life in 0..3 {
        let worker = Worker::start(config(nobody(), spool.path())).unwrap();
        worker.sample(life, Sample::default());
        worker.stop();
    }
    let monitor = Monitor::start(|_, _| Act::Take);
    let worker = Worker::start(config(monitor.address, spool.path())).unwrap();
    monitor.wait("the fourth life", |has| has.lives.len() == 4);
    worker.stop();
    let has = monitor.has();
    let mut order = has.order.clone();
    order.sort_unstable();
    assert_eq!(has.order, order);
    let boots: Vec<u64> = has.lives.keys().copied().collect();
    for (life, boot) in boots.iter().enumerate() {
        assert_eq!(has.missing_at_stop(*boot), Some(0));
        let sample = has.lives[boot].values().find(|report| matches!(report.told, Told::Sample(_)));
        assert_eq!(sample.map(|report| report.at_ms), (life < 3).then_some(life as u64));
    }
}

#[test]
fn a_full_queue_leaves_a_gap_that_is_counted() {
    let monitor = Monitor::start(|_, _| Act::Take);
    let spool = tempfile::tempdir().unwrap();
    let mut settings = config(monitor.address, spool.path());
    settings.bounds.queue_reports = 8;
    let worker = Worker::start(settings).unwrap();
    for n in 0..20_000 {
        worker.log(line(format!("line {n}")));
    }
    let counted = |has: &support::Has| {
        let life = has.lives.values().next()?;
        life.values().rev().find_map(|report| match &report.told {
            Told::State(state) if state.lost > 0 => {
                Some((report.seq - life.range(..=report.seq).count() as u64, state.lost))
            }
            _ => None,
        })
    };
    let has = monitor.wait("a state that counts what is missing", |has| {
        counted(has).is_some_and(|(missing, lost)| missing == lost)
    });
    assert!(counted(&has).is_some());
    drop(worker);
}

#[test]
fn a_full_spool_keeps_what_is_newest_and_counts_the_rest() {
    let spool = tempfile::tempdir().unwrap();
    let address = nobody();
    let mut settings = config(address, spool.path());
    settings.bounds.disk_bytes = 32 << 10;
    settings.bounds.file_bytes = 8 << 10;
    settings.bounds.queue_reports = 100_000;
    settings.bounds.queue_bytes = 16 << 20;
    let worker = Worker::start(settings).unwrap();
    for n in 0..2000 {
        worker.log(line(format!("line {n}")));
        if n % 50 == 0 {
            // So that it comes to the disk in pieces.
            let text = format!("\"line {n}\"");
            let has = |file: std::fs::DirEntry| {
                std::fs::read_to_string(file.path()).is_ok_and(|content| content.contains(&text))
            };
            until("it is saved", || std::fs::read_dir(spool.path()).unwrap().flatten().any(has));
            assert!(on_disk(spool.path()).0 <= 32 << 10);
        }
    }
    until("the last is saved", || {
        let files = std::fs::read_dir(spool.path()).unwrap().flatten();
        files
            .filter_map(|file| std::fs::read_to_string(file.path()).ok())
            .any(|text| text.contains("line 1999"))
    });
    let monitor = Monitor::start_at(address, None, |_, _| Act::Take);
    let has = monitor.wait("a state that counts what is missing", |has| {
        let Some(life) = has.lives.values().next() else { return false };
        life.values().any(|report| {
            let missing = report.seq - life.range(..=report.seq).count() as u64;
            matches!(&report.told, Told::State(state) if state.lost > 0 && state.lost == missing)
        })
    });
    let messages = has.messages();
    let first = 2000 - messages.len();
    assert!(first > 0 && messages.len() > 50, "{} left", messages.len());
    assert_eq!(messages, (first..2000).map(|n| format!("line {n}")).collect::<Vec<_>>());
    drop(worker);
}

#[test]
fn what_is_wrong_is_told_at_once_and_until_it_is_over() {
    let monitor = Monitor::start(|_, _| Act::Take);
    let spool = tempfile::tempdir().unwrap();
    let mut settings = config(monitor.address, spool.path());
    settings.bounds.state_every = Duration::from_secs(3600);
    let worker = Worker::start(settings).unwrap();
    let reporter = worker.reporter();
    monitor.wait("the first state", |has| has.wrong().len() == 1);
    let bad = || vec!["the disk is full".to_owned(), " ".into()];
    reporter.wrong(bad());
    monitor.wait("a state of its own", |has| has.wrong().len() == 2);
    reporter.wrong(bad());
    reporter.wrong(Vec::new());
    monitor.wait("well again", |has| has.wrong().len() == 3);
    worker.stop();
    assert_eq!(monitor.has().wrong(), [&[] as &[&str], &["the disk is full"], &[]]);

    // With every state of the ordinary ones.
    let worker = Worker::start(config(monitor.address, spool.path())).unwrap();
    worker.reporter().wrong(bad());
    monitor.wait("again and again", |has| has.wrong().iter().filter(|wrong| !wrong.is_empty()).count() > 3);
}

#[test]
fn a_program_that_changes_its_mind_all_the_time_floods_nobody() {
    let monitor = Monitor::start(|_, _| Act::Take);
    let spool = tempfile::tempdir().unwrap();
    let mut settings = config(monitor.address, spool.path());
    settings.bounds.state_every = Duration::from_secs(3600);
    let send_every = settings.bounds.send_every;
    let worker = Worker::start(settings).unwrap();
    let (begin, reporter) = (Instant::now(), worker.reporter());
    for n in 0..=10_000 {
        reporter.wrong(vec![format!("number {n}")]);
    }
    let has = monitor.wait("the last", |has| has.wrong().last() == Some(&vec!["number 10000"]));
    let most = begin.elapsed().as_millis() / send_every.as_millis() + 3;
    assert!(has.wrong().len() as u128 <= most, "{} states, at most {most}", has.wrong().len());
}

#[test]
fn nothing_is_taken_after_the_end() {
    let monitor = Monitor::start(|_, _| Act::Take);
    let spool = tempfile::tempdir().unwrap();
    let worker = Worker::start(config(monitor.address, spool.path())).unwrap();
    let reporter = worker.reporter();
    drop(worker);
    reporter.log(line("late"));
    assert!(monitor.has().messages().is_empty());
    assert_eq!(on_disk(spool.path()), (0, 0));
}
