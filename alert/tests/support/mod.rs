//! A real mail server, and letters for it.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::Arc,
};

use socket2::{Domain, Socket, Type};
use switchboard_alert::{
    letter::{Letter, Writer},
    post::{MailServer, Outbox, Postman},
    rules::{Change, Event, Facts, Kind, Member, Reach},
};
use switchboard_fleet::{config::Alert, report::WorkerKind};
use tempfile::TempDir;

pub(crate) const NOW_MS: u64 = 1_795_374_180_000;

/// Debian's aiosmtpd; killed when dropped.
pub(crate) struct Server {
    child: Child,
    _stdin: Option<ChildStdin>,
    pub(crate) port: u16,
}

impl Server {
    pub(crate) fn start(maildir: &Path, arguments: &[&str]) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/mailserver.py");
        let mut child = Command::new("/usr/bin/python3")
            .arg(script)
            .arg(maildir)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 and python3-aiosmtpd are installed by scripts/setup.sh");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().parse().expect("aiosmtpd prints its port: is python3-aiosmtpd installed?");
        Self { _stdin: child.stdin.take(), child, port }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port on which nothing listens, kept from all others but a server that is started on it.
pub(crate) fn quiet_port() -> (Socket, u16) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let port = socket.local_addr().unwrap().as_socket().unwrap().port();
    (socket, port)
}

/// An outbox and a mailbox in a folder of their own.
pub(crate) struct Desk {
    pub(crate) folder: TempDir,
    pub(crate) outbox: Arc<Outbox>,
}

impl Desk {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let outbox = Arc::new(Outbox::open(&folder.path().join("outbox")).unwrap());
        Self { folder, outbox }
    }

    pub(crate) fn maildir(&self) -> PathBuf {
        self.folder.path().join("mail")
    }

    pub(crate) fn postman(&self, port: u16) -> Postman {
        self.postman_by(&format!("smtp://127.0.0.1:{port}"))
    }

    pub(crate) fn postman_by(&self, url: &str) -> Postman {
        Postman::new(self.outbox.clone(), MailServer::parse(url, "eu.example.net").unwrap())
    }

    /// The letters that the server took, in no order.
    pub(crate) fn delivered(&self) -> Vec<Vec<u8>> {
        let Ok(list) = fs::read_dir(self.maildir().join("new")) else { return Vec::new() };
        list.map(|file| fs::read(file.unwrap().path()).unwrap()).collect()
    }

    pub(crate) fn failed(&self) -> usize {
        fs::read_dir(self.folder.path().join("outbox/failed")).unwrap().count()
    }
}

pub(crate) fn writer(to: &[&str]) -> Writer {
    let config = Alert {
        from: "Switchboard <switchboard@example.net>".into(),
        to: to.iter().map(|address| (*address).into()).collect(),
        ..Alert::default()
    };
    let own = "eu.example.net:8080".parse().unwrap();
    Writer::new(&config, &own, Some("http://127.0.0.1:8090")).unwrap()
}

pub(crate) fn event(letter: u32, change: Change) -> Event {
    let member = |port: u16| Member {
        name: format!("eu.example.net/{port}"),
        server: "eu.example.net".into(),
        kind: WorkerKind::Instance,
        since_ms: NOW_MS - 360_000,
        detail: "silent".into(),
    };
    let over = matches!(change, Change::Recovered { .. });
    Event {
        incident: "1a2b-7".into(),
        kind: Kind::Down,
        server: "eu.example.net".into(),
        at_ms: NOW_MS,
        opened_ms: NOW_MS,
        change,
        letter: Some(letter),
        facts: Facts {
            members: if over { vec![] } else { vec![member(8081), member(8083)] },
            silenced: 0,
            instances: 8,
            running: if over { 8 } else { 6 },
            overloaded: vec![],
            servers: 1,
            whole: false,
            reach: Reach { own: true, others: None },
        },
    }
}

pub(crate) fn letter(to: &[&str], number: u32) -> Letter {
    writer(to).write(&event(number, Change::Opened), None).unwrap().unwrap()
}
