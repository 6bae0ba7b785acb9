//! Two fronts of one server, each with its own nginx and controller: callers of the one outlive the other.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::{
    fmt::Write,
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, Command},
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use rcgen::generate_simple_self_signed;
use serde_json::Value;
use support::{
    Program,
    front::{Load, backend, is, table},
    run, switchboard, text, until,
};
use switchboard_fleet::config::load;
use switchboard_nginx::Front;
use tempfile::TempDir;

const QUICK: &str =
    "[health]\ncheck_every = 0.2\ncheck_within = 0.4\ncool_off = 1\ncool_off_max = 2\nslow_start = 1\n";
/// Where the second front's nginx listens.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// A server whose instances, first front and second front end each by itself.
struct Scene {
    _folder: TempDir,
    first: PathBuf,
    second: PathBuf,
    ports: Vec<u16>,
    first_front: SocketAddr,
    second_front: SocketAddr,
    instances: Vec<Program>,
    control: Option<Program>,
    nginx: Option<Child>,
    up: Option<Program>,
}

impl Scene {
    /// Everything runs, but the second front.
    fn new(instances: usize, tls: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [first, second] = ["first", "second"].map(|name| folder.path().join(name));
        let mut ports = support::free_ports(Ipv4Addr::LOCALHOST, instances + 2);
        let mut own = || SocketAddr::from((Ipv4Addr::LOCALHOST, ports.pop().unwrap()));
        let (first_front, share) = (own(), own());
        let second_front = SocketAddr::from((ELSEWHERE, support::free_port(ELSEWHERE)));
        let module =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("target/module/ngx_http_switchboard_module.so");
        assert!(module.is_file(), "{} is not there: `make module`", module.display());
        for (folder, listen, role) in [(&first, first_front, "share"), (&second, second_front, "follow")] {
            fs::create_dir(folder).unwrap();
            let mut text = format!(
                "server = \"{first_front}\"\ninstances = {ports:?}\n\
                 master = {{ server = \"{first_front}\", port = {} }}\n{QUICK}\n[monitor]\nrun = false\n\
                 [front]\nlisten = [\"{listen}\"]\nmodule = {module:?}\n{role} = \"{share}\"\n",
                ports[0]
            );
            let certificate = match (tls, role) {
                (false, _) => None,
                (true, "share") => Some(("certificate.pem", "key.pem")),
                (true, _) => Some(("var/front/tls/certificate.pem", "var/front/tls/key.pem")),
            };
            if let Some((certificate, key)) = certificate {
                writeln!(text, "tls = {{ certificate = {certificate:?}, key = {key:?} }}").unwrap();
            }
            fs::write(folder.join("fleet.toml"), text).unwrap();
        }
        let scene = Self {
            _folder: folder,
            first,
            second,
            ports,
            first_front,
            second_front,
            instances: Vec::new(),
            control: None,
            nginx: None,
            up: None,
        };
        let config = config(&scene.first);
        assert!(run(&["key", "--config", &config]).status.success());
        let range = ["range", "init", "--from", "1000", "--to", "9999", "--config", &config];
        assert!(run(&range).status.success());
        fs::copy(scene.first.join("fleet.key"), scene.second.join("fleet.key")).unwrap();
        scene
    }

    fn start_instances(&mut self) {
        for port in &self.ports {
            let (port, config) = (port.to_string(), config(&self.first));
            self.instances
                .push(Program::start(switchboard(&["instance", "--port", &port, "--config", &config])));
        }
        self.instances.iter_mut().for_each(|instance| drop(instance.says("listening on")));
    }

    /// The first front: nginx and controller, without `up`, which would take the instances with it.
    fn start_first(&mut self) {
        let config = load(&self.first.join("fleet.toml")).unwrap();
        let front = Front::new(&config).unwrap();
        let applied = front.apply(&config).unwrap();
        self.nginx = Some(front.start(&config, applied.generation).unwrap());
        self.start_control();
    }

    fn start_control(&mut self) {
        let mut control =
            Program::start(switchboard(&["front", "control", "--config", &config(&self.first)]));
        control.says("listening on");
        self.control = Some(control);
    }

