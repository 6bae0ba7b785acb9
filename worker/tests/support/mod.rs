//! A monitor that does as the test says, and workers to go with it.

use std::{
    collections::{BTreeMap, HashMap},
    io::{self, BufRead, BufReader, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, SystemTime},
};

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use switchboard_fleet::{
    KeyRing, header,
    report::{Batch, Level, LogLine, Report, Taken, Told, WorkerKind},
};
use switchboard_worker::{Bounds, Config, Subject};

/// What the monitor does with a batch.
pub enum Act {
    /// Keeps it and says so.
    Take,
    /// Keeps it; the answer is lost.
    TakeSilently,
    /// Keeps nothing and answers with this status.
    Refuse(u16),
    /// Keeps nothing and never answers.
    Hang,
    /// Keeps nothing and answers 200 with this.
    Say(String),
    /// Keeps all but one report, and says which.
    TakeAllBut(u64),
}

/// Decides from a batch and its place in the order of batches, from 0.
pub type Plan = dyn Fn(&Batch, usize) -> Act + Send + Sync;

/// A monitor on a port of its own.
pub struct Monitor {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

struct Shared {
    plan: Box<Plan>,
    keys: Option<KeyRing>,
    has: Mutex<Has>,
    changed: Condvar,
    ended: AtomicBool,
    connections: Mutex<Vec<TcpStream>>,
}

/// What the monitor has.
#[derive(Default, Clone)]
pub struct Has {
    /// Reports by life and number.
    pub lives: BTreeMap<u64, BTreeMap<u64, Report>>,
    /// Lives and numbers in the order in which they came first.
    pub order: Vec<(u64, u64)>,
    /// Reports that came again.
    pub again: usize,
    /// Batches.
    pub batches: usize,
}

impl Monitor {
    pub fn start(plan: impl Fn(&Batch, usize) -> Act + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), None, plan)
    }

    pub fn start_at(
        address: SocketAddr,
        keys: Option<KeyRing>,
        plan: impl Fn(&Batch, usize) -> Act + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let shared = Arc::new(Shared {
            plan: Box::new(plan),
            keys,
            has: Mutex::default(),
            changed: Condvar::new(),
            ended: AtomicBool::new(false),
            connections: Mutex::default(),
        });
        let address = listener.local_addr().unwrap();
        let serving = shared.clone();
        let accepting = Some(thread::spawn(move || serving.accept(&listener)));
        Self { address, shared, accepting }
    }

    /// Waits until the monitor has what is asked for.
    pub fn wait(&self, what: &str, enough: impl Fn(&Has) -> bool) -> Has {
        let has = self.shared.has.lock().unwrap();
        let most = Duration::from_secs(60);
        let (has, late) = self.shared.changed.wait_timeout_while(has, most, |has| !enough(has)).unwrap();
        assert!(!late.timed_out(), "never came: {what}; lives {:?}", has.lives);
        has.clone()
    }

    pub fn has(&self) -> Has {
        self.shared.has.lock().unwrap().clone()
    }

    /// Ends it. What it had at the end, and has said to have.
    pub fn end(self) -> Has {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.has()
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts; the port is free when it has gone.
        drop(TcpStream::connect(self.address));
        let _ = self.accepting.take().map(JoinHandle::join);
        for connection in self.shared.connections.lock().unwrap().drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

impl Shared {
    fn accept(self: Arc<Self>, listener: &TcpListener) {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            if self.ended.load(Ordering::SeqCst) {
                return;
            }
            self.connections.lock().unwrap().push(stream.try_clone().unwrap());
            let serving = self.clone();
            thread::spawn(move || serving.serve(stream));
        }
    }

    fn serve(&self, mut stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while let Ok((head, body)) = read_request(&mut reader) {
            if self.ended.load(Ordering::SeqCst) {
                return;
            }
            self.check_signature(&head, &body);
            let batch: Batch = serde_json::from_slice(&body).unwrap();
            match self.answer(batch) {
                Some((status, body)) => {
                    let length = body.len();
                    let text = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n{body}");
                    if stream.write_all(text.as_bytes()).is_err() {
                        return;
                    }
                }
                None => {
                    let _ = stream.shutdown(Shutdown::Both);
                    return;
                }
            }
        }
    }

    fn answer(&self, batch: Batch) -> Option<(u16, String)> {
        let mut has = self.has.lock().unwrap();
        if self.ended.load(Ordering::SeqCst) {
            return None;
        }
        let act = (self.plan)(&batch, has.batches);
        has.batches += 1;
        let skip = match act {
            Act::TakeAllBut(seq) => Some(seq),
            _ => None,
        };
        if matches!(act, Act::Take | Act::TakeSilently | Act::TakeAllBut(_)) {
            has.take(&batch, skip);
        }
        let taken = has.taken(batch.boot);
        drop(has);
        self.changed.notify_all();
        match act {
            Act::Take | Act::TakeAllBut(_) => Some((200, serde_json::to_string(&taken).unwrap())),
            Act::TakeSilently => None,
            Act::Refuse(status) => Some((status, String::new())),
            Act::Say(text) => Some((200, text)),
            Act::Hang => {
                let ended = || self.ended.load(Ordering::SeqCst);
                while !ended() {
                    thread::park_timeout(Duration::from_millis(20));
                }
                None
            }
        }
    }

    fn check_signature(&self, head: &HeaderMap, body: &[u8]) {
        let Some(keys) = &self.keys else { return };
        assert_eq!(head[header::DIGEST], KeyRing::digest(body));
        keys.verify(&Method::POST, "/report", head, SystemTime::now()).unwrap();
    }
}

