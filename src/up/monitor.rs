//! The monitor as a program of this server: nothing else waits for it or fails with it.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use nix::sys::signal::Signal;
use switchboard_fleet::config::Config;
use tokio::process::Command;

use super::{
    Program,
    child::{Child, Ready, Spec, State},
    plan::Settings,
    voice::stamp,
};

/// The program, beside this one.
const NAME: &str = "switchboard-monitor";
/// How long it may take to serve.
const START_MAX: Duration = Duration::from_secs(15);
/// How long it may take to end: what it has taken is on disk already.
const GRACE: Duration = Duration::from_secs(10);

/// The monitor, where one runs.
pub(super) struct Monitor {
    program: Program,
    running: Option<(Child, Settings)>,
}

impl Monitor {
    /// None runs yet.
    pub(super) fn new(program: Program) -> Self {
        Self { program, running: None }
    }

    /// Starts it, if the configuration wants one; [`Monitor::settled`] tells what comes of it.
    pub(super) fn start(&mut self, config: &Config) {
        self.running = config.monitor.run.then(|| (Child::keep(spec(&self.program)), settings(config)));
    }

    /// Waits until it serves, or says why it does not. Everything else runs without it.
    pub(super) async fn settled(&mut self) {
        let Some((child, _)) = &mut self.running else { return };
        let State::Failed(why, _) = child.settled(START_MAX).await else { return };
        let path = beside(&self.program.path);
        let what = if path.exists() {
            format!("{why}; the lines above say why")
        } else {
            format!("{} is not there: install it, or set `run = false` in [monitor]", path.display())
        };
        self.program.voice.warning(&format!("monitor: {what}; everything else runs"));
    }

    /// Whether one serves, or is on its way back to it.
    pub(super) fn is_up(&self) -> bool {
        self.running.as_ref().is_some_and(|(child, _)| child.is_up())
    }

    /// Does what a new configuration changes. Gives what was done.
    pub(super) async fn reload(&mut self, config: &Config) -> Option<String> {
        let before = self.running.as_ref().filter(|(child, _)| !child.has_failed());
        let before = before.map(|(_, settings)| settings.clone());
        let wanted = config.monitor.run.then(|| settings(config));
        if before == wanted {
            return None;
        }
        self.stop().await;
        self.start(config);
        self.settled().await;
        let done = match (before, wanted) {
            (_, None) => "stopped",
            _ if !self.is_up() => "not started",
            (None, _) => "started",
            _ => "restarted",
        };
        Some(format!("monitor: {done}"))
    }

    /// Ends it.
    pub(super) async fn stop(&mut self) {
        if let Some((mut child, _)) = self.running.take() {
            child.stop();
            child.ended().await;
        }
    }

    /// Ends it now.
    pub(super) async fn kill(&mut self) {
        if let Some((mut child, _)) = self.running.take() {
            child.kill();
            child.ended().await;
        }
    }
}

fn beside(program: &Path) -> PathBuf {
    program.with_file_name(NAME)
}

fn settings(config: &Config) -> Settings {
    Settings::of_monitor(config, &stamp(&config.key_file))
}

fn spec(program: &Program) -> Spec {
    let (path, config) = (beside(&program.path), program.config.clone());
    let command = move || {
        let mut command = Command::new(&path);
        command.arg("--config").arg(&config);
        // The other end is ours alone: it closes when we die, whatever we die of.
        command.arg("--exit-with-parent").stdin(Stdio::piped());
        Ok(command)
    };
    Spec {
        name: "monitor".into(),
        command: Box::new(command),
        ready: Ready::Line,
        stop_signal: Signal::SIGTERM,
        grace: GRACE,
        voice: program.voice.clone(),
        pid: Default::default(),
    }
}
