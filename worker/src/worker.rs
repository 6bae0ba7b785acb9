//! Start and end.

use std::{
    io,
    sync::mpsc::{self, Receiver},
    thread::{self, JoinHandle},
    time::Duration,
};

use switchboard_fleet::report::{LogLine, Sample, Told};
use tokio::runtime::{Builder, Runtime};

use crate::{
    backlog::Backlog,
    client::Client,
    config::Config,
    folder::Folder,
    panics,
    queue::{Place, Queue},
    reporter::{Reporter, become_own_thread, now_ms},
    sender::Sender,
    spool::Spool,
    vitals::Vitals,
};

/// Enough for one task that writes files and speaks HTTP.
const STACK_BYTES: usize = 512 << 10;

/// Reports to the monitor while it lives.
#[derive(Debug)]
pub struct Worker {
    reporter: Reporter,
    thread: Option<JoinHandle<()>>,
    ended: Receiver<()>,
    stop_within: Duration,
}

impl Worker {
    /// Begins to report. From now on the process's panics are reported too, by a hook that calls the one before it.
    ///
    /// Nobody need listen at the monitor's address: what is reported waits in memory and on disk.
    ///
    /// # Errors
    /// What is wrong in `config` (`InvalidInput`); no access to the spool's folder, or another process has it
    /// (`WouldBlock`); certificates that cannot be read, for an HTTPS address; no thread to be had.
    pub fn start(config: Config) -> io::Result<Self> {
        let url = config.check()?;
        let client = Client::new(url, config.keys, config.bounds.answer_within)?;
        let folder = Folder::open(&config.spool, now_ms())?;
        let bounds = config.bounds;
        let (path, boot) = (folder.path.clone(), folder.boot);
        let spool =
            Spool::new(path.clone(), boot, folder.files.clone(), bounds.file_bytes, bounds.disk_bytes);
        let backlog = Backlog::new(spool, boot, bounds.memory_bytes);
        let reporter = Reporter::new(Queue::new(bounds.queue_reports, bounds.queue_bytes), path, boot);
        let shared = reporter.shared.clone();
        shared.tell(now_ms(), Told::Started, Place::Any);
        panics::report_to(&shared);
        let stop_within = bounds.stop_within;
        let vitals = Vitals::new(config.address, config.version, config.subject);
        let runtime = runtime()?;
        let (end, ended) = mpsc::channel();
        let thread =
            thread::Builder::new().name("worker".into()).stack_size(STACK_BYTES).spawn(move || {
                become_own_thread();
                let sender =
                    Sender::new(shared, (config.worker, config.kind), bounds, backlog, client, vitals);
                runtime.block_on(sender.run());
                // A name that is being looked up cannot be interrupted.
                runtime.shutdown_background();
                drop(folder);
                drop(end);
            })?;
        Ok(Self { reporter, thread: Some(thread), ended, stop_within })
    }

    /// To tell from elsewhere, also after this value has gone: nothing happens then.
    pub fn reporter(&self) -> Reporter {
        self.reporter.clone()
    }

    /// As [`Reporter::sample`].
    pub fn sample(&self, at_ms: u64, sample: Sample) {
        self.reporter.sample(at_ms, sample);
    }

    /// As [`Reporter::log`].
    pub fn log(&self, line: LogLine) {
        self.reporter.log(line);
    }

    /// Reports that the program stops, saves what is left, sends as much of it as there is time for, and returns after
    /// `stop_within` at the latest. The same happens on drop.
    pub fn stop(self) {}
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.reporter.shared.close();
        let Some(thread) = self.thread.take() else { return };
        // The channel ends with the thread. One that a disk holds up is left to itself.
        let is_over = self.ended.recv_timeout(self.stop_within) != Err(mpsc::RecvTimeoutError::Timeout);
        if is_over {
            let _ = thread.join();
        }
    }
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(1)
        .thread_stack_size(STACK_BYTES)
        .thread_name("worker names")
        .on_thread_start(become_own_thread)
        .build()
}
