//! A front with everything around it: instances that say how they are, nginx's files, a module, and the controller.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use switchboard_controller::{ControllerError, Files, run_with};
use switchboard_fleet::{KeyRing, config::Config, front::Table};
use switchboard_nginx::{FrontError, Switches};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, UnixStream},
    sync::oneshot,
    task::JoinHandle,
    time::timeout,
};

use crate::module::Module;

/// An instance that answers `/status`, well or badly.
pub(crate) struct Instance {
    pub(crate) port: u16,
    pub(crate) well: Arc<AtomicBool>,
}

impl Instance {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, well) = (listener.local_addr().unwrap().port(), Arc::new(AtomicBool::new(true)));
        let is_well = Arc::clone(&well);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (status, state) =
                    if is_well.load(Ordering::Relaxed) { (200, "ready") } else { (503, "starting") };
                tokio::spawn(async move {
                    drop(stream.read(&mut [0; 1024]).await);
                    let body = json!({ "state": state }).to_string();
                    let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n", body.len());
                    drop(stream.write_all((head + &body).as_bytes()).await);
                });
            }
        });
        Self { port, well }
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

/// nginx's files: what was asked of them.
#[derive(Default)]
pub(crate) struct Paper {
    pub(crate) kept: Mutex<Switches>,
    /// What was done, with which instances.
    pub(crate) done: Mutex<Vec<(&'static str, Vec<u16>, Switches)>>,
    pub(crate) refuses: AtomicBool,
}

impl Paper {
    fn note(&self, what: &'static str, config: &Config, switches: &Switches) -> Result<(), FrontError> {
        if self.refuses.load(Ordering::Relaxed) {
            return Err(FrontError::Rejected { message: "it does not like it".into() });
        }
        self.done.lock().unwrap().push((what, config.instances.clone(), switches.clone()));
        Ok(())
    }

    pub(crate) fn last(&self) -> Option<(&'static str, Vec<u16>, Switches)> {
        self.done.lock().unwrap().last().cloned()
    }
}

impl Files for Paper {
    fn switches(&self) -> Result<Switches, FrontError> {
        Ok(self.kept.lock().unwrap().clone())
    }

    fn keep(&self, config: &Config, switches: &Switches) -> Result<(), FrontError> {
        self.note("keep", config, switches)
    }

    fn put(&self, config: &Config, switches: &Switches) -> Result<(), FrontError> {
        self.note("put", config, switches)
    }
}

pub(crate) struct Stage {
    /// Goes with the stage.
    _folder: TempDir,
    pub(crate) config: Config,
    pub(crate) module: Module,
    pub(crate) paper: Arc<Paper>,
    pub(crate) instances: Vec<Instance>,
}

/// A running controller.
pub(crate) struct Running {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), ControllerError>>,
}

impl Running {
    pub(crate) async fn stop(self) {
        drop(self.stop);
        self.task.await.unwrap().unwrap();
    }
}

impl Stage {
    pub(crate) async fn new(instances: usize, slots: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut all = Vec::new();
        for _ in 0..instances {
            all.push(Instance::start().await);
        }
        let mut config = Config { state_dir: folder.path().into(), ..Config::default() };
        config.instances = all.iter().map(|instance| instance.port).collect();
        config.front.control = folder.path().join("nginx.sock");
        config.health.check_every = Duration::from_millis(100).into();
        config.monitor.run = false;
        let addresses = all.iter().map(Instance::address).collect();
        let module = Module::start(&config.front.control, addresses, slots);
        std::fs::create_dir_all(config.front_dir()).unwrap();
        // A process that lives as long as the test stands for nginx.
        std::fs::write(config.front_dir().join("nginx.pid"), std::process::id().to_string()).unwrap();
        Self { _folder: folder, config, module, paper: Arc::default(), instances: all }
    }

    pub(crate) fn keys() -> KeyRing {
        KeyRing::new([[7; 32]])
    }

    pub(crate) async fn start(&self) -> Running {
        self.try_start().await.unwrap()
    }

    pub(crate) async fn try_start(&self) -> Result<Running, ControllerError> {
        let (stop, stopped) = oneshot::channel::<()>();
        let (ready, is_ready) = oneshot::channel();
        let files = Arc::clone(&self.paper);
        let run = run_with(
            self.config.clone(),
            Self::keys(),
            None,
            files,
            move || ready.send(()).unwrap(),
            async move { drop(stopped.await) },
        );
        let task = tokio::spawn(run);
        match timeout(Duration::from_secs(20), is_ready).await.unwrap() {
            Ok(()) => Ok(Running { stop, task }),
            Err(_) => Err(task.await.unwrap().unwrap_err()),
        }
    }

    pub(crate) fn address(&self, at: usize) -> String {
        self.instances[at].address()
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.config.controller_socket()
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: impl Into<Bytes>) -> (u16, Bytes) {
        let stream = UnixStream::connect(self.socket()).await.unwrap();
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        let task = tokio::spawn(connection);
        let request = Request::builder().method(method).uri(path).header("host", "localhost");
        let request = request.body(Full::new(body.into())).unwrap();
        let answer = timeout(Duration::from_secs(60), sender.send_request(request)).await.unwrap().unwrap();
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        task.abort();
        (status, body)
    }

    pub(crate) async fn table(&self) -> Table {
        let (status, body) = self.call(Method::GET, "/upstreams", "").await;
        assert_eq!(status, 200);
        serde_json::from_slice(&body).unwrap()
    }

    /// Waits until the table is so.
    pub(crate) async fn until(&self, what: impl Fn(&Table) -> bool) -> Table {
        for _ in 0..60 {
            let table = self.table().await;
            if what(&table) {
                return table;
            }
            self.module.looked_at().await;
        }
        let mut table = self.table().await;
        table.heat.clear();
        panic!("{table:?}");
    }

    /// Gives an order, changed by `more`; what became of it: a sentence, or the refusal.
    pub(crate) async fn order(
        &self,
        id: &str,
        backend: &str,
        change: Value,
        more: Value,
    ) -> Result<String, Value> {
        let (status, body) =
            self.call(Method::POST, "/orders", order(id, backend, change, more).to_string()).await;
        assert_eq!(status, 200, "{body:?}");
        let done: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(done["id"], id);
        match done["outcome"]["Ok"].as_str() {
            Some(sentence) => Ok(sentence.into()),
            None => Err(done["outcome"]["Err"].clone()),
        }
    }

    pub(crate) async fn member(&self, what: &str, port: u16, pid: u32) -> u16 {
        self.call(Method::POST, what, json!({ "port": port, "pid": pid }).to_string()).await.0
    }

    pub(crate) fn audit(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.config.front_dir().join("audit.log")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// An order as JSON.
pub(crate) fn order(id: &str, backend: &str, change: Value, more: Value) -> Value {
    let mut order = json!({
        "id": id, "place": { "upstream": "instances", "backend": backend }, "change": change,
        "who": "ada", "why": "a test", "until_ms": null, "force": false, "seen": null,
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        order[name] = value.clone();
    }
    order
}
