//! nginx with the module, and callers of it.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::caller::ask;

const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Front {
    dir: TempDir,
    port: u16,
    workers: usize,
    nginx: Child,
}

impl Front {
    /// What nginx has against this configuration.
    pub(crate) fn fault(http: &str) -> String {
        let dir = TempDir::new().unwrap();
        let file = dir.path().join("nginx.conf");
        fs::write(&file, text(dir.path().to_str().unwrap(), 1, 1, http, "")).unwrap();
        let checked = program().args(["-t", "-q", "-e", "stderr", "-c"]).arg(file).output().unwrap();
        assert!(!checked.status.success(), "nginx takes it: {http}");
        String::from_utf8(checked.stderr).unwrap()
    }

    /// nginx with `workers` workers and this inside of `http {}`; `server` is inside its server.
    pub(crate) fn start(workers: usize, http: &str, server: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let write = |text: String| fs::write(dir.path().join("nginx.conf"), text).unwrap();
        write(text(dir.path().to_str().unwrap(), port, workers, http, server));
        let nginx = program()
            .args(["-g", "daemon off;", "-e"])
            .arg(dir.path().join("error.log"))
            .arg("-p")
            .arg(dir.path())
            .arg("-c")
            .arg(dir.path().join("nginx.conf"))
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let front = Self { dir, port, workers, nginx };
        let start = Instant::now();
        while front.try_status("").is_none() {
            assert!(start.elapsed() < PATIENCE, "nginx does not start: {}", front.log());
            thread::sleep(Duration::from_millis(5));
        }
        front
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("error.log")).unwrap_or_default()
    }

    pub(crate) fn master(&self) -> u32 {
        self.nginx.id()
    }

    pub(crate) fn signal(signal: &str, pid: u64) {
        let done = Command::new("kill").arg(format!("-{signal}")).arg(pid.to_string()).status().unwrap();
        assert!(done.success());
    }

    /// Writes another configuration, without taking it up.
    pub(crate) fn write(&self, http: &str, server: &str) {
        let text = text(self.dir.path().to_str().unwrap(), self.port, self.workers, http, server);
        fs::write(self.dir.path().join("nginx.conf"), text).unwrap();
    }

    /// Takes up the configuration, and waits until it is answered for by new workers; old ones may still be there.
    pub(crate) fn begin_reload(&self) {
        let before = self.status("")["configuration"].as_u64().unwrap();
        Self::signal("HUP", self.nginx.id().into());
        self.wait_for("nginx does not reload", || {
            let status = self.try_status("");
            status.and_then(|status| status["configuration"].as_u64()).unwrap_or(0) > before
        });
    }

    /// Waits until `so`.
    pub(crate) fn wait_for(&self, what: &str, mut so: impl FnMut() -> bool) {
        let start = Instant::now();
        while !so() {
            assert!(start.elapsed() < PATIENCE, "{what}: {}", self.log());
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Takes up the configuration, and waits until only its workers are there.
    pub(crate) fn reload(&self) {
        let before = self.status("")["configuration"].as_u64().unwrap();
        let old = self.workers();
        Self::signal("HUP", self.nginx.id().into());
        let start = Instant::now();
        loop {
            let status = self.try_status("");
            let number = status.and_then(|status| status["configuration"].as_u64()).unwrap_or(0);
            if number > before && !self.workers().iter().any(|pid| old.contains(pid)) {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "nginx does not reload: {}", self.log());
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// The processes of the workers.
    pub(crate) fn workers(&self) -> Vec<u64> {
        let master = self.nginx.id();
        let children = fs::read_to_string(format!("/proc/{master}/task/{master}/children")).unwrap();
        children.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("control")
    }

    fn try_status(&self, query: &str) -> Option<Value> {
        let (status, body) =
            ask(UnixStream::connect(self.socket()).ok()?, "GET", &format!("/status{query}"))?;
        (status == 200).then(|| serde_json::from_str(&body).expect("the status is JSON"))
    }

    pub(crate) fn status(&self, query: &str) -> Value {
        self.try_status(query).expect("a status")
    }

    /// Asks on the control socket.
    pub(crate) fn control(&self, method: &str, query: &str) -> (u16, Value) {
        let stream = UnixStream::connect(self.socket()).unwrap();
        let (status, body) = ask(stream, method, &format!("/status{query}")).expect("an answer");
        (status, serde_json::from_str(&body).expect("the answer is JSON"))
    }

    /// Switches a backend, which must work.
    pub(crate) fn switch(&self, upstream: &str, backend: &str, wish: &str) -> Value {
        let (status, value) = self.control("POST", &format!("?u={upstream}&b={backend}&{wish}"));
        assert_eq!(status, 200, "{value}");
        value
    }

    /// Lets a backend join or leave, which must work.
    pub(crate) fn moves(&self, what: &str, address: &str) -> Value {
        let (status, value) = self.control("POST", &format!("?u=u&{what}={address}"));
        assert_eq!(status, 200, "{what} {address}: {value}");
        value
    }

    /// Health's lease.
    pub(crate) fn lease(&self, ms: u64) -> Value {
        let (status, value) = self.control("POST", &format!("?lease_ms={ms}"));
        assert_eq!(status, 200, "{value}");
        value
    }

    /// A connection on the control socket that a worker has taken, and on which the beginning of a request stands; and the
    /// process of that worker.
    pub(crate) fn control_half(&self, half: &str) -> (UnixStream, u64) {
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = format!("GET /status HTTP/1.1\r\nHost: x\r\n\r\n{half}");
        stream.write_all(request.as_bytes()).unwrap();
        let mut reader = BufReader::new(&stream);
        let (mut line, mut length) = (String::new(), 0);
        while line != "\r\n" {
            line.clear();
            reader.read_line(&mut line).unwrap();
            if let Some(rest) = line.strip_prefix("Content-Length: ") {
                length = rest.trim_end().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let value: Value = serde_json::from_slice(&body).unwrap();
        (stream, value["pid"].as_u64().unwrap())
    }

    /// One backend's numbers, once nothing is under way there.
    pub(crate) fn settled(&self, upstream: &str, backend: &str) -> Value {
        let start = Instant::now();
        loop {
            let value = self.status(&format!("?u={upstream}&b={backend}"));
            if value["in_flight"] == 0 {
                return value;
            }
            assert!(start.elapsed() < PATIENCE, "still under way: {value}");
            thread::sleep(Duration::from_millis(2));
        }
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// The status and the body of an answer; `None` if none came whole.
    pub(crate) fn get(&self, path: &str) -> Option<(u16, String)> {
        ask(self.connect(), "GET", path)
    }

    /// Nothing in nginx died.
    pub(crate) fn assert_sound(&self) {
        let log = self.log();
        assert!(!log.contains("exited on signal") && !log.contains("[alert]"), "{log}");
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg("-TERM").arg(self.nginx.id().to_string()).status();
        let _ = self.nginx.wait();
    }
}

fn program() -> Command {
    let mut command = Command::new("nginx");
    // An address sanitizer must be there before the module that was built for it; what it keeps of freed memory is bounded.
    if let Ok(library) = std::env::var("SWITCHBOARD_PRELOAD") {
        command.env("LD_PRELOAD", library);
        command.env("ASAN_OPTIONS", "detect_leaks=0:abort_on_error=1:quarantine_size_mb=16");
    }
    command
}

fn text(dir: &str, port: u16, workers: usize, http: &str, server: &str) -> String {
    let module = std::env::var("SWITCHBOARD_MODULE").expect("run this by scripts/module.sh test");
    let temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {dir}/{kind};\n"))
        .concat();
    format!(
        "load_module {module};
user root;
worker_processes {workers};
pid {dir}/pid;
error_log {dir}/error.log notice;
events {{ worker_connections 1024; }}
http {{
access_log off;
keepalive_requests 1000000;
{temp}
{http}
server {{ listen 127.0.0.1:{port} reuseport; location = /status {{ switchboard_status; }} {server} }}
server {{ listen unix:{dir}/control; location = /status {{ switchboard_status; }} }}
}}
"
    )
}
