//! A program of this workspace that runs beside this one.

use std::{
    ffi::OsStr,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, bail};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};

/// It is up within this.
const PATIENCE: Duration = Duration::from_secs(10);
/// How much of its log is shown when it does not start.
const LOG_LINES: usize = 5;

/// A program that can be started, and its log.
pub(crate) struct Program {
    name: &'static str,
    file: PathBuf,
    log: PathBuf,
}

impl Program {
    /// The one of this name in the folder of this one; its log is in `folder`.
    ///
    /// # Errors
    /// It is not there.
    pub(crate) fn beside(name: &'static str, folder: &Path) -> anyhow::Result<Self> {
        let file = std::env::current_exe()?.with_file_name(name);
        if !file.exists() {
            bail!("{} is missing: build it with `cargo build --release --locked`", file.display());
        }
        Ok(Self { name, file, log: folder.join(format!("{name}.log")) })
    }

    /// Starts it, and returns when it listens. It ends with what this returns, or with this program.
    pub(crate) async fn start<'a>(
        &self,
        arguments: impl IntoIterator<Item = &'a OsStr>,
    ) -> anyhow::Result<Child> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let mut process = Command::new(&self.file)
            .args(arguments)
            // Its standard input ends with this program, however that ends.
            .arg("--exit-with-parent")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{}: cannot be started", self.file.display()))?;
        let stdout = process.stdout.take().context("a program without standard output")?;
        let mut line = String::new();
        let read = timeout(PATIENCE, BufReader::new(stdout).read_line(&mut line)).await;
        if !line.starts_with("listening on ") {
            let why = if read.is_err() { "is not up in time" } else { "does not start" };
            bail!("{} {why}; its log ends with:\n{}", self.name, self.last_words());
        }
        Ok(process)
    }

    fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }
}
