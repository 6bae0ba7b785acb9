//! A monitor as a user starts it, what reports to it, and a mail server for its letters.

#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "each test uses its own part of this, and fails by panicking"
)]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Output, Stdio},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};
use switchboard_fleet::{KeyRing, report::WorkerKind};
use switchboard_worker::{Bounds, Config, Subject, Worker};
use tempfile::TempDir;

/// Nothing in these tests takes as long as this.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// The server of the configurations written here.
pub const SERVER: &str = "127.0.0.1:8080";
const MONITOR: &str = env!("CARGO_BIN_EXE_switchboard-monitor");

/// A folder with a configuration, and the monitor that runs on it, if it runs.
pub struct Monitor {
    pub folder: TempDir,
    pub address: SocketAddr,
    /// Keeps the port from all others while the monitor is down.
    _held: Socket,
    process: Option<Child>,
}

impl Monitor {
    /// Starts a monitor; `more` is added to the configuration.
    pub fn start(more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (held, address) = quiet_address();
        let text = format!("[monitor]\nlisten = \"{address}\"\n{more}");
        fs::write(folder.path().join("fleet.toml"), text).unwrap();
        KeyRing::create(&folder.path().join("fleet.key"), [7; 32]).unwrap();
        let mut monitor = Self { folder, address, _held: held, process: None };
        monitor.run();
        monitor
    }

    pub fn path(&self, inner: &str) -> PathBuf {
        self.folder.path().join(inner)
    }

    pub fn keys(&self) -> KeyRing {
        KeyRing::read(&self.path("fleet.key")).unwrap()
    }

