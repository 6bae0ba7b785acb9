//! The controller of a front as the monitor sees it, and somebody who is logged in.

#![allow(dead_code, reason = "each test uses its own part of this")]

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::SystemTime,
};

use http::{HeaderMap, HeaderValue, Method};
use switchboard_fleet::{
    KeyRing,
    front::{Backend, BackendState, Change, Done, Nginx, Order, Parked, Switched, Table, Upstream, Waiting},
    header,
};

use crate::support::{Answer, Monitor, call, now_ms};

/// A table of two backends that serve.
pub(crate) fn table(front: &str) -> Table {
    let backend = |port: u16| Backend {
        address: format!("127.0.0.1:{port}"),
        server: format!("127.0.0.1:{port}"),
        weight: 100,
        share: 100,
        counted: true,
        requests: 10 * u64::from(port),
        ..Backend::default()
    };
    Table {
        front: front.into(),
        at_ms: now_ms(),
        version: 1,
        nginx: Nginx { pid: Some(7), generation: Some(1), module: Some("1".into()) },
        slots: None,
        panic: None,
        wrong: Vec::new(),
        upstreams: vec![Upstream {
            name: "instances".into(),
            implicit: false,
            at: "nginx.conf:1".into(),
            switchable: true,
            no_live: 0,
            backends: vec![backend(8081), backend(8082)],
        }],
        heat: Vec::new(),
        happened: Vec::new(),
    }
}

/// The headers of a call with this body, signed now.
pub(crate) fn signed(keys: &KeyRing, nonce: &str, body: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::NONCE, HeaderValue::from_str(nonce).unwrap());
    headers.insert(header::DIGEST, HeaderValue::from_str(&KeyRing::digest(body)).unwrap());
    let signature = keys.sign(&Method::POST, Parked::PATH, &headers, SystemTime::now());
    headers.insert(header::SIGNATURE, signature);
    headers
}

/// Sends a call of a front.
pub(crate) fn send(address: SocketAddr, headers: &HeaderMap, body: &[u8]) -> Answer {
    let lines = headers.iter().map(|(name, value)| format!("{name}: {}\r\n", value.to_str().unwrap()));
    let lines: String = lines.collect();
    let (length, body) = (body.len(), std::str::from_utf8(body).unwrap());
    let head = format!("POST /front HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{lines}");
    call(address, &format!("{head}Content-Length: {length}\r\n\r\n{body}"))
}

/// Parks a call until it is answered; the answer must be signed for this question.
pub(crate) fn park(monitor: &Monitor, table: &Table, done: Vec<Done>) -> Waiting {
    park_at(monitor.address, &monitor.keys(), table, done)
}

