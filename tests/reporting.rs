//! What a server tells its monitor: a listener of the test plays it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use nix::sys::signal::{Signal, kill};
use support::{Fleet, Server, text, until};
use switchboard_fleet::report::{Batch, Level, Report, Sample, Taken, Told, WorkerKind, WorkerState};

/// What was told, by worker and life.
type Heard = BTreeMap<(String, u64), Vec<Report>>;

/// Takes every report.
#[derive(Clone)]
struct Monitor {
    address: SocketAddr,
    heard: Arc<Mutex<Heard>>,
}

impl Monitor {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let monitor = Self { address: listener.local_addr().unwrap(), heard: Arc::default() };
        let serving = monitor.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let serving = serving.clone();
                thread::spawn(move || while serving.serve(stream.as_ref().unwrap()).is_some() {});
            }
        });
        monitor
    }

    fn serve(&self, mut stream: &TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream);
        let (mut length, mut signed) = (0, false);
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
            let lower = line.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length: ") {
                length = value.trim().parse().unwrap();
            }
            signed |= lower.starts_with("x-iwp-signature: ");
        }
        assert!(signed);
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let batch: Batch = serde_json::from_slice(&body).unwrap();
        let kind = if batch.worker.ends_with("/front") { WorkerKind::Front } else { WorkerKind::Instance };
        assert_eq!(batch.kind, kind, "{}", batch.worker);
        let upto = batch.reports.last().unwrap().seq;
        let mut heard = self.heard.lock().unwrap();
        let reports = heard.entry((batch.worker, batch.boot)).or_default();
        for report in batch.reports {
            if reports.iter().all(|known| known.seq != report.seq) {
                reports.push(report);
            }
        }
        drop(heard);
        let taken = serde_json::to_string(&Taken { upto, missing: Vec::new() }).unwrap();
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{taken}", taken.len()).ok()
    }

    /// What a worker told in its last life.
    fn heard(&self, worker: &str) -> Vec<Told> {
        let heard = self.heard.lock().unwrap();
        let last = heard.iter().rfind(|((name, _), _)| name == worker);
        let mut reports = last.map(|(_, reports)| reports.clone()).unwrap_or_default();
        reports.sort_by_key(|report| report.seq);
        for report in reports.iter().filter(|report| matches!(report.told, Told::Sample(_))) {
            assert_eq!(report.at_ms % 60_000, 0);
        }
        reports.into_iter().map(|report| report.told).collect()
    }

    fn last_state(&self, worker: &str) -> Option<WorkerState> {
        self.heard(worker).into_iter().rev().find_map(|told| match told {
            Told::State(state) => Some(state),
            _ => None,
        })
    }

    fn has_line(&self, worker: &str, level: Level, text: &str) -> bool {
        self.heard(worker)
            .iter()
            .any(|told| matches!(told, Told::Log(line) if line.level == level && line.message.contains(text)))
    }
}

fn names(server: &Server) -> Vec<String> {
    server.ports.iter().map(|port| format!("{}/{port}", server.front)).collect()
}

#[test]
fn instances_and_the_front_say_how_they_are() {
    let monitor = Monitor::start();
    let mut fleet = Fleet::of_one(&format!("[monitor]\nrun = false\nurl = \"http://{}\"\n", monitor.address));
    let server = &mut fleet.servers[0];
    for (name, port) in names(server).iter().zip(server.ports.clone()) {
        let state = until("a state", || monitor.last_state(name));
        assert_eq!(state.pid.cast_signed(), server.pid(port).as_raw());
        assert_eq!(state.address, format!("127.0.0.1:{port}"));
        assert!(state.rss_bytes > 1 << 20 && state.cpu_us > 0 && state.lost == 0, "{state:?}");
        assert_eq!(monitor.heard(name).first(), Some(&Told::Started));
        until("its log", || monitor.has_line(name, Level::Info, "ready").then_some(()));
    }
    // The front's state is nginx's.
    let front = format!("{}/front", server.front);
    let nginx =
        |pid: u32| fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default().contains("nginx");
    let state = until("nginx's state", || monitor.last_state(&front).filter(|state| nginx(state.pid)));
    assert_eq!(state.address, server.front.to_string());
    assert!(state.rss_bytes > 1 << 20, "{state:?}");
    assert_eq!(monitor.heard(&front).first(), Some(&Told::Started));
    // What dies is told by it.
    kill(nix::unistd::Pid::from_raw(state.pid.cast_signed()), Signal::SIGKILL).unwrap();
    until("nginx's end", || monitor.has_line(&front, Level::Warning, "nginx: it ended").then_some(()));
    until("nginx again", || monitor.has_line(&front, Level::Success, "nginx: it serves again").then_some(()));
    let again = until("the new nginx", || {
        monitor.last_state(&front).filter(|other| other.pid != state.pid && nginx(other.pid))
    });
    assert!(again.cpu_us >= state.cpu_us);
    let port = server.ports[0];
    kill(server.pid(port), Signal::SIGKILL).unwrap();
    let ended = format!("instance {port}: it ended");
    until("the instance's end", || monitor.has_line(&front, Level::Warning, &ended).then_some(()));
    let reloaded = support::run(&["reload", "--config", &server.config()]);
    assert!(reloaded.status.success(), "{reloaded:?}");
    until("the reload", || monitor.has_line(&front, Level::Info, "front: in force").then_some(()));
    // All say that they stop.
    server.stop();
    for name in names(server).iter().chain([&front]) {
        assert_eq!(monitor.heard(name).last(), Some(&Told::Stopping), "{name}");
    }
}

#[test]
fn a_sample_comes_at_the_full_minute() {
    let monitor = Monitor::start();
    let fleet = Fleet::of_one(&format!("[monitor]\nrun = false\nurl = \"http://{}\"\n", monitor.address));
    let server = &fleet.servers[0];
    let (_agent, id) = server.agent("agent", &["--echo"]);
    assert_eq!(text(&server.call(id, &["--data", "hello"])), "hello");
    let samples = |name: &String| -> Vec<Sample> {
        let told = monitor.heard(name).into_iter();
        told.filter_map(|told| if let Told::Sample(sample) = told { Some(sample) } else { None }).collect()
    };
    let began = Instant::now();
    // A minute may have ended in the middle of it.
    let all: Vec<Sample> = loop {
        let each: Vec<_> = names(server).iter().map(samples).collect();
        let all = each.concat();
        if each.iter().all(|samples| !samples.is_empty()) && all.iter().any(|sample| sample.t_completed > 0) {
            break all;
        }
        assert!(began.elapsed() < Duration::from_secs(150), "no sample within a minute");
        thread::sleep(Duration::from_millis(50));
    };
    let sum = |field: fn(&Sample) -> u64| all.iter().map(field).sum::<u64>();
    assert_eq!((sum(|s| s.t_started), sum(|s| s.t_completed), sum(|s| s.t_failed)), (1, 1, 0), "{all:?}");
    assert!(sum(|s| s.agents_u) >= 1 && sum(|s| s.t_unique) == 1, "{all:?}");
    assert_eq!(sum(|s| s.bytes), 10, "there and back: {all:?}");
    assert!(all.iter().all(|sample| sample.cpu > 0), "{all:?}");
}