    /// The program with arguments.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(MONITOR);
        command.arg("--config").arg(self.path("fleet.toml")).args(arguments).env_remove("SWITCHBOARD_CONFIG");
        command
    }

    /// Runs one of its commands to the end.
    pub fn ask(&self, arguments: &[&str]) -> Output {
        self.command(arguments).stdin(Stdio::null()).output().unwrap()
    }

    /// Starts it, again on the port that it had.
    pub fn run(&mut self) {
        let mut process = self.command(&[]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        self.process = Some(process);
        assert_eq!(line, format!("listening on {}\n", self.address), "it does not start: see above");
    }

    /// kill -9.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// SIGTERM, and waits for its end.
    pub fn stop(&mut self) {
        let mut process = self.process.take().unwrap();
        let pid = nix::unistd::Pid::from_raw(i32::try_from(process.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        assert!(process.wait().unwrap().success());
    }

    pub fn get(&self, path: &str) -> Answer {
        self.call(&format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address))
    }

    /// Reports as `curl` would from this machine.
    pub fn report(&self, batch: &Value) -> Answer {
        self.post(&batch.to_string(), "Content-Type: application/json\r\n")
    }

    pub fn post(&self, body: &str, headers: &str) -> Answer {
        let host = self.address;
        let length = body.len();
        self.call(&format!(
            "POST /report HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
        ))
    }

    /// Sends bytes, and reads what comes until the connection ends.
    pub fn call(&self, request: &str) -> Answer {
        call(self.address, request)
    }

    /// `/status`.
    pub fn status(&self) -> Value {
        let answer = self.get("/status");
        assert_eq!(answer.status, 200, "{}", answer.text());
        serde_json::from_slice(&answer.body).unwrap()
    }

    /// What `/status` says of one worker.
    pub fn worker(&self, name: &str) -> Value {
        self.status()["workers"][name].clone()
    }

    /// A real worker that reports to it, signed.
    pub fn reporting(&self, name: &str, kind: WorkerKind) -> Worker {
        let spool = self.path(&format!("spool-{}", name.replace('/', "-")));
        let bounds = Bounds {
            state_every: Duration::from_millis(300),
            send_every: Duration::from_millis(100),
            pause_min: Duration::from_millis(50),
            pause_max: Duration::from_millis(200),
            ..Bounds::default()
        };
        Worker::start(Config {
            worker: name.into(),
            kind,
            address: String::new(),
            version: "1".into(),
            monitor: format!("http://{}", self.address),
            keys: Some(self.keys()),
            spool,
            subject: Subject::Own,
            bounds,
        })
        .unwrap()
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Sends bytes, and reads what comes until the connection ends.
pub fn call(address: SocketAddr, request: &str) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // One that is refused may not be read to its end.
    let _ = stream.write_all(request.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    Answer::parse(&answer)
}

/// An answer by HTTP.
pub struct Answer {
    pub status: u16,
    /// Its head in small letters.
    pub head: String,
    /// Its head as it was sent.
    pub sent: String,
    pub body: Vec<u8>,
}

impl Answer {
    /// Reads as much as its length says: not every server ends the connection.
    pub fn read(stream: &mut TcpStream) -> Self {
        let (mut bytes, mut piece) = (Vec::new(), [0; 65536]);
        loop {
            let answer = Self::parse(&bytes);
            let length = answer
                .head
                .split("content-length:")
                .nth(1)
                .and_then(|rest| rest.lines().next()?.trim().parse().ok());
            if length.is_some_and(|length: usize| answer.body.len() >= length) {
                return answer;
            }
            match stream.read(&mut piece) {
                Ok(count @ 1..) => bytes.extend_from_slice(&piece[..count]),
                _ => return answer,
            }
        }
    }

    /// The value of a header as it was sent.
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.sent.lines().filter_map(|line| line.split_once(':'));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    }

    pub fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(bytes.len());
        let sent = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let head = sent.to_ascii_lowercase();
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        let body = bytes.get(end + 4..).unwrap_or_default();
        let body = if head.contains("transfer-encoding: chunked") { unchunked(body) } else { body.to_vec() };
        Self { status, head, sent, body }
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = body.windows(2).position(|two| two == b"\r\n") {
        let length = usize::from_str_radix(std::str::from_utf8(&body[..end]).unwrap(), 16).unwrap();
        if length == 0 {
            break;
        }
        whole.extend_from_slice(&body[end + 2..end + 2 + length]);
        body = &body[end + 4 + length..];
    }
    whole
}

/// A mail server of Debian's; killed when dropped.
pub struct MailServer {
    child: Child,
    _stdin: Option<ChildStdin>,
    pub port: u16,
    maildir: PathBuf,
}

impl MailServer {
    pub fn start(maildir: &Path) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../alert/tests/support/mailserver.py");
        let mut child = Command::new("/usr/bin/python3")
            .arg(script)
            .arg(maildir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 and python3-aiosmtpd are installed by `scripts/setup.sh tests`");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().parse().expect("aiosmtpd prints its port: is python3-aiosmtpd installed?");
        Self { _stdin: child.stdin.take(), child, port, maildir: maildir.into() }
    }

    /// The letters that it took, in no order.
    pub fn delivered(&self) -> Vec<Vec<u8>> {
        let Ok(list) = fs::read_dir(self.maildir.join("new")) else { return Vec::new() };
        list.map(|file| fs::read(file.unwrap().path()).unwrap()).collect()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address on which nothing listens, kept from all others but a server that is started on it.
fn quiet_address() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

/// Ms since 1970.
pub fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// A batch of one report.
pub fn batch(worker: &str, boot: u64, report: Value) -> Value {
    json!({ "worker": worker, "kind": "instance", "boot": boot, "reports": [report] })
}

/// A sample of the minute that ended at `at_ms`.
pub fn sample(seq: u64, at_ms: u64, completed: u64) -> Value {
    json!({
        "seq": seq, "at_ms": at_ms, "type": "sample", "agents_u": 3, "t_unique": 2, "t_started": completed,
        "t_completed": completed, "t_failed": 0, "bytes": 1000 * completed, "duration": 10 * completed, "cpu": 1000 * seq,
        "duration_avg": 10.0
    })
}

/// Waits until something is there; panics with `what` if it never is.
pub fn until<T>(what: &str, mut there: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(thing) = there() {
            return thing;
        }
        assert!(began.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(20));
    }
}
