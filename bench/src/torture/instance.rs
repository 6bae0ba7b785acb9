//! One instance: a process that is killed and started again, and its log.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context;

use crate::disks::Disk;

/// One that ended by itself is started again after this.
const PAUSE: Duration = Duration::from_millis(100);

/// An instance; killed when dropped.
pub(crate) struct Instance {
    port: u16,
    program: PathBuf,
    config: PathBuf,
    /// Where its ledgers are.
    folder: PathBuf,
    log: PathBuf,
    process: Option<Child>,
    ended_at: Instant,
    // Behind the process, so that it goes after it.
    disk: Option<Disk>,
}

/// What logs say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Logged {
    /// Lines that say that a disk was full.
    pub(crate) full: u64,
    /// Panics.
    pub(crate) panics: u64,
    /// Lines that say that a ledger is not used, as IDs would be given twice.
    pub(crate) refused: u64,
}

impl Instance {
    /// One that does not run yet.
    pub(crate) fn new(port: u16, program: &Path, config: &Path, folder: &Path, disk: Option<Disk>) -> Self {
        Self {
            port,
            program: program.into(),
            config: config.into(),
            folder: folder.into(),
            log: config.with_file_name(format!("{port}.log")),
            process: None,
            ended_at: Instant::now(),
            disk,
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The ledger of its own IDs.
    pub(crate) fn ledger(&self) -> PathBuf {
        self.folder.join("range.ledger")
    }

    /// The ledger of the fleet's IDs, at the master.
    pub(crate) fn master_ledger(&self) -> PathBuf {
        self.folder.join("master.ledger")
    }

    pub(crate) fn disk(&mut self) -> Option<&mut Disk> {
        self.disk.as_mut()
    }

    /// Starts it; the kernel kills it when this program ends, however it does.
    pub(crate) fn start(&mut self) -> anyhow::Result<()> {
        let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
        let process = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(&self.program)
            .args(["instance", "--port", &self.port.to_string(), "--config"])
            .arg(&self.config)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context(
                "setpriv, which is to start instances, cannot be run; install Debian's package util-linux",
            )?;
        self.process = Some(process);
        Ok(())
    }

    /// Kills it, and returns when it is gone; gives whether it ran.
    pub(crate) fn kill(&mut self) -> io::Result<bool> {
        let Some(mut process) = self.process.take() else { return Ok(false) };
        process.kill()?;
        process.wait()?;
        Ok(true)
    }

    /// Starts it again if it has ended by itself; gives whether it had, once each time.
    pub(crate) fn look_after(&mut self) -> anyhow::Result<bool> {
        match &mut self.process {
            Some(process) => {
                let ended = process.try_wait()?.is_some();
                if ended {
                    self.process = None;
                    self.ended_at = Instant::now();
                }
                Ok(ended)
            }
            None => {
                if self.ended_at.elapsed() >= PAUSE {
                    self.start()?;
                }
                Ok(false)
            }
        }
    }

    /// What its log says.
    pub(crate) fn logged(&self) -> io::Result<Logged> {
        let mut logged = Logged::default();
        for line in BufReader::new(File::open(&self.log)?).split(b'\n') {
            logged.count(&String::from_utf8_lossy(&line?));
        }
        Ok(logged)
    }

    /// The last lines of its log, so many.
    pub(crate) fn last_words(&self, count: usize) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(count)..].join("\n")
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

impl Logged {
    fn count(&mut self, line: &str) {
        self.full += u64::from(line.contains("No space left on device"));
        self.panics += u64::from(line.contains("panicked at"));
        self.refused += u64::from(line.contains("IDs twice") || line.contains("given twice"));
    }

    /// This and `other` together.
    pub(crate) fn and(self, other: &Self) -> Self {
        Self {
            full: self.full + other.full,
            panics: self.panics + other.panics,
            refused: self.refused + other.refused,
        }
    }
}