    /// Nothing of it is told that it ends.
    fn kill_first(&mut self) {
        let control = self.control.take().unwrap();
        control.signal(Signal::SIGKILL);
        let mut nginx = self.nginx.take().unwrap();
        killpg(Pid::from_raw(i32::try_from(nginx.id()).unwrap()), Signal::SIGKILL).unwrap();
        nginx.wait().unwrap();
    }

    fn start_second(&mut self) {
        let mut up = Program::start(switchboard(&["up", "--config", &config(&self.second)]));
        up.says("Ctrl-C stops everything");
        self.up = Some(up);
    }

    /// Waits until a backend is so at both fronts.
    fn is(&self, port: u16, state: &str) {
        [&self.first, &self.second].into_iter().for_each(|folder| is(folder, port, state));
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if let Some(mut up) = self.up.take() {
            up.signal(Signal::SIGTERM);
            if !std::thread::panicking() {
                assert_eq!(up.ended(), Some(0), "{}", up.said());
            }
        }
        if let Some(nginx) = self.nginx.take() {
            Front::end(nginx);
        }
    }
}

fn config(folder: &Path) -> String {
    folder.join("fleet.toml").to_str().unwrap().to_owned()
}

fn front(folder: &Path, arguments: &[&str]) -> String {
    text(&run(&[&["front"], arguments, &["--config", &config(folder)]].concat()))
}

/// Writes a new certificate for `localhost` where the first front has it.
fn certify(folder: &Path) -> PathBuf {
    let signed = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(folder.join("key.pem"), signed.signing_key.serialize_pem()).unwrap();
    fs::write(folder.join("certificate.pem"), signed.cert.pem()).unwrap();
    let number = fs::read_dir(folder).unwrap().count();
    let known = folder.join(format!("known-{number}.pem"));
    fs::write(&known, signed.cert.pem()).unwrap();
    known
}

/// Whether the front answers with this very certificate.
fn shows(front: SocketAddr, certificate: &Path) -> bool {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--output", "/dev/null", "--write-out", "%{http_code}", "--request", "POST"]);
    curl.arg("--resolve").arg(format!("localhost:{}:{}", front.port(), front.ip()));
    curl.arg("--cacert").arg(certificate).arg(format!("https://localhost:{}/ping", front.port()));
    String::from_utf8(curl.output().unwrap().stdout).unwrap() == "200"
}

#[test]
fn callers_of_the_second_front_outlive_the_first() {
    let mut scene = Scene::new(3, false);
    scene.start_instances();
    scene.start_first();
    scene.start_second();
    let [one, two, three] = scene.ports[..] else { panic!() };
    scene.ports.iter().for_each(|port| scene.is(*port, "up"));
    assert_eq!(table(&scene.second).unwrap()["front"], format!("{}#2", scene.first_front));

    // A switch at either front is one of both.
    front(&scene.first, &["off", &one.to_string(), "--why", "from here", "--until", "1h"]);
    scene.is(one, "off");
    let switches =
        [&scene.first, &scene.second].map(|folder| backend(folder, one).unwrap()["switch"].clone());
    assert_eq!(switches[0], switches[1]);
    assert_eq!(switches[1]["why"], "from here");
    front(&scene.second, &["on", &one.to_string()]);
    scene.is(one, "up");
    front(&scene.second, &["drain", &two.to_string(), "--why", "from there"]);
    scene.is(two, "draining");

    // The first front is gone, whole; what runs behind it is not.
    let load = Load::start(scene.second_front);
    load.goes_on(300);
    scene.kill_first();
    load.goes_on(1000);
    front(&scene.second, &["on", &two.to_string()]);
    front(&scene.second, &["off", &three.to_string(), "--why", "while the first was away"]);
    until("that it is said", || {
        table(&scene.second)?["wrong"].to_string().contains("is not heard").then_some(())
    });
    load.goes_on(500);

    // It comes back with what it knew, and learns the rest.
    scene.start_first();
    scene.is(two, "up");
    scene.is(three, "off");
    assert_eq!(backend(&scene.first, three).unwrap()["switch"]["why"], "while the first was away");
    until("that all is well", || {
        (!table(&scene.second)?["wrong"].to_string().contains("is not heard")).then_some(())
    });
    let (asked, failed) = load.end();
    assert!(failed.is_empty(), "{} of {asked} failed: {failed:?}", failed.len());
}

