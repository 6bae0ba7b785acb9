//! `switchboard up`: brings up this server as configured, keeps it up, and takes it down in peace.
//!
//! One event loop here; the rest in the order in which it is met: `lock` (one `up` per state folder), `server`
//! (instances and nginx), `companion` (monitor and controller), `child` (one process and its restarts), `backoff`, `plan` (what a new configuration
//! changes), `control` (requests of `switchboard reload`), `demo`, `advice` (what to try next), `voice` (what is said, and
//! reported).

mod advice;
mod backoff;
mod child;
mod companion;
pub(crate) mod control;
mod demo;
mod lock;
mod plan;
mod server;
mod voice;

use std::{
    fs::File,
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
};

use anyhow::Context;
use switchboard_controller::prepare;
use switchboard_daemon::{Failure, Outcome};
use switchboard_fleet::{
    KeyRing,
    config::{Faults, Whole, check_files, load_whole},
};
use tokio::signal::unix::{Signal, SignalKind, signal};

use control::Control;
use demo::Demo;
use server::Server;
use voice::Voice;

/// Arguments of `switchboard up`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Also run a demo agent and a demo app, so that there is something to see.
    #[arg(long)]
    demo: bool,
}

/// What all parts of `up` need to start further programs.
#[derive(Debug, Clone)]
struct Program {
    /// This very program.
    path: PathBuf,
    /// The configuration it was given.
    config: PathBuf,
    /// Says what happens.
    voice: Voice,
}

/// Runs until SIGTERM or Ctrl-C.
pub(crate) fn run(config: &Path, args: Args) -> Outcome {
    let whole = load(config)?;
    let state_dir = whole.server.state_dir.clone();
    std::fs::create_dir_all(&state_dir)
        .with_context(|| format!("{}: state_dir cannot be made", state_dir.display()))?;
    let _only_one = lock::take(&state_dir)?;
    let follows = whole.server.front.follow.is_some();
    if !follows && !whole.server.key_file.exists() {
        crate::key::run(config)?;
    }
    // One thread: children are told to end with the thread that started them.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if follows {
        // The certificate may be the first front's.
        let keys = KeyRing::read(&whole.server.key_file)?;
        runtime.block_on(prepare(&whole.server, &keys))?;
    }
    look_at_files(&whole)?;
    let program = Program { path: std::env::current_exe()?, config: config.into(), voice: Voice::default() };
    let ended = runtime.block_on(supervise(program, whole, args.demo));
    runtime.shutdown_background();
    ended
}

/// What this server runs. A further front has no instances of its own.
fn load(config: &Path) -> Result<Whole, Faults> {
    let mut whole = load_whole(config)?;
    if whole.server.front.follow.is_some() {
        whole.instances.clear();
    }
    Ok(whole)
}

fn look_at_files(whole: &Whole) -> Result<(), Faults> {
    let all = std::iter::once(&whole.server).chain(whole.instances.values());
    Faults::none_of(all.flat_map(|config| check_files(config).faults).collect())
}

async fn supervise(program: Program, whole: Whole, with_demo: bool) -> Outcome {
    let mut signals = Signals::new()?;
    let mut control = Control::bind(&whole.server.state_dir)?;
    let mut server = Server::new(program.clone(), whole)?;
    let started = tokio::select! {
        started = server.start() => started.map(|()| true),
        () = signals.stop() => Ok(false),
    };
    let mut demo = None;
    if let Ok(true) = started {
        let page = server.page();
        say(&advice::text(&program, server.config(), page.as_deref()));
        demo = with_demo.then(|| Demo::start(&program, server.config(), page));
        watch(&program.voice, &mut server, &mut signals, &mut control).await;
        program.voice.info("stopping: running transactions are finished first; Ctrl-C again to stop at once");
    }
    tokio::select! {
        () = take_down(demo, &mut server) => {}
        () = signals.stop() => server.kill().await,
    }
    started?;
    say("stopped");
    Ok(())
}

/// Those who ask first, then those who answer.
async fn take_down(demo: Option<Demo>, server: &mut Server) {
    if let Some(demo) = demo {
        demo.stop().await;
    }
    server.stop().await;
}

/// Reloads when asked, until it is time to stop.
async fn watch(voice: &Voice, server: &mut Server, signals: &mut Signals, control: &mut Control) {
    loop {
        let request = tokio::select! {
            wanted = signals.next() => match wanted {
                Wanted::Stop => return,
                Wanted::Reload => None,
            },
            request = control.request() => Some(request),
        };
        let done = tokio::select! {
            done = server.reload() => done,
            () = signals.stop() => return,
        };
        match &done {
            Ok(lines) => lines.iter().for_each(|line| voice.info(line)),
            Err(error) => {
                voice.warning(&format!("reload failed, what ran before runs on: {error:#}"));
            }
        }
        if let Some(request) = request {
            request.answer(done).await;
        }
    }
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Stop,
    Reload,
}

/// The signals of this process.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    had_terminal: bool,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            had_terminal: io::stdin().is_terminal(),
        })
    }

    async fn stop(&mut self) {
        while self.next().await != Wanted::Stop {}
    }

    async fn next(&mut self) -> Wanted {
        tokio::select! {
            _ = self.terminate.recv() => Wanted::Stop,
            _ = self.interrupt.recv() => Wanted::Stop,
            _ = self.hangup.recv() => {
                // SIGHUP also comes when the terminal is closed, and then nobody wants a reload.
                let closed = self.had_terminal && File::open("/dev/tty").is_err();
                if closed { Wanted::Stop } else { Wanted::Reload }
            }
        }
    }
}

/// Says a line to the person at the terminal, who may be gone: that must not end the server.
fn say(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// A failure with exit status 1.
fn failed(text: String) -> Failure {
    Failure::Failed(anyhow::anyhow!(text))
}
