//! `switchboard up` and the monitor, for which a script stands in.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::{
    fs,
    net::Ipv4Addr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use support::{Fleet, free_port, run, until};
use tempfile::TempDir;

/// Serves, and notes its life in `lives`. Told to end, it also notes whether nginx is still there.
const SCRIPT: &str = r#"#!/bin/sh
folder=$(dirname "$0")
echo "pid $$ arguments $*" >>"$folder/lives"
trap 'if [ -e "$(cat "$folder/front")" ]; then echo early; else echo stopped; fi >>"$folder/lives"; exit 0' TERM
exec 3<&0
cat <&3 >/dev/null &
echo "listening on here"
wait $!
echo "parent gone" >>"$folder/lives"
"#;

/// `switchboard` in a folder of its own, perhaps with a monitor beside it.
struct Programs(TempDir);

impl Programs {
    fn new() -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        fs::hard_link(support::SWITCHBOARD, folder.path().join("switchboard")).unwrap();
        Self(folder)
    }

    fn switchboard(&self) -> PathBuf {
        self.0.path().join("switchboard")
    }

    fn monitor(&self, script: &str) {
        let path = self.0.path().join("switchboard-monitor");
        // Beside, and then renamed: a script that is being written cannot be run.
        let new = self.0.path().join("new");
        fs::write(&new, script).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(new, path).unwrap();
    }

    fn lives(&self) -> Vec<String> {
        let text = fs::read_to_string(self.0.path().join("lives")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// A fleet of one server with these programs.
    fn fleet(&self, extra: &str) -> Fleet {
        let mut fleet = Fleet::new(extra);
        fleet.program = self.switchboard();
        let front = fleet.folder.path().join("0/var/front/nginx.pid");
        fs::write(self.0.path().join("front"), front.to_str().unwrap()).unwrap();
        fleet.add(Ipv4Addr::LOCALHOST, 1);
        fleet
    }
}

fn with_monitor(port: u16) -> String {
    format!("[monitor]\nlisten = \"127.0.0.1:{port}\"\n")
}

fn is_alive(pid: Pid) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[test]
fn up_keeps_a_monitor_and_ends_it_last() {
    let programs = Programs::new();
    programs.monitor(SCRIPT);
    let port = free_port(Ipv4Addr::LOCALHOST);
    let mut fleet = programs.fleet(&with_monitor(port));
    let server = &mut fleet.servers[0];
    let page = format!("http://127.0.0.1:{port}/");
    let up = server.up();
    until("the end of what it says", || up.said().contains("see ").then_some(()));
    let said = up.said();
    assert!(
        said.lines().last().is_some_and(|line| line.starts_with("see ") && line.ends_with(&page)),
        "{said}"
    );
    assert!(said.contains(&format!("  monitor   {page}")), "{said}");
    let lives = programs.lives();
    let arguments = format!("--config {} --exit-with-parent", server.config());
    assert!(lives.len() == 1 && lives[0].ends_with(&arguments), "{lives:?}");

    // It dies, and nothing else does.
    let instance = server.pid(server.ports[0]);
    let pid = |life: &str| Pid::from_raw(life.split(' ').nth(1).unwrap().parse().unwrap());
    kill(pid(&lives[0]), Signal::SIGKILL).unwrap();
    server.up().says("monitor: it ended");
    server.up().says("monitor: it serves again");
    assert_eq!((programs.lives().len(), server.pid(server.ports[0])), (2, instance));

    // It is ended when all have told their end.
    let last = pid(&programs.lives()[1]);
    server.stop();
    assert_eq!(programs.lives()[2..], ["stopped"]);
    assert!(!is_alive(last) && !is_alive(instance));

    // Also when `up` is killed.
    server.start();
    let last = pid(&programs.lives()[3]);
    server.up().signal(Signal::SIGKILL);
    server.up().ended();
    until("the monitor's end", || (!is_alive(last)).then_some(()));
}

#[test]
fn a_reload_starts_restarts_and_stops_it() {
    let programs = Programs::new();
    programs.monitor(SCRIPT);
    let mut fleet = programs.fleet("[monitor]\nrun = false\n");
    assert!(!fleet.servers[0].up().said().contains("see "));
    assert!(programs.lives().is_empty());
    let port = free_port(Ipv4Addr::LOCALHOST);
    let mut reload = |extra: &str| {
        extra.clone_into(&mut fleet.extra);
        fleet.configure(0);
        let done = run(&["reload", "--config", &fleet.servers[0].config()]);
        assert!(done.status.success(), "{done:?}");
        let instance = fleet.servers[0].pid(fleet.servers[0].ports[0]);
        (String::from_utf8(done.stdout).unwrap(), instance)
    };
    let on = with_monitor(port);
    let (said, instance) = reload(&on);
    assert!(said.contains("monitor: started"), "{said}");
    // It is about letters: only the monitor reads it.
    let (said, same) = reload(&format!("{on}[alert]\nsmtp = \"smtp://user:secret@localhost:25\"\n"));
    assert!(said.contains("monitor: restarted") && same == instance, "{said}");
    let (said, same) = reload(&format!("{on}[alert]\nsmtp = \"smtp://user:other@localhost:25\"\n"));
    assert!(said.contains("monitor: restarted") && same == instance, "{said}");
    let (said, same) = reload(&format!("{on}[alert]\nsmtp = \"smtp://user:other@localhost:25\"\n"));
    assert!(!said.contains("monitor: ") && same == instance, "{said}");
    // Where to report is the instance's business too.
    let (said, other) = reload("[monitor]\nrun = false\n");
    assert!(said.contains("monitor: stopped") && other != instance, "{said}");
    let count = |what: &str| programs.lives().iter().filter(|line| line.starts_with(what)).count();
    assert_eq!((count("pid"), count("early")), (3, 3), "nginx runs on: {:?}", programs.lives());
}

#[test]
fn without_a_monitor_everything_else_runs() {
    let programs = Programs::new();
    let port = free_port(Ipv4Addr::LOCALHOST);
    let mut fleet = programs.fleet(&with_monitor(port));
    let up = fleet.servers[0].up();
    let line = up.says("switchboard-monitor is not there");
    assert!(line.starts_with("monitor: ") && line.ends_with("everything else runs"), "{line}");
    assert!(!up.said().contains("see "));
    assert_eq!(up.said().lines().filter(|line| line.contains("monitor")).count(), 1, "{}", up.said());
    let server = &fleet.servers[0];
    assert!(support::post(server.front, "/ping", "").starts_with("HTTP/1.1 200"));
    // One that cannot start.
    programs.monitor("#!/bin/sh\necho broken >&2\nexit 1\n");
    let config = server.config();
    let done = run(&["reload", "--config", &config]);
    assert!(support::text(&done).contains("monitor: not started"), "{done:?}");
    let line = fleet.servers[0].up().says("monitor: it ended");
    assert!(line.contains("exit status: 1") && line.ends_with("everything else runs"), "{line}");
    // A reload tries again.
    programs.monitor(SCRIPT);
    assert!(support::text(&run(&["reload", "--config", &config])).contains("monitor: started"));
}
