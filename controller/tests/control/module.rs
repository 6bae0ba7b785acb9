//! A stand-in for nginx with its module: a small server on a unix socket that keeps what it is told.

use std::{
    convert::Infallible,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{
    net::UnixListener,
    sync::watch,
    task::{AbortHandle, JoinSet},
    time::timeout,
};

/// What the stand-in is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Nginx with the module.
    Module,
    /// Nginx without it.
    Bare,
    /// It answers every switch with an error.
    Refusing,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) mode: Mode,
    pub(crate) configured: Vec<String>,
    pub(crate) backends: Vec<Value>,
    pub(crate) slots: usize,
    pub(crate) lease_ms: u64,
    /// What was posted, the lease left out.
    pub(crate) posts: Vec<String>,
    /// How often it was looked at.
    pub(crate) looks: u64,
}

#[derive(Clone)]
pub(crate) struct Module {
    pub(crate) state: Arc<Mutex<State>>,
    changed: Arc<watch::Sender<u64>>,
    socket: PathBuf,
    task: Arc<Mutex<Option<AbortHandle>>>,
}

impl Module {
    /// Listens at `socket`; has these backends, and room for `slots` more.
    pub(crate) fn start(socket: &Path, configured: Vec<String>, slots: usize) -> Self {
        let state = State {
            mode: Mode::Module,
            backends: configured.iter().map(|address| backend(address, false)).collect(),
            configured,
            slots,
            lease_ms: 0,
            posts: Vec::new(),
            looks: 0,
        };
        let module = Self {
            state: Arc::new(Mutex::new(state)),
            changed: Arc::new(watch::Sender::new(0)),
            socket: socket.into(),
            task: Arc::default(),
        };
        module.listen();
        module
    }

    fn listen(&self) {
        drop(std::fs::remove_file(&self.socket));
        let listener = UnixListener::bind(&self.socket).unwrap();
        let module = self.clone();
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let module = module.clone();
                let service = service_fn(move |request| {
                    let module = module.clone();
                    async move { Ok::<_, Infallible>(module.answer(&request)) }
                });
                connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        *self.task.lock().unwrap() = Some(task.abort_handle());
    }

    /// Ends like a killed nginx: all connections break off, and what it was told is lost.
    pub(crate) fn stop(&self) {
        if let Some(task) = self.task.lock().unwrap().take() {
            task.abort();
        }
        drop(std::fs::remove_file(&self.socket));
        let mut state = self.state.lock().unwrap();
        state.backends = state.configured.iter().map(|address| backend(address, false)).collect();
        state.lease_ms = 0;
    }

    /// Ends, and starts anew.
    pub(crate) fn restart(&self) {
        self.stop();
        self.listen();
    }

    /// Waits until its state is so.
    pub(crate) async fn until(&self, what: impl Fn(&State) -> bool) {
        let mut changed = self.changed.subscribe();
        let wait = async {
            while !what(&self.state.lock().unwrap()) {
                changed.changed().await.unwrap();
            }
        };
        let late = timeout(Duration::from_secs(30), wait).await.is_err();
        assert!(!late, "{:?}", self.state.lock().unwrap());
    }

    /// Waits until it was looked at once more, and that look is over.
    pub(crate) async fn looked_at(&self) {
        let looks = self.state.lock().unwrap().looks;
        self.until(|state| state.looks > looks + 1).await;
    }

    /// A backend as it is shown; null if it is not there.
    pub(crate) fn backend(&self, address: &str) -> Value {
        let state = self.state.lock().unwrap();
        state.backends.iter().find(|one| one["address"] == address).cloned().unwrap_or(Value::Null)
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let (status, body) = {
            let mut state = self.state.lock().unwrap();
            match (request.method(), request.uri().path()) {
                (_, "/backends") if state.mode == Mode::Bare => (404, json!({})),
                (_, "/generation") => (200, json!(42)),
                (&Method::GET, "/backends") => (200, state.shown()),
                (&Method::POST, "/backends") => state.told(request.uri().query().unwrap_or_default()),
                _ => (404, json!({})),
            }
        };
        self.state.lock().unwrap().looks += u64::from(request.uri().path() == "/generation");
        self.changed.send_modify(|count| *count += 1);
        let mut answer = Response::new(Full::from(body.to_string()));
        *answer.status_mut() = StatusCode::from_u16(status).unwrap();
        answer
    }
}

fn backend(address: &str, slot: bool) -> Value {
    json!({
        "address": address, "server": address, "state": "up", "backup": false, "weight": 100, "slot": slot,
        "configured": { "down": slot, "weight": 100 }, "share": 100, "counted": true,
        "switch": if slot { json!({ "state": "on", "weight": null }) } else { Value::Null },
        "of the future": [1, 2, 3],
    })
}

impl State {
    fn shown(&self) -> Value {
        let used = self.backends.iter().filter(|one| one["slot"] == true).count();
        json!({
            "version": "9.9.9", "lease_ms": self.lease_ms, "bounds_ms": [1, 10, 100], "of the future": {},
            "upstreams": [{
                "name": "instances", "implicit": false, "zone": true, "file": "nginx.conf", "line": 7, "no_live": 0,
                "route": true, "slots": { "all": self.slots, "free": self.slots - used }, "backends": self.backends,
            }],
        })
    }

    fn told(&mut self, query: &str) -> (u16, Value) {
        let get = |name: &str| {
            query.split('&').find_map(|part| part.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned)
        };
        if let Some(ms) = get("lease_ms") {
            self.lease_ms = ms.parse().unwrap();
            return (200, json!({}));
        }
        self.posts.push(query.to_owned());
        if self.mode == Mode::Refusing {
            return (507, json!({ "error": "there is no room for this backend" }));
        }
        let used = self.backends.iter().filter(|one| one["slot"] == true).count();
        if let Some(address) = get("join") {
            match self.backends.iter_mut().find(|one| one["address"] == *address) {
                Some(known) => known["state"] = "up".into(),
                None if used >= self.slots => return (507, json!({ "error": "no place is free" })),
                None => self.backends.push(backend(&address, true)),
            }
            return (200, json!({}));
        }
        if let Some(address) = get("leave") {
            self.backends.retain(|one| one["address"] != *address || one["slot"] == false);
            if let Some(known) = self.backends.iter_mut().find(|one| one["address"] == *address) {
                known["state"] = "left".into();
            }
            return (200, json!({}));
        }
        let address = get("b").unwrap();
        let Some(backend) = self.backends.iter_mut().find(|one| one["address"] == *address) else {
            return (404, json!({ "error": "there is no such backend" }));
        };
        if backend["switch"].is_null() && get("share").is_none() {
            backend["switch"] = json!({ "state": "config", "weight": null });
        }
        if let Some(state) = get("state") {
            backend["switch"]["state"] = state.clone().into();
            backend["state"] = if state == "on" { "up".into() } else { Value::from(state) };
        }
        if let Some(weight) = get("weight") {
            backend["switch"]["weight"] = weight.parse::<u32>().unwrap().into();
        }
        if let Some(share) = get("share") {
            backend["share"] = share.parse::<u32>().unwrap().into();
        }
        (200, backend.clone())
    }
}
