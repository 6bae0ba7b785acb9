//! One process of the server: started, waited for until it serves, started again when it dies, stopped.
//!
//! A task owns the process and whatever it started itself: nothing of it outlives the task.

use std::{
    io,
    process::{ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child as Process, ChildStdout, Command},
    sync::watch,
    task::JoinHandle,
    time::{Instant, interval, sleep, timeout},
};

use super::{backoff::Backoff, voice::Voice};

/// How an instance says that it serves.
const READY_LINE: &str = "listening on ";
/// How often a process that cannot say so is asked whether it serves.
const ASK_EVERY: Duration = Duration::from_millis(20);
/// The exit status that means: my configuration is wrong, starting me again is useless.
const WRONG_CONFIGURATION: i32 = 2;

/// How it is known that a process serves.
pub(super) enum Ready {
    /// It prints [`READY_LINE`] and what follows.
    Line,
    /// It is asked.
    Probe(Box<dyn Fn() -> bool + Send + Sync>),
    /// It needs not be known.
    AtOnce,
}

/// What a process is and how it is treated.
pub(super) struct Spec {
    /// What it is called in messages.
    pub(super) name: String,
    /// Makes the command of one more start.
    pub(super) command: Box<dyn Fn() -> io::Result<Command> + Send + Sync>,
    /// How it is known that it serves.
    pub(super) ready: Ready,
    /// The signal that asks it to end.
    pub(super) stop_signal: Signal,
    /// How long it may take to end after that.
    pub(super) grace: Duration,
    /// Says what becomes of it.
    pub(super) voice: Voice,
    /// Holds its process while it runs, else 0.
    pub(super) pid: Arc<AtomicU32>,
}

/// What a process is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// Started for the first time, and not yet serving.
    Starting,
    /// Serving, or on its way back to it.
    Up,
    /// Ended and not started again; the exit status, where there is one.
    Failed(String, Option<i32>),
    /// Stopped as told.
    Stopped,
}

/// What the task is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Run,
    Stop,
    Kill,
}

/// The handle of a process. Dropping it kills the process.
pub(super) struct Child {
    orders: watch::Sender<Order>,
    state: watch::Receiver<State>,
    task: JoinHandle<()>,
}

impl Child {
    /// Starts the process and keeps it running.
    pub(super) fn keep(spec: Spec) -> Self {
        let (orders, order) = watch::channel(Order::Run);
        let (tell, state) = watch::channel(State::Starting);
        Self { orders, state, task: tokio::spawn(keep(spec, order, tell)) }
    }

    /// Waits until the process serves or has failed.
    pub(super) async fn settled(&mut self, patience: Duration) -> State {
        let settled = self.state.wait_for(|state| *state != State::Starting);
        match timeout(patience, settled).await {
            Ok(Ok(state)) => state.clone(),
            Ok(Err(_)) => State::Stopped,
            Err(_) => State::Failed(format!("it does not serve within {} s", patience.as_secs()), None),
        }
    }

    /// Whether it serves, or is on its way back to it.
    pub(super) fn is_up(&self) -> bool {
        *self.state.borrow() == State::Up
    }

    /// Whether it failed for good.
    pub(super) fn has_failed(&self) -> bool {
        matches!(*self.state.borrow(), State::Failed(..))
    }

    /// Asks the process to end; [`Child::ended`] waits for it.
    pub(super) fn stop(&self) {
        self.orders.send_replace(Order::Stop);
    }

    /// Ends the process now.
    pub(super) fn kill(&self) {
        self.orders.send_replace(Order::Kill);
    }

    /// Waits until nothing is left of it; not longer than its grace, once it was told to stop.
    pub(super) async fn ended(&mut self) {
        let _ = (&mut self.task).await;
    }
}

/// How one life of a process ended.
enum End {
    AsTold,
    Died(String, Option<i32>),
}

async fn keep(spec: Spec, mut orders: watch::Receiver<Order>, tell: watch::Sender<State>) {
    let mut backoff = Backoff::default();
    loop {
        let began = Instant::now();
        let End::Died(why, status) = live(&spec, &mut orders, &tell).await else {
            tell.send_replace(State::Stopped);
            return;
        };
        let served = *tell.borrow() != State::Starting;
        if !served || status == Some(WRONG_CONFIGURATION) {
            if served {
                spec.voice.warning(&format!(
                    "{}: {why}; correct its configuration, then `switchboard reload`",
                    spec.name
                ));
            }
            tell.send_replace(State::Failed(why, status));
            return;
        }
        let pause = backoff.after(began.elapsed());
        spec.voice.warning(&format!(
            "{}: {why}; it is started again in {:.1} s",
            spec.name,
            pause.as_secs_f64()
        ));
        tokio::select! {
            () = sleep(pause) => {}
            _ = orders.changed() => {
                tell.send_replace(State::Stopped);
                return;
            }
        }
    }
}

