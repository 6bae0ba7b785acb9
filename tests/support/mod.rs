//! Whole servers, as a user starts them: `switchboard up` with real nginx, agents and apps as programs.

#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "each test uses its own part of this"
)]

pub mod front;

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

/// Nothing in these tests takes as long as this.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub const SWITCHBOARD: &str = env!("CARGO_BIN_EXE_switchboard");

/// The command, with the environment of a user who has set nothing.
pub fn switchboard(arguments: &[&str]) -> Command {
    program(Path::new(SWITCHBOARD), arguments)
}

/// As [`switchboard`], from another place.
pub fn program(path: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(path);
    command.args(arguments).env_remove("SWITCHBOARD_CONFIG").stdin(Stdio::null());
    command
}

/// Runs the command to its end.
pub fn run(arguments: &[&str]) -> Output {
    switchboard(arguments).output().unwrap()
}

/// A port of this address that was free a moment ago.
pub fn free_port(address: Ipv4Addr) -> u16 {
    TcpListener::bind((address, 0)).unwrap().local_addr().unwrap().port()
}

/// As [`free_port`], so many different ones.
pub fn free_ports(address: Ipv4Addr, count: usize) -> Vec<u16> {
    let held: Vec<_> = (0..count).map(|_| TcpListener::bind((address, 0)).unwrap()).collect();
    held.iter().map(|listener| listener.local_addr().unwrap().port()).collect()
}