impl Has {
    fn take(&mut self, batch: &Batch, skip: Option<u64>) {
        for report in batch.reports.iter().filter(|report| Some(report.seq) != skip) {
            let life = self.lives.entry(batch.boot).or_default();
            match life.get(&report.seq) {
                Some(known) => {
                    assert_eq!(known, report, "the same number for another report");
                    self.again += 1;
                }
                None => {
                    life.insert(report.seq, report.clone());
                    self.order.push((batch.boot, report.seq));
                }
            }
        }
    }

    fn taken(&self, boot: u64) -> Taken {
        let mut taken = Taken { upto: 0, missing: Vec::new() };
        for &seq in self.lives.get(&boot).into_iter().flat_map(BTreeMap::keys) {
            if seq > taken.upto + 1 {
                taken.missing.push((taken.upto + 1, seq - 1));
            }
            taken.upto = seq;
        }
        taken
    }

    /// All reports, by life and number.
    pub fn reports(&self) -> impl Iterator<Item = &Report> {
        self.lives.values().flat_map(BTreeMap::values)
    }

    /// The messages of the log, by life and number.
    pub fn messages(&self) -> Vec<&str> {
        let message = |report: &'_ Report| matches!(report.told, Told::Log(_));
        let logs = self.reports().filter(|report| message(report));
        logs.filter_map(|report| match &report.told {
            Told::Log(line) => Some(line.message.as_str()),
            _ => None,
        })
        .collect()
    }

    /// What each state says is wrong, by life and number.
    pub fn wrong(&self) -> Vec<Vec<&str>> {
        let states = self.reports().filter_map(|report| match &report.told {
            Told::State(state) => Some(state),
            _ => None,
        });
        states.map(|state| state.wrong.iter().map(String::as_str).collect()).collect()
    }

    /// Whether a program has said that it stops, and how many numbers up to there are missing.
    pub fn missing_at_stop(&self, life: u64) -> Option<u64> {
        let life = self.lives.get(&life)?;
        let (last, _) = life.iter().find(|(_, report)| report.told == Told::Stopping)?;
        Some(last - life.range(..=last).count() as u64)
    }
}

fn read_request(reader: &mut impl BufRead) -> io::Result<(HeaderMap, Vec<u8>)> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    assert_eq!(line, "POST /report HTTP/1.1\r\n");
    let mut head = HeaderMap::new();
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        head.insert(HeaderName::try_from(name).unwrap(), HeaderValue::try_from(value).unwrap());
    }
    let length: usize = head["content-length"].to_str().unwrap().parse().unwrap();
    assert!(length <= Batch::BYTES_MAX);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok((head, body))
}

/// A worker in a hurry.
pub fn config(monitor: SocketAddr, spool: &Path) -> Config {
    Config {
        worker: "eu.example.net/8081".into(),
        kind: WorkerKind::Instance,
        subject: Subject::Own,
        address: "127.0.0.1:8081".into(),
        version: "0.1.0".into(),
        monitor: format!("http://{monitor}"),
        keys: None,
        spool: spool.into(),
        bounds: Bounds {
            state_every: Duration::from_millis(100),
            send_every: Duration::from_millis(20),
            answer_within: Duration::from_secs(20),
            pause_min: Duration::from_millis(5),
            pause_max: Duration::from_millis(50),
            stop_within: Duration::from_secs(20),
            ..Bounds::default()
        },
    }
}

/// An address at which nobody listens, nor will: no other test has a port of this host.
pub fn nobody() -> SocketAddr {
    static HOSTS: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    let host = Ipv4Addr::new(127, 1 + high % 128, low, HOSTS.fetch_add(1, Ordering::SeqCst));
    TcpListener::bind((host, 0)).unwrap().local_addr().unwrap()
}

pub fn line(message: impl Into<String>) -> LogLine {
    let data: HashMap<String, serde_json::Value> = HashMap::from([("n".to_owned(), 1.into())]);
    LogLine { level: Level::Info, message: message.into(), data: data.into_iter().collect() }
}

/// Waits for something outside of the monitor.
pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..6000 {
        if done() {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("never: {what}");
}

/// Length of all files of a spool, and how many.
pub fn on_disk(spool: &Path) -> (u64, usize) {
    let files = std::fs::read_dir(spool).into_iter().flatten().flatten();
    let files = files.filter(|file| file.file_name().to_string_lossy().ends_with(".jsonl"));
    let lengths: Vec<u64> = files.filter_map(|file| Some(file.metadata().ok()?.len())).collect();
    (lengths.iter().sum(), lengths.len())
}
