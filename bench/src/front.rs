//! A front under load: nginx as it is rendered for a server, and that server's controller.

use std::{
    ffi::OsStr,
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process,
    time::Duration,
};

use anyhow::{Context, bail};
use serde::Deserialize;
use switchboard_fleet::{
    KeyRing,
    config::{Config, load},
    front::{Done, Member, Order},
};
use switchboard_nginx::UPSTREAM;
use tempfile::TempDir;
use tokio::{net::UnixStream, process::Child};

use crate::{cpu, load::Wire, program::Program, serve::free_port};

/// What `scripts/module.sh` makes.
const MODULE: &str = "ngx_http_switchboard_module.so";

/// A running front; ended when dropped.
pub(crate) struct Front {
    // Before nginx, so that it does not see nginx go.
    _controller: Option<Child>,
    nginx: Nginx,
    config: Config,
    _folder: TempDir,
}

/// What stands in the configuration besides the defaults.
pub(crate) struct Plan<'a> {
    /// The instances.
    pub(crate) ports: &'a [u16],
    /// Places for more.
    pub(crate) spare: usize,
    /// The module; without it, nginx is the stock one, and has no controller.
    pub(crate) module: Option<&'a Path>,
}

/// How nginx's module says that a backend does.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Counted {
    /// Its state in a word.
    pub(crate) state: String,
    /// Requests that were sent there, refused ones too.
    pub(crate) requests: u64,
    /// Connections that were refused.
    pub(crate) connect_errors: u64,
    /// After so many failures nginx itself takes it out; 0: never, as long as a controller holds the lease.
    pub(crate) max_fails: u64,
}

/// The module, if it was built.
pub(crate) fn module() -> anyhow::Result<Option<PathBuf>> {
    let program = std::env::current_exe()?;
    let beside = program.parent().context("a program in no folder")?;
    let places = [beside.join(MODULE), beside.with_file_name("module").join(MODULE)];
    Ok(places.into_iter().find(|file| file.is_file()))
}

impl Front {
    /// Starts nginx, and with the module the controller too; both are up when this returns.
    pub(crate) async fn start(plan: &Plan<'_>) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("fleet.toml");
        fs::write(&file, configuration(plan, folder.path())?)?;
        let config = load(&file)?;
        KeyRing::create(&config.key_file, rand::random())?;
        let nginx = Nginx::start(&config)?;
        let controller = match plan.module {
            Some(_) => {
                let program = Program::beside("switchboard", folder.path())?;
                let arguments = ["front", "control", "--config"].map(OsStr::new);
                Some(program.start(arguments.into_iter().chain([file.as_os_str()])).await?)
            }
            None => None,
        };
        Ok(Self { _controller: controller, nginx, config, _folder: folder })
    }

    /// Where nginx listens.
    pub(crate) fn address(&self) -> anyhow::Result<SocketAddr> {
        self.config.front.listen.first().copied().context("nginx listens nowhere")
    }

    /// The CPU time that nginx has used, all its processes together.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        cpu::of_family(self.nginx.pid)
    }

    /// nginx's processes: others after a reload.
    pub(crate) fn workers(&self) -> anyhow::Result<Vec<u32>> {
        cpu::children(self.nginx.pid)
    }

    /// A connection to nginx's control socket.
    pub(crate) async fn counts(&self) -> anyhow::Result<Counts> {
        Ok(Counts(Wire::open_socket(&self.config.front.control).await?))
    }

    /// The instance at `port` says that it is there.
    pub(crate) async fn join(&self, port: u16) -> anyhow::Result<()> {
        self.tell("/join", &serde_json::to_vec(&Member { port, pid: process::id() })?).await.map(drop)
    }

    /// Gives an order, and returns when it is carried out.
    pub(crate) async fn order(&self, order: &Order) -> anyhow::Result<()> {
        let answer = self.tell("/orders", &serde_json::to_vec(order)?).await?;
        let done: Done = serde_json::from_slice(&answer).context("the controller's answer is none")?;
        done.outcome?;
        Ok(())
    }

    /// POSTs to the controller, as instances and `switchboard front` do: each time over a new connection.
    async fn tell(&self, path: &str, body: &[u8]) -> anyhow::Result<Vec<u8>> {
        let mut wire = Wire::open_socket(&self.config.controller_socket()).await?;
        ask(&mut wire, "POST", path, body).await
    }
}

/// A connection on which nginx's module is asked.
pub(crate) struct Counts(Wire<UnixStream>);

impl Counts {
    /// What the module counts of the backend at `port`.
    pub(crate) async fn of(&mut self, port: u16) -> anyhow::Result<Counted> {
        let path = format!("/backends?u={UPSTREAM}&b=127.0.0.1:{port}");
        let answer = ask(&mut self.0, "GET", &path, &[]).await?;
        serde_json::from_slice(&answer).context("the module's answer is none")
    }
}

async fn ask(wire: &mut Wire<UnixStream>, method: &str, path: &str, body: &[u8]) -> anyhow::Result<Vec<u8>> {
    let head =
        format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", body.len());
    wire.send(head.as_bytes(), body).await?;
    let head = wire.answer().await?;
    let mut answer = Vec::new();
    wire.body(head.length, &mut answer).await?;
    if !(200..300).contains(&head.status) {
        bail!("status {} to {path}: {}", head.status, String::from_utf8_lossy(&answer));
    }
    Ok(answer)
}

/// nginx with the configuration that is rendered for a server.
struct Nginx {
    pid: u32,
    process: Option<process::Child>,
}

impl Nginx {
    fn start(config: &Config) -> anyhow::Result<Self> {
        let files = switchboard_nginx::Front::new(config)?;
        let applied = files.apply(config)?;
        let process = files.start(config, applied.generation)?;
        Ok(Self { pid: process.id(), process: Some(process) })
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        self.process.take().into_iter().for_each(switchboard_nginx::Front::end);
    }
}

fn configuration(plan: &Plan<'_>, folder: &Path) -> anyhow::Result<String> {
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
    let first = plan.ports.first().context("no instance")?;
    let module = plan.module.map_or("none".into(), Path::to_string_lossy);
    Ok(format!(
        "server = \"{listen}\"
instances = {ports:?}
master = {{ server = \"{listen}\", port = {first} }}
state_dir = \"{folder}\"
[front]
listen = [\"{listen}\"]
control = \"{folder}/front.sock\"
module = \"{module}\"
spare = {spare}
[monitor]
run = false
",
        ports = plan.ports,
        folder = folder.display(),
        spare = plan.spare,
    ))
}
