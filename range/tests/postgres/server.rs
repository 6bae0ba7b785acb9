//! A PostgreSQL for one test, in a folder of its own, with a Unix socket there.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, User, geteuid},
};
use tempfile::TempDir;

pub(crate) const OWNER: &str = "owner";
pub(crate) const PASSWORD: &str = "correct-horse";

const READY: &str = "database system is ready to accept connections";
const STARTS_MAX: usize = 20;

/// Ends with this value, whatever becomes of the test.
pub(crate) struct Server {
    folder: TempDir,
    programs: PathBuf,
    /// PostgreSQL refuses to run as root.
    account: Option<User>,
    settings: Vec<String>,
    /// Of TCP, if the server speaks it.
    pub(crate) port: Option<u16>,
    running: Option<Child>,
}

impl Server {
    /// One that takes everybody's word: proving a password takes a tenth of a second without optimisation.
    pub(crate) fn start() -> Self {
        let mut server = Self::prepared("trust");
        server.up();
        server
    }

    pub(crate) fn start_with_passwords() -> Self {
        let mut server = Self::prepared("scram-sha-256");
        server.up();
        server
    }

    /// A cluster that does not run yet.
    fn prepared(access: &str) -> Self {
        let account =
            geteuid().is_root().then(|| User::from_name("postgres").unwrap().expect("user postgres"));
        // Not in $TMPDIR: the path of a Unix socket has at most 107 bytes.
        let folder = tempfile::Builder::new().prefix("switchboard-pg").tempdir_in("/tmp").unwrap();
        // A commit is not on disk at once, unless the client asks for it.
        let settings = ["fsync=off", "synchronous_commit=off", "wal_writer_delay=10s", "shared_buffers=16MB"];
        let mut server = Self {
            folder,
            programs: programs(),
            account,
            settings: settings.map(str::to_owned).to_vec(),
            port: None,
            running: None,
        };
        server.settings.push(format!("unix_socket_directories={}", server.folder.path().display()));
        server.settings.push("listen_addresses=".to_owned());
        server.give(server.folder.path());
        server.write("password", PASSWORD);
        let made = server
            .program("initdb")
            .args([
                "--no-sync",
                "--wal-segsize=1",
                "--no-locale",
                "--encoding=UTF8",
                "--auth",
                access,
                "--username",
                OWNER,
            ])
            .arg(format!("--pwfile={}", server.path("password").display()))
            .arg(server.path("data"))
            .output();
        succeeded(&made.unwrap());
        server
    }

    /// One that also listens on 127.0.0.1, but with TLS only, by this certificate and key.
    pub(crate) fn start_with_tls(certificate: &str, key: &str) -> Self {
        let mut server = Self::prepared("scram-sha-256");
        for (name, text) in [("server.crt", certificate), ("server.key", key)] {
            server.write(name, text);
            let path = server.path(name);
            fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        }
        server.settings.extend(
            [("ssl_cert_file", "server.crt"), ("ssl_key_file", "server.key")]
                .map(|(setting, name)| format!("{setting}={}", server.path(name).display())),
        );
        let access = "local all all scram-sha-256\nhostssl all all 127.0.0.1/32 scram-sha-256\n";
        server.write("data/pg_hba.conf", access);
        server.settings.extend(["ssl=on".to_owned(), "listen_addresses=127.0.0.1".to_owned()]);
        // The port may be taken by another before the server has it: then with another one.
        for _ in 0..STARTS_MAX {
            server.port = Some(TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port());
            if server.tried() {
                return server;
            }
        }
        panic!("no port for PostgreSQL");
    }

    /// Runs it, and waits until it accepts connections.
    pub(crate) fn up(&mut self) {
        // What a killed server leaves in memory goes with its last process.
        for _ in 0..STARTS_MAX {
            if self.tried() {
                return;
            }
            thread::sleep(Duration::from_millis(100));
        }
        panic!("PostgreSQL does not start; its log is above");
    }

    fn tried(&mut self) -> bool {
        let mut command = self.program("postgres");
        command.arg("-D").arg(self.path("data")).arg("-p").arg(self.socket_port().to_string());
        for setting in &self.settings {
            command.arg("-c").arg(setting);
        }
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        self.running = Some(child);
        let (ready, is_ready) = mpsc::channel();
        // Reads to the end, so that the server never waits for a reader.
        thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                eprintln!("{line}");
                if line.contains(READY) {
                    ready.send(()).unwrap_or_default();
                }
            }
        });
        let up = is_ready.recv().is_ok();
        if !up {
            self.kill();
        }
        up
    }

    /// Ends every process of the server at once, as a crash of the machine would.
    pub(crate) fn kill(&mut self) {
        let Some(mut child) = self.running.take() else { return };
        let postmaster = Pid::from_raw(i32::try_from(child.id()).unwrap());
        let children = children(postmaster);
        // The first one first: it would start others for those that die.
        for process in [postmaster].iter().chain(&children) {
            kill(*process, Signal::SIGKILL).unwrap_or_default();
        }
        drop(child.wait());
    }

    /// Lets the server answer nobody, until [`Server::resume`].
    pub(crate) fn pause(&self) {
        self.signal(Signal::SIGSTOP);
    }

    pub(crate) fn resume(&self) {
        self.signal(Signal::SIGCONT);
    }

    fn signal(&self, signal: Signal) {
        let child = self.running.as_ref().unwrap();
        kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
    }

    /// The URL of a database by the Unix socket.
    pub(crate) fn url(&self, database: &str) -> String {
        self.url_of(OWNER, PASSWORD, database)
    }

    pub(crate) fn url_of(&self, user: &str, password: &str, database: &str) -> String {
        let (folder, port) = (self.folder.path().display(), self.socket_port());
        format!("postgres://{user}:{password}@/{database}?host={folder}&port={port}")
    }

    /// What `psql` says to `text`, without any frame.
    pub(crate) fn sql(&self, database: &str, text: &str) -> String {
        let mut psql = self.program("psql");
        psql.args([
            "--no-psqlrc",
            "--quiet",
            "--tuples-only",
            "--no-align",
            "--set=ON_ERROR_STOP=1",
            "--dbname",
        ]);
        let said = psql.arg(self.url(database)).arg("--command").arg(text).output().unwrap();
        succeeded(&said);
        String::from_utf8(said.stdout).unwrap().trim().to_owned()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn socket_port(&self) -> u16 {
        self.port.unwrap_or(5432)
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        command.current_dir(self.folder.path());
        if let Some(account) = &self.account {
            command.uid(account.uid.as_raw()).gid(account.gid.as_raw());
        }
        command
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
        self.give(&self.path(name));
    }

    fn give(&self, path: &Path) {
        if let Some(account) = &self.account {
            chown(path, Some(account.uid.as_raw()), Some(account.gid.as_raw())).unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The newest version that is installed.
fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().filter_map(Result::ok);
    let number = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let newest = versions.map(|entry| entry.path()).max_by_key(number);
    newest.expect("no PostgreSQL in /usr/lib/postgresql: run `make setup`").join("bin")
}

fn children(of: Pid) -> Vec<Pid> {
    let parent = |pid: i32| -> Option<i32> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name, in brackets, may hold anything; state and parent follow it.
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
    };
    let processes =
        fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    processes.filter(|pid| parent(*pid) == Some(of.as_raw())).map(Pid::from_raw).collect()
}

fn succeeded(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
