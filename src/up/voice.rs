//! What `up` says: to the person at the terminal, and to the monitor as the log of the front.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::Path,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU32},
};

use switchboard_fleet::{
    KeyRing,
    config::Config,
    report::{Level, LogLine, WorkerKind},
};
use switchboard_worker::{Reporter, Subject, Worker};

use super::say;
use crate::reporting::{self, Identity};

/// Says a line in both ways. One that nobody has given a reporter speaks to the person alone.
#[derive(Debug, Clone, Default)]
pub(super) struct Voice(Arc<Mutex<Option<Reporter>>>);

impl Voice {
    /// Something to know.
    pub(super) fn info(&self, text: &str) {
        self.tell(Level::Info, text);
    }

    /// Something is well again.
    pub(super) fn success(&self, text: &str) {
        self.tell(Level::Success, text);
    }

    /// Something went wrong, and is or must be put right.
    pub(super) fn warning(&self, text: &str) {
        self.tell(Level::Warning, text);
    }

    fn tell(&self, level: Level, text: &str) {
        say(text);
        let reporter = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reporter) = &*reporter {
            let data = serde_json::Map::new();
            reporter.log(LogLine { level, message: text.into(), data });
        }
    }

    fn speak_through(&self, worker: Option<&Worker>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = worker.map(Worker::reporter);
    }
}

/// The front's worker: it tells nginx's state, and lives as long as `up`.
pub(super) struct FrontWorker {
    worker: Option<Worker>,
    begun_with: String,
    voice: Voice,
    nginx: Arc<AtomicU32>,
}

impl FrontWorker {
    /// Begins to report, if there is anyone to report to. `nginx` holds nginx's process, or 0.
    pub(super) fn start(config: &Config, voice: Voice, nginx: Arc<AtomicU32>) -> Self {
        let mut front = Self { worker: None, begun_with: String::new(), voice, nginx };
        front.begin(config);
        front
    }

    /// Begins anew if the configuration now says another monitor, name or key.
    pub(super) async fn reload(&mut self, config: &Config) {
        if self.begun_with != settings(config) {
            self.stop().await;
            self.begin(config);
        }
    }

    /// Tells that it stops; takes 2 s at most.
    pub(super) async fn stop(&mut self) {
        self.voice.speak_through(None);
        let worker = self.worker.take();
        // A thread that ended early has dropped the worker, which is as good.
        let _ = tokio::task::spawn_blocking(move || drop(worker)).await;
    }

    fn begin(&mut self, config: &Config) {
        self.begun_with = settings(config);
        let identity = Identity {
            name: "front".into(),
            kind: WorkerKind::Front,
            subject: Subject::Group(self.nginx.clone()),
            address: address(config),
            spool: config.state_dir.join("front-spool"),
        };
        let keys = KeyRing::read(&config.key_file).map_err(anyhow::Error::from);
        match keys.and_then(|keys| reporting::start(config, keys, identity)) {
            Ok(worker) => self.worker = worker,
            Err(error) => say(&format!("front: {error:#}")),
        }
        self.voice.speak_through(self.worker.as_ref());
    }
}

fn address(config: &Config) -> String {
    config.front.listen.first().map(ToString::to_string).unwrap_or_default()
}

fn settings(config: &Config) -> String {
    let (url, key) = (config.monitor_url(), stamp(&config.key_file));
    format!("{} {url:?} {} {key}", config.server, address(config))
}

/// A text that changes when a file does.
pub(super) fn stamp(file: &Path) -> String {
    fs::metadata(file)
        .map_or_else(|_| String::new(), |m| format!("{}:{}:{}", m.ino(), m.mtime(), m.mtime_nsec()))
}
