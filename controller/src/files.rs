//! What nginx reads when it starts: written on a thread of its own, as that takes seconds.

use std::{collections::BTreeSet, sync::Arc};

use switchboard_fleet::config::Config;
use switchboard_nginx::{Front, FrontError, Switches};
use tokio::task::JoinHandle;

/// nginx's files and its reloads, as far as a controller needs them. All calls block.
pub trait Files: Send + Sync + 'static {
    /// The switches that were kept last.
    ///
    /// # Errors
    /// They cannot be read.
    fn switches(&self) -> Result<Switches, FrontError>;

    /// Keeps the switches, and writes the file for nginx's next start; the running nginx stays as it is.
    ///
    /// # Errors
    /// Nothing has changed then.
    fn keep(&self, config: &Config, switches: &Switches) -> Result<(), FrontError>;

    /// Keeps the switches and puts them in force by a reload.
    ///
    /// # Errors
    /// All is as before then.
    fn put(&self, config: &Config, switches: &Switches) -> Result<(), FrontError>;
}

impl Files for Front {
    fn switches(&self) -> Result<Switches, FrontError> {
        Front::switches(self)
    }

    fn keep(&self, config: &Config, switches: &Switches) -> Result<(), FrontError> {
        Front::keep(self, config, switches).map(drop)
    }

    fn put(&self, config: &Config, switches: &Switches) -> Result<(), FrontError> {
        Front::put(self, config, switches).map(drop)
    }
}

/// What is to be done. The greater one does what the lesser does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Work {
    /// The file is written.
    Keep,
    /// And nginx reads it.
    Put,
}

/// What nginx's file says of instances and their switches.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Placed {
    /// The instances.
    pub(crate) ports: BTreeSet<u16>,
    /// How they are switched.
    pub(crate) switches: Switches,
}

struct Job {
    number: u64,
    work: Work,
    config: Config,
    placed: Placed,
}

type Writing = JoinHandle<Result<(), FrontError>>;

/// One job at a time; of those that wait only the newest is done, as it says all that the others do.
pub(crate) struct Jobs {
    files: Arc<dyn Files>,
    running: Option<(u64, Placed, Writing)>,
    next: Option<Job>,
    number: u64,
}

/// A job that was done.
#[derive(Debug)]
pub(crate) struct Finished {
    /// Jobs up to this number are done.
    pub(crate) number: u64,
    /// What the file says now; or why it could not be done, in a sentence.
    pub(crate) result: Result<Placed, String>,
    /// Somebody has put another configuration in place than this controller has.
    pub(crate) is_outdated: bool,
}

impl Jobs {
    pub(crate) fn new(files: Arc<dyn Files>) -> Self {
        Self { files, running: None, next: None, number: 0 }
    }

    /// Begins a job, or lets it wait. Its number.
    pub(crate) fn begin(&mut self, work: Work, config: Config, placed: Placed) -> u64 {
        self.number += 1;
        let work = self.next.as_ref().map_or(work, |waits| waits.work.max(work));
        self.next = Some(Job { number: self.number, work, config, placed });
        self.advance();
        self.number
    }

    fn advance(&mut self) {
        if self.running.is_some() {
            return;
        }
        let Some(job) = self.next.take() else { return };
        let files = Arc::clone(&self.files);
        let Job { number, work, config, placed } = job;
        let switches = placed.switches.clone();
        let run = move || match work {
            Work::Keep => files.keep(&config, &switches),
            Work::Put => files.put(&config, &switches),
        };
        self.running = Some((number, placed, tokio::task::spawn_blocking(run)));
    }

    /// Whether nothing runs or waits.
    pub(crate) fn is_idle(&self) -> bool {
        self.running.is_none() && self.next.is_none()
    }

    /// Waits for the running job's end; for ever if none runs. May be dropped at any time.
    pub(crate) async fn finished(&mut self) -> Finished {
        let Some((number, placed, task)) = &mut self.running else { return std::future::pending().await };
        let number = *number;
        let done = task.await;
        let is_outdated = matches!(&done, Ok(Err(FrontError::Outdated)));
        let result = match done {
            Ok(result) => result.map(|()| std::mem::take(placed)).map_err(|error| error.to_string()),
            Err(_) => Err("the thread that writes nginx's files broke".into()),
        };
        self.running = None;
        self.advance();
        Finished { number, result, is_outdated }
    }
}
