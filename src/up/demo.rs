//! Something to see: an agent that echoes, and an app that asks it every second.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use nix::sys::signal::Signal;
use switchboard_fleet::config::Config;
use tokio::{
    process::Command,
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};

use super::{
    Program, advice,
    child::{Child, Ready, Spec},
    say,
    voice::Voice,
};

/// How often the app asks.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// When it first tells of it, and how often then: what was said at the start is to stay on the screen.
const TELL_FIRST: Duration = Duration::from_secs(5);
const TELL_EVERY: Duration = Duration::from_secs(60);
/// How long one exchange may take.
const EXCHANGE_MAX: Duration = Duration::from_secs(60);
/// How often it is looked whether the agent has an ID.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long the agent gets to end.
const GRACE: Duration = Duration::from_secs(12);

/// The demo's agent and app.
pub(super) struct Demo {
    agent: Child,
    app: JoinHandle<()>,
}

impl Demo {
    /// Starts both. `page` shows what they do.
    pub(super) fn start(program: &Program, config: &Config, page: Option<String>) -> Self {
        let (url, state) = (config.server.url(""), config.state_dir.join("demo-agent.json"));
        let agent = Child::keep(agent(program, &url, &state));
        let app = tokio::spawn(ask_forever(program.clone(), url, state, page));
        Self { agent, app }
    }

    /// Ends both.
    pub(super) async fn stop(mut self) {
        self.app.abort();
        let _ = self.app.await;
        self.agent.stop();
        self.agent.ended().await;
    }
}

/// A command of this program that ends when `up` dies, whatever it dies of.
fn dependent(program: &Program) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "--"]).arg(&program.path).stdin(Stdio::null());
    command
}

fn agent(program: &Program, url: &str, state: &Path) -> Spec {
    let (program, url, state) = (program.clone(), url.to_owned(), state.to_owned());
    let command = move || {
        let mut command = dependent(&program);
        command.args(["agent", "--echo", "--server", &url, "--state"]).arg(&state).stdout(Stdio::null());
        Ok(command)
    };
    Spec {
        name: "demo agent".into(),
        command: Box::new(command),
        ready: Ready::AtOnce,
        stop_signal: Signal::SIGTERM,
        grace: GRACE,
        // The front's log is not about the demo.
        voice: Voice::default(),
        pid: Default::default(),
    }
}

async fn ask_forever(program: Program, url: String, state: PathBuf, page: Option<String>) {
    let id = loop {
        if let Some(id) = read_id(&state) {
            break id;
        }
        sleep(LOOK_EVERY).await;
    };
    say(&format!(
        "demo: the agent's ID is {id}; ask it yourself: {} call --server {url} --id {id} --data hello",
        advice::command()
    ));
    if let Some(page) = page {
        say(&format!("demo: after two minutes, see what it does: {page}"));
    }
    let mut tick = interval(ASK_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = Instant::now();
    let mut tell_after = TELL_FIRST;
    let mut tally = Tally::default();
    for number in 1_u64.. {
        tick.tick().await;
        let began = Instant::now();
        let answer = ask(&program, &url, &id, &format!("hello {number}")).await;
        let failed = answer.is_err();
        tally.add(answer, began.elapsed());
        if told.elapsed() >= tell_after || failed {
            say(&std::mem::take(&mut tally).text());
            told = Instant::now();
            tell_after = TELL_EVERY;
        }
    }
}

/// The agent's ID, once it has one.
fn read_id(state: &Path) -> Option<String> {
    let stored: serde_json::Value = serde_json::from_slice(&fs::read(state).ok()?).ok()?;
    match stored.get("id")? {
        serde_json::Value::String(id) => Some(id.clone()),
        serde_json::Value::Number(id) => Some(id.to_string()),
        _ => None,
    }
}

/// One exchange: an error says what went wrong.
async fn ask(program: &Program, url: &str, id: &str, data: &str) -> Result<(), String> {
    let mut command = dependent(program);
    command.args(["call", "--server", url, "--id", id, "--data", data]);
    command.process_group(0).kill_on_drop(true);
    let output = match timeout(EXCHANGE_MAX, command.output()).await {
        Ok(output) => output.map_err(|error: io::Error| error.to_string())?,
        Err(_) => return Err(format!("no answer within {} s", EXCHANGE_MAX.as_secs())),
    };
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(said.lines().last().unwrap_or("no reason given").to_owned());
    }
    if output.stdout.trim_ascii_end() != data.as_bytes() {
        return Err("the echo is not what was sent".into());
    }
    Ok(())
}

/// The exchanges since the last line.
#[derive(Debug, Default)]
struct Tally {
    good: u32,
    failed: u32,
    last: Duration,
    error: Option<String>,
}

impl Tally {
    fn add(&mut self, answer: Result<(), String>, took: Duration) {
        match answer {
            Ok(()) => {
                self.good += 1;
                self.last = took;
            }
            Err(error) => {
                self.failed += 1;
                self.error = Some(error);
            }
        }
    }

    fn text(&self) -> String {
        let mut text = format!("demo: {} exchanges", self.good);
        if self.good > 0 {
            text += &format!(", the last took {} ms, start of the app included", self.last.as_millis());
        }
        if let Some(error) = &self.error {
            text += &format!("; {} failed: {error}", self.failed);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_demo_tells() {
        let mut tally = Tally::default();
        tally.add(Ok(()), Duration::from_millis(12));
        assert_eq!(tally.text(), "demo: 1 exchanges, the last took 12 ms, start of the app included");
        tally.add(Err("no agent".into()), Duration::ZERO);
        assert!(tally.text().ends_with("; 1 failed: no agent"));
    }

    #[test]
    fn the_id_in_an_agents_state() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("agent.json");
        assert_eq!(read_id(&state), None);
        fs::write(&state, r#"{"id":"26018363","token":"x"}"#).unwrap();
        assert_eq!(read_id(&state).as_deref(), Some("26018363"));
        fs::write(&state, "{").unwrap();
        assert_eq!(read_id(&state), None);
    }
}