/// Waits until something is there; panics with `what` if it never is.
pub fn until<T>(what: &str, mut there: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(thing) = there() {
            return thing;
        }
        assert!(began.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A program that runs beside the test; killed when dropped. What it says is kept.
pub struct Program {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Program {
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let pipes: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for pipe in pipes {
            let said = said.clone();
            thread::spawn(move || {
                for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                    said.lock().unwrap().push_str(&format!("{line}\n"));
                }
            });
        }
        Self { child, said }
    }

    pub fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Waits until it has said something that contains `text`; gives that line.
    pub fn says(&mut self, text: &str) -> String {
        until(&format!("{text:?}"), || {
            let said = self.said();
            let line = said.lines().find(|line| line.contains(text)).map(str::to_owned);
            assert!(
                line.is_some() || self.child.try_wait().unwrap().is_none(),
                "ended without {text:?}:\n{said}"
            );
            line
        })
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    /// Waits for its end; gives the exit status.
    pub fn ended(&mut self) -> Option<i32> {
        until("the end of the program", || self.child.try_wait().unwrap()).code()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- a program said:\n{}", self.said());
        }
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One server of a fleet, with its own folder.
pub struct Server {
    pub address: Ipv4Addr,
    pub front: SocketAddr,
    pub ports: Vec<u16>,
    pub folder: PathBuf,
    /// What it is started with.
    pub program: PathBuf,
    up: Option<Program>,
}

/// Servers that share a key; the first has the master.
pub struct Fleet {
    pub folder: TempDir,
    pub servers: Vec<Server>,
    /// Added to every server's configuration.
    pub extra: String,
    /// Added to the part about the front of every server's configuration.
    pub front: String,
    /// What servers are started with.
    pub program: PathBuf,
}

impl Fleet {
    /// No server yet. `extra` is added to every server's configuration, which has no monitor unless that says otherwise.
    pub fn new(extra: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Where the module lies beside the program is chance; whoever wants it says so.
        let front = "module = \"none\"\n".into();
        Self { folder, servers: Vec::new(), extra: extra.to_owned(), front, program: SWITCHBOARD.into() }
    }

    /// One server with two instances.
    pub fn of_one(extra: &str) -> Self {
        let mut fleet = Self::new(extra);
        fleet.add(Ipv4Addr::LOCALHOST, 2);
        fleet
    }

    /// Starts one more server with so many instances; it knows the first by name, and nobody knows it.
    pub fn add(&mut self, address: Ipv4Addr, instances: usize) -> &mut Server {
        let folder = self.folder.path().join(self.servers.len().to_string());
        fs::create_dir(&folder).unwrap();
        let front = SocketAddr::from((address, free_port(address)));
        let ports = free_ports(Ipv4Addr::LOCALHOST, instances);
        let program = self.program.clone();
        let server = Server { address, front, ports, folder, program, up: None };
        self.servers.push(server);
        let last = self.servers.len() - 1;
        self.configure(last);
        if last == 0 {
            let made = run(&[
                "range",
                "init",
                "--from",
                "1000",
                "--to",
                "999999",
                "--config",
                &self.servers[0].config(),
            ]);
            assert!(made.status.success(), "{made:?}");
        } else {
            let key = self.servers[0].folder.join("fleet.key");
            fs::copy(key, self.servers[last].folder.join("fleet.key")).unwrap();
        }
        let server = &mut self.servers[last];
        server.start();
        server
    }

    /// Writes a server's configuration, as its fields are now.
    pub fn configure(&self, number: usize) {
        let first = &self.servers[0];
        let server = &self.servers[number];
        let monitor = if self.extra.contains("[monitor]") { "" } else { "[monitor]\nrun = false\n" };
        let others = if number == 0 { String::new() } else { format!("\"{}\"", first.front) };
        let text = format!(
            "server = \"{front}\"\ninstances = {ports:?}\nservers = [{others}]\n\
             master = {{ server = \"{master}\", port = {port} }}\n{extra}\n{monitor}[front]\nlisten = [\"{front}\"]\n{more}",
            more = self.front,
            front = server.front,
            ports = server.ports,
            master = first.front,
            port = first.ports[0],
            extra = self.extra,
        );
        fs::write(server.folder.join("fleet.toml"), text).unwrap();
    }
}

impl Server {
    pub fn config(&self) -> String {
        self.folder.join("fleet.toml").to_str().unwrap().to_owned()
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.front)
    }

    /// `switchboard up`, serving when this returns.
    pub fn start(&mut self) {
        let mut up = Program::start(program(&self.program, &["up", "--config", &self.config()]));
        up.says("Ctrl-C stops everything");
        self.up = Some(up);
    }

    pub fn up(&mut self) -> &mut Program {
        self.up.as_mut().unwrap()
    }

    /// SIGTERM, and the end.
    pub fn stop(&mut self) {
        let mut up = self.up.take().unwrap();
        up.signal(Signal::SIGTERM);
        assert_eq!(up.ended(), Some(0), "{}", up.said());
    }

    /// What an instance shows of itself.
    pub fn status(&self, port: u16) -> Option<serde_json::Value> {
        let answer = exchange(
            SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            "GET /status HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        )?;
        serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
    }

    /// The process of an instance.
    pub fn pid(&self, port: u16) -> Pid {
        let pid = until("the instance's status", || self.status(port)?["pid"].as_i64());
        Pid::from_raw(i32::try_from(pid).unwrap())
    }

    /// Every process of this server: what `up` started, and `up`.
    pub fn pids(&self) -> Vec<Pid> {
        let up = self.up.as_ref().unwrap().child.id();
        let mut all = vec![up];
        let mut next = 0;
        while next < all.len() {
            all.extend(children(all[next]));
            next += 1;
        }
        all.into_iter().map(|pid| Pid::from_raw(pid as i32)).collect()
    }

    /// Starts an agent of this server; gives it with its ID, once it is parked.
    pub fn agent(&self, name: &str, service: &[&str]) -> (Program, u64) {
        agent(&[self], &self.folder.join(format!("{name}.json")), service)
    }

    /// Asks as an app.
    pub fn call(&self, id: u64, more: &[&str]) -> Output {
        let id = id.to_string();
        run(&[&["call", "--server", &self.url(), "--id", &id], more].concat())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // An orderly end: `up` ends what it started. Killed by Program's own drop otherwise.
        let Some(up) = &mut self.up else { return };
        if up.child.try_wait().unwrap().is_some() {
            return;
        }
        up.signal(Signal::SIGTERM);
        let began = Instant::now();
        while up.child.try_wait().unwrap().is_none() && began.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Starts an agent that knows these servers; gives it with its ID, once it is parked.
pub fn agent(servers: &[&Server], state: &Path, service: &[&str]) -> (Program, u64) {
    let mut command = switchboard(&["agent", "--state", state.to_str().unwrap()]);
    for server in servers {
        command.args(["--server", &server.url()]);
    }
    command.args(service);
    let mut agent = Program::start(command);
    let line = agent.says("agent ID ");
    let id = line.split(' ').nth(2).unwrap().parse().unwrap();
    (agent, id)
}

fn children(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<_>>())
        .collect()
}

/// One request on a connection that ends with the answer.
pub fn exchange(address: SocketAddr, request: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    Some(String::from_utf8_lossy(&answer).into_owned())
}

/// A POST with an empty body, the same way.
pub fn post(address: SocketAddr, path: &str, headers: &str) -> String {
    let request =
        format!("POST {path} HTTP/1.1\r\nHost: a\r\n{headers}Content-Length: 0\r\nConnection: close\r\n\r\n");
    exchange(address, &request).unwrap()
}

/// A header of an answer.
pub fn get<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let lines = answer.split("\r\n\r\n").next()?.lines();
    lines
        .filter_map(|line| line.split_once(": "))
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

/// What a program wrote to standard output.
pub fn text(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}
