//! What reporting costs a program: runs it for so many seconds against a monitor that takes everything (`cost good 60`) or
//! against none (`cost absent 60`), with 10 log lines a second and a sample a minute, and prints CPU time and memory.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement for people")]

use std::{
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use switchboard_fleet::report::{Batch, Level, LogLine, Sample, Taken, WorkerKind};
use switchboard_worker::{Bounds, Config, Subject, Worker};

fn main() {
    let mut arguments = env::args().skip(1);
    let kind = arguments.next().unwrap_or_else(|| "good".into());
    let seconds: u64 = arguments.next().map_or(60, |text| text.parse().unwrap());
    match kind.as_str() {
        "monitor" => serve(),
        "good" => {
            let mut monitor = Command::new(env::current_exe().unwrap());
            let mut monitor = monitor.arg("monitor").stdout(Stdio::piped()).spawn().unwrap();
            let mut address = String::new();
            BufReader::new(monitor.stdout.take().unwrap()).read_line(&mut address).unwrap();
            measure(address.trim(), seconds);
            monitor.kill().unwrap();
            monitor.wait().unwrap();
        }
        _ => measure("127.0.0.1:1", seconds),
    }
}

fn measure(monitor: &str, seconds: u64) {
    let spool = tempfile::tempdir().unwrap();
    // What the program has without the library.
    let _ = usage();
    let (cpu_before, memory_before) = usage();
    let worker = Worker::start(Config {
        worker: "cost".into(),
        kind: WorkerKind::Program,
        subject: Subject::Own,
        address: String::new(),
        version: "0".into(),
        monitor: format!("http://{monitor}"),
        keys: None,
        spool: spool.path().into(),
        bounds: Bounds::default(),
    })
    .unwrap();
    let data: serde_json::Map<_, _> =
        [("target".to_owned(), "switchboard::relay".into())].into_iter().collect();
    for n in 0..seconds * 10 {
        let message = format!("a line of the usual length, number {n}");
        worker.log(LogLine { level: Level::Info, message, data: data.clone() });
        if n % 600 == 0 {
            worker.sample(n, Sample::default());
        }
        thread::sleep(Duration::from_millis(100));
    }
    let (cpu, memory) = usage();
    let share = (cpu - cpu_before) as f64 / (seconds as f64 * 1e6) * 100.0;
    println!("{share:.3} % of a CPU, {} KiB more than before", memory - memory_before);
}

/// CPU time in microseconds, and resident memory that is not of files, in KiB.
fn usage() -> (u64, i64) {
    let schedule = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let threads = fs::read_dir("/proc/self/task").unwrap().flatten();
    let ns: u64 = threads
        .map(|thread| schedule(&format!("{}/schedstat", thread.path().display())))
        .filter_map(|text| text.split(' ').next()?.parse::<u64>().ok())
        .sum();
    let status = schedule("/proc/self/status");
    let memory = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap_or_default();
    (ns / 1000, memory.trim().trim_end_matches(" kB").parse().unwrap())
}

fn serve() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    println!("{address}");
    for stream in listener.incoming() {
        let stream = stream.unwrap();
        thread::spawn(move || answer(stream));
    }
}

fn answer(mut stream: TcpStream) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let batch: Batch = serde_json::from_slice(&body).unwrap();
        let taken = Taken { upto: batch.reports.last().unwrap().seq, missing: Vec::new() };
        let text = serde_json::to_string(&taken).unwrap();
        let length = text.len();
        stream
            .write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{text}").as_bytes())
            .unwrap();
    }
}