#[test]
fn the_second_front_starts_with_what_it_knew() {
    let mut scene = Scene::new(2, false);
    scene.start_instances();
    scene.start_first();
    scene.start_second();
    let [one, two] = scene.ports[..] else { panic!() };
    front(&scene.first, &["off", &one.to_string(), "--why", "known before"]);
    scene.is(one, "off");
    let mut up = scene.up.take().unwrap();
    up.signal(Signal::SIGTERM);
    assert_eq!(up.ended(), Some(0), "{}", up.said());
    scene.kill_first();

    // Its own configuration names nobody who is there.
    let path = scene.second.join("fleet.toml");
    let text = fs::read_to_string(&path).unwrap();
    let others = support::free_ports(Ipv4Addr::LOCALHOST, 1);
    let text = text.replace(&format!("instances = {:?}", scene.ports), &format!("instances = {others:?}"));
    fs::write(&path, text.replace(&format!("port = {one} }}"), &format!("port = {} }}", others[0]))).unwrap();
    scene.start_second();
    is(&scene.second, one, "off");
    is(&scene.second, two, "up");
    let load = Load::start(scene.second_front);
    load.goes_on(200);
    assert!(load.end().1.is_empty());
}

#[test]
fn instances_come_and_go_at_both_fronts() {
    let mut scene = Scene::new(3, false);
    let late = scene.ports.pop().unwrap();
    scene.start_instances();
    scene.start_first();
    scene.start_second();
    scene.ports.iter().for_each(|port| scene.is(*port, "up"));
    let load = Load::start(scene.second_front);
    load.goes_on(300);
    let arguments = ["instance", "--port", &late.to_string(), "--config", &config(&scene.first)];
    let mut instance = Program::start(switchboard(&arguments));
    instance.says("listening on");
    scene.is(late, "up");
    until("requests at it", || (backend(&scene.second, late)?["requests"].as_u64()? > 50).then_some(()));
    instance.signal(Signal::SIGTERM);
    assert_eq!(instance.ended(), Some(0));
    load.goes_on(300);
    let (asked, failed) = load.end();
    assert!(failed.is_empty(), "{} of {asked} failed: {failed:?}", failed.len());
}

#[test]
fn certificates_reach_the_second_front() {
    let mut scene = Scene::new(2, true);
    // Without the first there is none.
    let refused = run(&["up", "--config", &config(&scene.second)]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("needs the first") && said.lines().count() == 1, "{said}");

    let old = certify(&scene.first);
    scene.start_instances();
    scene.start_first();
    scene.start_second();
    assert!(shows(scene.first_front, &old) && shows(scene.second_front, &old));

    let new = certify(&scene.first);
    until("the new certificate", || shows(scene.second_front, &new).then_some(()));
    assert!(!shows(scene.second_front, &old));
}

#[test]
fn without_the_key_nothing_is_seen() {
    let mut scene = Scene::new(2, false);
    fs::write(scene.second.join("fleet.key"), format!("{}\n", "ab".repeat(32))).unwrap();
    scene.start_instances();
    scene.start_first();
    let [one, _] = scene.ports[..] else { panic!() };
    front(&scene.first, &["off", &one.to_string()]);
    scene.start_second();
    until("that it is said", || {
        let wrong = table(&scene.second)?["wrong"].to_string();
        (wrong.contains("answers 400") && wrong.contains("key_file")).then_some(())
    });
    let state = |folder: &Path| backend(folder, one).map(|backend: Value| backend["state"].clone());
    assert_eq!(state(&scene.first).unwrap(), "off");
    assert_eq!(state(&scene.second).unwrap(), "up");
    let said = scene.control.as_ref().unwrap().said();
    assert!(!said.contains("WARN"), "a stranger is no news: {said}");
}