/// The same without the monitor.
pub(crate) fn park_at(address: SocketAddr, keys: &KeyRing, table: &Table, done: Vec<Done>) -> Waiting {
    let body = serde_json::to_vec(&Parked { table: table.clone(), done }).unwrap();
    let nonce = format!("{:x}", rand::random::<u64>());
    let answer = send(address, &signed(keys, &nonce, &body), &body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let told = |name: &str| answer.header(name).unwrap_or_else(|| panic!("no {name}: {}", answer.head));
    assert_eq!(told("x-iwp-nonce"), nonce);
    assert_eq!(told("x-iwp-digest"), KeyRing::digest(&answer.body));
    let mut headers = HeaderMap::new();
    for name in ["x-iwp-nonce", "x-iwp-digest", "x-iwp-signature"] {
        headers.insert(name, told(name).parse().unwrap());
    }
    let method = Method::from_bytes(b"ANSWER").unwrap();
    keys.verify(&method, "/front", &headers, SystemTime::now()).unwrap();
    serde_json::from_slice(&answer.body).unwrap()
}

/// What a controller would make of an order; only what the tests look at.
pub(crate) fn carry_out(table: &mut Table, order: &Order) -> Done {
    let upstream = table.upstreams.iter_mut().find(|upstream| upstream.name == order.place.upstream).unwrap();
    let backend =
        upstream.backends.iter_mut().find(|backend| backend.address == order.place.backend).unwrap();
    let state = match order.change {
        Change::On | Change::Weight { .. } => BackendState::Up,
        Change::Drain => BackendState::Draining,
        Change::Off => BackendState::Off,
    };
    let (who, why) = (order.who.clone(), order.why.clone());
    backend.switch =
        (state != BackendState::Up).then(|| Switched { who, why, at_ms: now_ms(), until_ms: order.until_ms });
    backend.state = state;
    backend.why = Some(format!("switched {} by {}: {}", order.change.word(), order.who, order.why));
    table.version += 1;
    Done { id: order.id.clone(), outcome: Ok(format!("{} is {}", order.place.backend, state.word())) }
}

/// A controller that parks again and again, and does what it is told.
pub(crate) struct Controller {
    pub(crate) table: Arc<Mutex<Table>>,
    pub(crate) orders: Arc<Mutex<Vec<Order>>>,
    stop: Arc<AtomicBool>,
}

impl Controller {
    /// Runs beside a test, until it is stopped.
    pub(crate) fn run<'scope>(
        scope: &'scope thread::Scope<'scope, '_>,
        monitor: &'scope Monitor,
        table: Table,
    ) -> Self {
        let (table, orders, stop) =
            (Arc::new(Mutex::new(table)), Arc::default(), Arc::new(AtomicBool::new(false)));
        let this = Self { table, orders, stop };
        let (table, orders, stop) = (this.table.clone(), this.orders.clone(), this.stop.clone());
        scope.spawn(move || {
            let mut done = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let now = {
                    let mut table = table.lock().unwrap();
                    table.at_ms = now_ms();
                    table.clone()
                };
                let waiting = park(monitor, &now, std::mem::take(&mut done));
                for order in waiting.orders {
                    done.push(carry_out(&mut table.lock().unwrap(), &order));
                    orders.lock().unwrap().push(order);
                }
            }
        });
        this
    }
}

impl Drop for Controller {
    /// It ends with the answer to the call that is parked.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Somebody with a browser, without the browser.
pub(crate) struct Person<'a> {
    pub(crate) monitor: &'a Monitor,
    pub(crate) cookie: String,
}

impl<'a> Person<'a> {
    /// Not logged in.
    pub(crate) fn new(monitor: &'a Monitor) -> Self {
        Self { monitor, cookie: String::new() }
    }

    /// Logged in by name and password.
    pub(crate) fn enter(monitor: &'a Monitor, name: &str, password: &str) -> Self {
        let mut person = Self::new(monitor);
        let answer = person.post("/login", &format!("name={name}&password={password}"));
        assert_eq!(answer.status, 303, "{}", answer.text());
        person.keep(&answer);
        person
    }

    /// Keeps the cookie of an answer.
    pub(crate) fn keep(&mut self, answer: &Answer) {
        let cookie = answer.header("set-cookie").expect("a cookie");
        self.cookie = cookie.split(';').next().unwrap().to_owned();
    }

    pub(crate) fn get(&self, path: &str, headers: &str) -> Answer {
        let (host, cookie) = (self.monitor.address, &self.cookie);
        self.monitor.call(&format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nCookie: {cookie}\r\n{headers}\r\n"
        ))
    }

    /// As a form of our own page.
    pub(crate) fn post(&self, path: &str, form: &str) -> Answer {
        self.post_from(path, form, &format!("Origin: http://{}\r\n", self.monitor.address))
    }

    pub(crate) fn post_from(&self, path: &str, form: &str, headers: &str) -> Answer {
        let (host, cookie, length) = (self.monitor.address, &self.cookie, form.len());
        self.monitor.call(&format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nCookie: {cookie}\r\n{headers}Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n{form}"
        ))
    }

    /// What forms have to bring back.
    pub(crate) fn csrf(&self) -> String {
        let page = self.get("/incidents", "").text();
        let rest = page.split("name=\"csrf\" value=\"").nth(1).expect("somebody is logged in");
        rest.split('"').next().unwrap().to_owned()
    }
}

/// What `monitor.admins` holds for a password, by the command that makes it.
pub(crate) fn admin(name: &str, password: &str) -> String {
    format!("admins = [{{ name = \"{name}\", password = \"{}\" }}]\n", hash(password))
}

fn hash(password: &str) -> String {
    use std::{io::Write, process::Stdio};
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_switchboard-monitor"))
        .arg("password")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    writeln!(child.stdin.take().unwrap(), "{password}").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
