//! Who reports, to whom, and within which bounds.

use std::{
    io,
    path::PathBuf,
    sync::{Arc, atomic::AtomicU32},
    time::Duration,
};

use http::Uri;
use switchboard_fleet::{
    KeyRing,
    report::{Batch, WorkerKind},
};

/// Who reports, and to whom.
#[derive(Debug, Clone)]
pub struct Config {
    /// The worker's name, as in [`Batch::worker`].
    pub worker: String,
    /// What it is.
    pub kind: WorkerKind,
    /// Whose memory, CPU time, uptime and process it tells.
    pub subject: Subject,
    /// Where it listens; empty if it does not.
    pub address: String,
    /// Its version.
    pub version: String,
    /// The monitor: `http://HOST:PORT` or `https://HOST:PORT`, without a path.
    pub monitor: String,
    /// The fleet's keys. With them every batch is signed; a monitor on the same machine takes unsigned ones too.
    pub keys: Option<KeyRing>,
    /// A folder of this worker alone, made if it is not there.
    pub spool: PathBuf,
    /// How much it may hold, and how often it speaks.
    pub bounds: Bounds,
}

/// Whose state is told.
#[derive(Debug, Clone, Default)]
pub enum Subject {
    /// This process's.
    #[default]
    Own,
    /// That of the process with this number and of all that come of it, together; 0 while none runs. For a program that keeps
    /// another one running and reports in its place.
    Group(Arc<AtomicU32>),
}

/// How much a worker holds, and how often it speaks.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// Most reports between two looks of the sending thread. A quarter is kept free of log lines.
    pub queue_reports: usize,
    /// Most bytes of them as JSON.
    pub queue_bytes: usize,
    /// Most bytes of reports in memory that were taken from the queue.
    pub memory_bytes: usize,
    /// Most bytes of the spool's files. Each counts for at least 4 KiB.
    pub disk_bytes: u64,
    /// A spool file of this length is followed by a new one.
    pub file_bytes: u64,
    /// Most reports in one batch; never more than [`Batch::REPORTS_MAX`].
    pub batch_reports: usize,
    /// About the most bytes of one batch; one report is sent however long it is.
    pub batch_bytes: usize,
    /// How often the worker's state is reported.
    pub state_every: Duration,
    /// How often the queue is looked at; what is not sent after twice as long is on disk.
    pub send_every: Duration,
    /// How long an answer is waited for.
    pub answer_within: Duration,
    /// The first pause after a call that failed; each further one is twice as long.
    pub pause_min: Duration,
    /// The longest pause.
    pub pause_max: Duration,
    /// The longest that [`Worker::stop`](crate::Worker::stop) takes.
    pub stop_within: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            queue_reports: 1000,
            queue_bytes: 128 << 10,
            memory_bytes: 128 << 10,
            disk_bytes: 64 << 20,
            file_bytes: 256 << 10,
            batch_reports: 500,
            batch_bytes: 96 << 10,
            state_every: Duration::from_secs(3),
            send_every: Duration::from_secs(1),
            answer_within: Duration::from_secs(10),
            pause_min: Duration::from_millis(500),
            pause_max: Duration::from_secs(30),
            stop_within: Duration::from_secs(2),
        }
    }
}

impl Config {
    /// The URL to which batches go.
    ///
    /// # Errors
    /// `InvalidInput` that names the setting: a name or a URL that no monitor would take.
    pub(crate) fn check(&self) -> io::Result<Uri> {
        let invalid = |text: String| io::Error::new(io::ErrorKind::InvalidInput, text);
        let name = &self.worker;
        if name.is_empty() || name.len() > Batch::WORKER_MAX || name.chars().any(char::is_control) {
            return Err(invalid(format!(
                "worker {name:?}: a name has 1 to {} bytes and no control characters",
                Batch::WORKER_MAX
            )));
        }
        let bad_url = || {
            invalid(format!(
                "monitor {:?}: expected http://HOST:PORT or https://HOST:PORT, without a path",
                self.monitor
            ))
        };
        let base: Uri = self.monitor.parse().map_err(|_| bad_url())?;
        let scheme = base.scheme_str().is_some_and(|scheme| scheme == "http" || scheme == "https");
        let bare = base.path() == "/" && base.query().is_none();
        match base.authority() {
            Some(authority) if scheme && bare && !authority.as_str().contains('@') => {
                let scheme = base.scheme_str().unwrap_or("http");
                format!("{scheme}://{authority}/report").parse().map_err(|_| bad_url())
            }
            _ => Err(bad_url()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(worker: &str, monitor: &str) -> Config {
        Config {
            worker: worker.into(),
            kind: WorkerKind::Program,
            subject: Subject::Own,
            address: String::new(),
            version: String::new(),
            monitor: monitor.into(),
            keys: None,
            spool: PathBuf::new(),
            bounds: Bounds::default(),
        }
    }

    #[test]
    fn names_and_urls() {
        let good = ["http://127.0.0.1:8090", "http://[::1]:8090/", "https://monitor.example.net"];
        for url in good {
            assert_eq!(config("a", url).check().unwrap().path(), "/report", "{url}");
        }
        for url in ["", "127.0.0.1:8090", "ftp://a", "http://a/b", "http://a?b", "http://u:p@a", "/report"] {
            let error = config("a", url).check().unwrap_err();
            assert!(error.to_string().starts_with("monitor "), "{url}: {error}");
        }
        for name in ["", "a\nb", &"a".repeat(301)] {
            let error = config(name, good[0]).check().unwrap_err();
            assert!(error.to_string().starts_with("worker "), "{error}");
        }
    }
}
