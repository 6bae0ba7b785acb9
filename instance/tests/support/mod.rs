//! Instances started in this process, and the other side of the wire played byte by byte.

#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "each test uses its own part of this"
)]

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::mpsc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use switchboard_fleet::{CustomerId, KeyRing, config::Config};
use switchboard_instance::StartError;
use switchboard_range::{IdRange, Ledger};
use tempfile::TempDir;

/// Nothing in these tests takes as long as this.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub const KEY: [u8; 32] = [7; 32];

/// A running instance; drained when dropped.
pub struct Instance {
    pub address: SocketAddr,
    pub port: u16,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    end: mpsc::Receiver<Result<(), StartError>>,
    folder: Option<TempDir>,
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// As [`free_port`], so many different ones.
pub fn free_ports<const N: usize>() -> [u16; N] {
    let held = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    held.map(|listener| listener.local_addr().unwrap().port())
}

/// The token of a customer under [`KEY`].
pub fn token(id: u64) -> String {
    KeyRing::new([KEY]).token(CustomerId::new(id).unwrap())
}

/// A lone instance that is its own master, with short times; `change` may alter its configuration.
pub fn start(change: impl FnOnce(&mut Config)) -> Instance {
    start_at(free_port(), change)
}

/// As [`start`], at a given port.
pub fn start_at(port: u16, change: impl FnOnce(&mut Config)) -> Instance {
    start_in(tempfile::tempdir().unwrap(), port, change).unwrap()
}

/// As [`start_at`], with the key, the ledgers and whatever else is in `folder`; what is missing is made.
///
/// # Errors
/// Why it does not start.
pub fn start_in(
    folder: TempDir,
    port: u16,
    change: impl FnOnce(&mut Config),
) -> Result<Instance, StartError> {
    let mut config = Config {
        server: format!("127.0.0.1:{port}").parse().unwrap(),
        instances: vec![port],
        key_file: folder.path().join("fleet.key"),
        state_dir: folder.path().join("var"),
        ..Config::default()
    };
    config.master = config.instance_name(port);
    config.timeouts.drain = Duration::from_secs(2).into();
    config.limits.registrations_per_minute = 0;
    change(&mut config);
    if !config.key_file.exists() {
        KeyRing::create(&config.key_file, KEY).unwrap();
    }
    let fleets = config.master_range_file(port);
    if config.is_master(port) && config.range.store.is_none() && !fleets.exists() {
        drop(Ledger::init_master(&fleets, IdRange::from_numbers(1000, 999_999).unwrap()).unwrap());
    }
    let address = SocketAddr::new(config.listen.address, port);
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let (ended, end) = mpsc::channel();
    let thread = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build_local(Default::default())
            .unwrap();
        let result = runtime.block_on(switchboard_instance::run(config, port, None, async {
            let _ = stopped.await;
        }));
        ended.send(result).ok();
    });
    let instance =
        Instance { address, port, stop: Some(stop), thread: Some(thread), end, folder: Some(folder) };
    let began = Instant::now();
    loop {
        if let Ok(result) = instance.end.try_recv() {
            result?;
            panic!("the instance has ended before it was ready");
        }
        // Until it is ready the port may be closed, or be closed again.
        if instance.asked_status().is_some_and(|status| status["state"] == "ready") {
            return Ok(instance);
        }
        assert!(began.elapsed() < PATIENCE, "the instance does not start");
        thread::sleep(Duration::from_millis(1));
    }
}

impl Instance {
    pub fn connect(&self) -> Wire {
        Wire::open(self.address)
    }

    /// One request on a connection of its own.
    pub fn post(&self, path: &str, headers: &str) -> Reply {
        let mut wire = self.connect();
        wire.post(path, headers);
        wire.reply()
    }

    /// A poll of `id`, parked when this returns.
    pub fn park(&self, id: u64) -> Wire {
        let before = self.status()["agents"]["parked"].as_u64().unwrap();
        let mut wire = self.connect();
        wire.post(&format!("/agent/{}", self.port), &agent(id));
        self.until(|status| status["agents"]["parked"].as_u64().unwrap() > before);
        wire
    }

    /// An app's request without a body.
    pub fn ask(&self, id: u64) -> Wire {
        let mut wire = self.connect();
        wire.post(&format!("/client/{}", self.port), &customer(id));
        wire
    }

    /// The head of an app's request, whose body is framed as this header says.
    pub fn ask_with(&self, id: u64, framing: &str) -> Wire {
        let mut wire = self.connect();
        let head =
            format!("POST /client/{} HTTP/1.1\r\nHost: a\r\n{}{framing}\r\n\r\n", self.port, customer(id));
        wire.send(head.as_bytes());
        wire
    }

    /// The head of an agent's reply, the same way.
    pub fn reply_with(&self, id: u64, request: &str, framing: &str) -> Wire {
        let mut wire = self.connect();
        let own = format!("{}X-IWP-RequestId: {request}\r\n", agent(id));
        let head = format!("POST /agentreply/{} HTTP/1.1\r\nHost: a\r\n{own}{framing}\r\n\r\n", self.port);
        wire.send(head.as_bytes());
        wire
    }

