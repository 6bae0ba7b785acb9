//! A program that logs ten lines a second, with or without the library that reports them: what the library costs is the
//! difference.

use std::{
    hint::black_box,
    io::{self, BufRead, BufReader, Read, Write},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, bail};
use switchboard_fleet::{
    KeyRing,
    report::{Level, LogLine, Sample, WorkerKind},
};
use switchboard_worker::{Bounds, Config, Subject, Worker};

use crate::cpu;

/// Between two lines.
const LINE_EVERY: Duration = Duration::from_millis(100);
/// Lines after which there is a sample: a minute's.
const SAMPLE_EVERY: u64 = 600;

/// A running talker; ended when dropped.
pub(crate) struct Talker(Child);

impl Talker {
    /// Starts this program again to talk to the monitor at an address, or to nobody.
    pub(crate) fn start(monitor: Option<SocketAddr>, folder: &Path) -> anyhow::Result<Self> {
        let process = Command::new(std::env::current_exe()?)
            .arg("talk")
            .arg(folder)
            .args(monitor.map(|address| address.to_string()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("the program that logs cannot be started")?;
        let mut talker = Self(process);
        let stdout = talker.0.stdout.take().context("the program that logs has no standard output")?;
        if BufReader::new(stdout).read_line(&mut String::new())? == 0 {
            bail!("the program that logs does not start; what it said is above");
        }
        Ok(talker)
    }

    /// The CPU time that it has used.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        cpu::of_process_exactly(self.0.id())
    }

    /// Its memory that is not of files: both talkers have the same program.
    pub(crate) fn own_bytes(&self) -> anyhow::Result<u64> {
        cpu::own_bytes(self.0.id())
    }
}

impl Drop for Talker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Talks until standard input ends, as it does when the process that started this one is gone.
pub(crate) fn talk(folder: &Path, monitor: Option<SocketAddr>) -> anyhow::Result<()> {
    let (held, gone) = mpsc::channel::<()>();
    thread::spawn(move || {
        let _ = io::copy(&mut io::stdin().lock().by_ref(), &mut io::sink());
        drop(held);
    });
    let worker = monitor.map(|monitor| worker(monitor, folder)).transpose()?;
    writeln!(io::stdout(), "talking")?;
    let data: serde_json::Map<_, _> =
        [("target".to_owned(), "switchboard::relay".into())].into_iter().collect();
    let mut number = 0;
    while gone.recv_timeout(LINE_EVERY) == Err(RecvTimeoutError::Timeout) {
        let message = format!("a line of the usual length, number {number}");
        let line = LogLine { level: Level::Info, message, data: data.clone() };
        match &worker {
            Some(worker) => worker.log(line),
            None => drop(black_box(line)),
        }
        if let Some(worker) = worker.as_ref().filter(|_| number % SAMPLE_EVERY == 0) {
            let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
            worker.sample(now.as_millis() as u64, Sample::default());
        }
        number += 1;
    }
    Ok(())
}

/// As an instance has it.
fn worker(monitor: SocketAddr, folder: &Path) -> anyhow::Result<Worker> {
    let key: [u8; 32] = rand::random();
    Ok(Worker::start(Config {
        worker: "bench/talker".into(),
        kind: WorkerKind::Instance,
        subject: Subject::Own,
        address: "127.0.0.1:8081".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        monitor: format!("http://{monitor}"),
        keys: Some(KeyRing::new([key])),
        spool: folder.join("spool"),
        bounds: Bounds::default(),
    })?)
}
