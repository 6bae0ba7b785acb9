//! Programs beside the instances and nginx, the monitor and the front's controller: nothing else waits for them or fails with them.

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

/// How long it may take to serve.
const START_MAX: Duration = Duration::from_secs(15);
/// How long it may take to end: what must be kept is on disk already.
const GRACE: Duration = Duration::from_secs(10);

/// What makes one of them what it is.
pub(super) struct Kind {
    /// What it is called in messages.
    name: &'static str,
    /// Whether a configuration wants it.
    wanted: fn(&Config) -> bool,
    /// Everything that it reads.
    settings: fn(&Config, &str) -> Settings,
    /// Its program, given this one.
    program: fn(&Path) -> PathBuf,
    /// Its arguments behind the configuration.
    arguments: &'static [&'static str],
    /// What to do if its program is not there.
    advice: &'static str,
}

/// The program that takes reports.
pub(super) const MONITOR: Kind = Kind {
    name: "monitor",
    wanted: |config| config.monitor.run,
    settings: Settings::of_monitor,
    program: |own| own.with_file_name("switchboard-monitor"),
    arguments: &[],
    advice: "install it, or set `run = false` in [monitor]",
};

/// The program that watches nginx's backends.
pub(super) const CONTROLLER: Kind = Kind {
    name: "controller",
    wanted: |_| true,
    settings: Settings::of_controller,
    program: Path::to_owned,
    arguments: &["front", "control"],
    advice: "install it",
};

/// Such a program, where one runs.
pub(super) struct Companion {
    kind: Kind,
    program: Program,
    running: Option<(Child, Settings)>,
}

impl Companion {
    /// None runs yet.
    pub(super) fn new(kind: Kind, program: Program) -> Self {
        Self { kind, program, running: None }
    }

    /// Starts it, if the configuration wants one; [`Companion::settled`] tells what comes of it.
    pub(super) fn start(&mut self, config: &Config) {
        self.running = (self.kind.wanted)(config)
            .then(|| (Child::keep(spec(&self.kind, &self.program)), self.settings(config)));
    }

    /// Waits until it serves, or says why it does not. Everything else runs without it.
    pub(super) async fn settled(&mut self) {
        let Some((child, _)) = &mut self.running else { return };
        let State::Failed(why, _) = child.settled(START_MAX).await else { return };
        let path = (self.kind.program)(&self.program.path);
        let what = if path.exists() {
            format!("{why}; the lines above say why")
        } else {
            format!("{} is not there: {}", path.display(), self.kind.advice)
        };
        self.program.voice.warning(&format!("{}: {what}; everything else runs", self.kind.name));
    }

    /// Whether one serves, or is on its way back to it.
    pub(super) fn is_up(&self) -> bool {
        self.running.as_ref().is_some_and(|(child, _)| child.is_up())
    }

    /// Does what a new configuration changes. Gives what was done.
    pub(super) async fn reload(&mut self, config: &Config) -> Option<String> {
        let before = self.running.as_ref().filter(|(child, _)| !child.has_failed());
        let before = before.map(|(_, settings)| settings.clone());
        let wanted = (self.kind.wanted)(config).then(|| self.settings(config));
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
        Some(format!("{}: {done}", self.kind.name))
    }

    fn settings(&self, config: &Config) -> Settings {
        (self.kind.settings)(config, &stamp(&config.key_file))
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

fn spec(kind: &Kind, program: &Program) -> Spec {
    let (path, config, arguments) = ((kind.program)(&program.path), program.config.clone(), kind.arguments);
    let command = move || {
        let mut command = Command::new(&path);
        command.arg("--config").arg(&config).args(arguments);
        // The other end is ours alone: it closes when we die, whatever we die of.
        command.arg("--exit-with-parent").stdin(Stdio::piped());
        Ok(command)
    };
    Spec {
        name: kind.name.into(),
        command: Box::new(command),
        ready: Ready::Line,
        stop_signal: Signal::SIGTERM,
        grace: GRACE,
        voice: program.voice.clone(),
        pid: Default::default(),
    }
}