async fn live(spec: &Spec, orders: &mut watch::Receiver<Order>, tell: &watch::Sender<State>) -> End {
    let started = (spec.command)().and_then(|mut command| {
        // A group of its own: the terminal's Ctrl-C is for us alone, and what it starts is found again.
        command.process_group(0).kill_on_drop(true);
        if matches!(spec.ready, Ready::Line) {
            command.stdout(Stdio::piped());
        }
        command.spawn()
    });
    let mut process = match started {
        Ok(process) => process,
        Err(error) => return End::Died(format!("cannot be started: {error}"), None),
    };
    let _group = Group::of(&process, &spec.pid);
    // Waiting would close it, and its end is how an instance notices ours.
    let _stdin = process.stdin.take();
    let mut lines = process.stdout.take().map(|stdout| BufReader::new(stdout).lines());
    let mut ask = interval(ASK_EVERY);
    let (mut serving, mut was_serving) = (matches!(spec.ready, Ready::AtOnce), false);
    loop {
        if serving && !was_serving {
            was_serving = true;
            let is_first = tell.send_if_modified(|state| std::mem::replace(state, State::Up) != State::Up);
            if !is_first {
                spec.voice.success(&format!("{}: it serves again", spec.name));
            }
        }
        tokio::select! {
            status = process.wait() => return died(status),
            line = next_line(&mut lines) => serving |= line.starts_with(READY_LINE),
            _ = ask.tick(), if !serving => serving = matches!(&spec.ready, Ready::Probe(serves) if serves()),
            changed = orders.changed() => {
                let order = if changed.is_ok() { *orders.borrow_and_update() } else { Order::Kill };
                if order == Order::Stop {
                    end(spec, &mut process, orders).await;
                }
                return End::AsTold;
            }
        }
    }
}

/// A line of its standard output; never, once that is closed.
async fn next_line(lines: &mut Option<Lines<BufReader<ChildStdout>>>) -> String {
    if let Some(open) = lines {
        if let Ok(Some(line)) = open.next_line().await {
            return line;
        }
        *lines = None;
    }
    std::future::pending().await
}

fn died(status: io::Result<ExitStatus>) -> End {
    match status {
        Ok(status) => End::Died(format!("it ended ({status})"), status.code()),
        Err(error) => End::Died(format!("it cannot be waited for: {error}"), None),
    }
}

/// Asks the process to end and gives it time, unless told otherwise meanwhile.
async fn end(spec: &Spec, process: &mut Process, orders: &mut watch::Receiver<Order>) {
    if let Some(pid) = process.id() {
        let _ = kill(Pid::from_raw(pid.cast_signed()), spec.stop_signal);
    }
    tokio::select! {
        _ = process.wait() => {}
        () = sleep(spec.grace) => {
            spec.voice.warning(&format!("{}: not ended after {} s, killed", spec.name, spec.grace.as_secs()));
        }
        _ = orders.changed() => {}
    }
}

/// The process group of a child: whatever is left of it when its life is over is killed, such as the workers of
/// an nginx master that died.
struct Group<'a> {
    leader: Option<u32>,
    told: &'a AtomicU32,
}

impl<'a> Group<'a> {
    fn of(process: &Process, told: &'a AtomicU32) -> Self {
        let leader = process.id();
        told.store(leader.unwrap_or(0), Ordering::Relaxed);
        Self { leader, told }
    }
}

impl Drop for Group<'_> {
    fn drop(&mut self) {
        self.told.store(0, Ordering::Relaxed);
        if let Some(pid) = self.leader {
            let _ = killpg(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn shell(script: &str, ready: Ready) -> Child {
        let script = script.to_owned();
        Child::keep(Spec {
            name: "test".into(),
            command: Box::new(move || {
                let mut command = Command::new("sh");
                command.args(["-c", &script]);
                Ok(command)
            }),
            ready,
            stop_signal: Signal::SIGTERM,
            grace: PATIENCE,
            voice: Voice::default(),
            pid: Arc::default(),
        })
    }

    #[tokio::test]
    async fn it_serves_when_it_says_so_and_ends_when_asked() {
        let mut child = shell("echo 'listening on here'; exec sleep 1000", Ready::Line);
        assert_eq!(child.settled(PATIENCE).await, State::Up);
        child.stop();
        child.ended().await;
        assert_eq!(*child.state.borrow(), State::Stopped);
    }

    #[tokio::test]
    async fn it_fails_when_it_never_served() {
        let mut child = shell("exit 1", Ready::Line);
        assert!(matches!(child.settled(PATIENCE).await, State::Failed(_, Some(1))));
        child.ended().await;
    }

    #[tokio::test]
    async fn it_is_started_again_until_its_configuration_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let count = folder.path().join("lives");
        let script = format!(
            "echo x >> {0}; echo listening on x; [ $(wc -l < {0}) -lt 3 ] || exit 2",
            count.display()
        );
        let mut child = shell(&script, Ready::Line);
        child.ended().await;
        assert!(child.has_failed());
        assert_eq!(std::fs::read_to_string(count).unwrap().lines().count(), 3);
    }

    #[tokio::test]
    async fn what_it_leaves_behind_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let pid_file = folder.path().join("pid");
        let script = format!("sleep 1000 & echo $! > {}; exit 1", pid_file.display());
        let mut child = shell(&script, Ready::Line);
        child.ended().await;
        let pid: i32 = std::fs::read_to_string(pid_file).unwrap().trim().parse().unwrap();
        let deadline = Instant::now() + PATIENCE;
        let gone = || {
            let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            status.is_empty() || status.contains(") Z ")
        };
        while !gone() {
            assert!(Instant::now() < deadline);
            tokio::task::yield_now().await;
        }
    }
}