    pub fn status(&self) -> serde_json::Value {
        let mut wire = self.connect();
        wire.send(b"GET /status HTTP/1.1\r\nHost: a\r\n\r\n");
        serde_json::from_slice(&wire.reply().body).unwrap()
    }

    fn asked_status(&self) -> Option<serde_json::Value> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        let question = b"GET /status HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        stream.write_all(question).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
    }

    /// Where its key and its state are.
    pub fn folder(&self) -> &Path {
        self.folder.as_ref().unwrap().path()
    }

    /// Ends the instance; gives its folder, with all that it has written.
    pub fn end(mut self) -> TempDir {
        self.stop();
        self.join();
        self.folder.take().unwrap()
    }

    /// Waits until the instance's status is as wanted.
    pub fn until(&self, wanted: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
        let began = Instant::now();
        loop {
            let status = self.status();
            if wanted(&status) {
                return status;
            }
            assert!(began.elapsed() < PATIENCE, "never as wanted: {status}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Begins to drain; [`Instance::join`] waits for the end.
    pub fn stop(&mut self) {
        drop(self.stop.take());
    }

    pub fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
            // Nothing has been sent if the thread panicked, which has been told then.
            self.end.recv().map_or(Ok(()), |result| result).unwrap();
        }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.stop();
        if !thread::panicking() {
            self.join();
        }
    }
}

/// `X-IWP-ProductUnivId`, as a header line.
pub fn customer(id: u64) -> String {
    format!("X-IWP-ProductUnivId: {id}\r\n")
}

/// What an agent sends of itself.
pub fn agent(id: u64) -> String {
    format!("{}X-IWP-Token: {}\r\n", customer(id), token(id))
}

/// One connection, byte by byte.
pub struct Wire {
    pub stream: TcpStream,
    buffer: Vec<u8>,
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// How a body is told apart from what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framed {
    Length(usize),
    Chunked,
    Nothing,
}

impl Wire {
    pub fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: Vec::new() }
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// A request with an empty body.
    pub fn post(&mut self, path: &str, headers: &str) {
        self.send(
            format!("POST {path} HTTP/1.1\r\nHost: a\r\n{headers}Content-Length: 0\r\n\r\n").as_bytes(),
        );
    }

    /// A request with this body.
    pub fn post_body(&mut self, path: &str, headers: &str, body: &[u8]) {
        let head =
            format!("POST {path} HTTP/1.1\r\nHost: a\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
        self.send(&[head.as_bytes(), body].concat());
    }

    /// One chunk; an empty one ends the body.
    pub fn chunk(&mut self, data: &[u8]) {
        self.send(&[format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat());
    }

    /// More bytes; `false` at the end of the connection.
    fn fill(&mut self) -> bool {
        let mut piece = [0; 65536];
        let got = self.stream.read(&mut piece).unwrap_or(0);
        self.buffer.extend_from_slice(&piece[..got]);
        got > 0
    }

    /// Whether the connection has ended with nothing more on it.
    pub fn ended(&mut self) -> bool {
        self.buffer.is_empty() && !self.fill()
    }

    /// The head of an answer.
    pub fn head(&mut self) -> (Reply, Framed) {
        let end = loop {
            if let Some(end) = self.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                break end + 4;
            }
            assert!(self.fill(), "no whole head: {:?}", String::from_utf8_lossy(&self.buffer));
        };
        let text = String::from_utf8(self.buffer.drain(..end).collect()).unwrap();
        let mut lines = text.lines();
        let status = lines.next().unwrap()[9..12].parse().unwrap();
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let reply = Reply { status, headers, body: Vec::new() };
        let framed = match (reply.get("content-length"), reply.get("transfer-encoding")) {
            (Some(length), _) => Framed::Length(length.parse().unwrap()),
            (None, Some("chunked")) => Framed::Chunked,
            _ => Framed::Nothing,
        };
        (reply, framed)
    }

    /// Exactly so many bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count {
            assert!(self.fill(), "the connection ended early");
        }
        self.buffer.drain(..count).collect()
    }

    /// The data of one chunk; `None` is the end of the body.
    pub fn read_chunk(&mut self) -> Option<Vec<u8>> {
        let line = loop {
            if let Some(end) = self.buffer.windows(2).position(|w| w == b"\r\n") {
                break String::from_utf8(self.buffer.drain(..end + 2).collect()).unwrap();
            }
            assert!(self.fill(), "the connection ended within a chunked body");
        };
        let size = usize::from_str_radix(line.trim(), 16).unwrap();
        let data = self.bytes(size + 2)[..size].to_vec();
        (size > 0).then_some(data)
    }

    /// A whole answer.
    pub fn reply(&mut self) -> Reply {
        let (mut reply, framed) = self.head();
        match framed {
            Framed::Length(length) => reply.body = self.bytes(length),
            Framed::Chunked => {
                while let Some(data) = self.read_chunk() {
                    reply.body.extend(data);
                }
            }
            Framed::Nothing => {}
        }
        reply
    }
}

impl Reply {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub fn reason(&self) -> &str {
        self.get("x-iwp-reason").unwrap_or("")
    }
}

/// A fresh folder that lives as long as the test.
pub fn path(folder: &TempDir, name: &str) -> PathBuf {
    folder.path().join(name)
}
