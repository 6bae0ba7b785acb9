//! Another program that carries what is behind NAT: rathole, its server and its client, with a service behind the client.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use tempfile::TempDir;
use tokio::time::sleep;

use crate::{
    cpu,
    load::{Caller, Expect},
    machine,
    serve::free_port,
};

/// The service is reached within this.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often it is looked whether it is.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// What `scripts/rathole.sh` installs, from the folder that has this program's.
const INSTALLED: &str = "tools/bin/rathole";

/// A running rathole; ended when dropped.
pub(crate) struct Rathole {
    server: Half,
    client: Half,
    address: SocketAddr,
    _folder: TempDir,
}

/// Where rathole is, if it is installed.
pub(crate) fn find() -> anyhow::Result<Option<PathBuf>> {
    let program = std::env::current_exe()?;
    let target = program.parent().and_then(Path::parent).context("a program in no folder")?;
    let installed = target.join(INSTALLED);
    Ok(if installed.is_file() { Some(installed) } else { machine::find("rathole") })
}

/// Its version, such as `0.5.0`.
pub(crate) fn version(program: &Path) -> anyhow::Result<String> {
    let said = Command::new(program).arg("--version").output()?.stdout;
    let said = String::from_utf8_lossy(&said);
    let version = said.lines().find_map(|line| line.strip_prefix("Build Version:"));
    Ok(version.unwrap_or_default().trim().to_owned())
}

impl Rathole {
    /// Starts both, with `service` behind the client; it is reached when this returns.
    pub(crate) async fn start(program: &Path, service: SocketAddr) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let (meeting, address) = (local(free_port()?), local(free_port()?));
        let file = |name: &str, text: String| -> anyhow::Result<PathBuf> {
            let path = folder.path().join(name);
            fs::write(&path, text)?;
            Ok(path)
        };
        let part = |kind: &str, one: String, two: String| {
            format!(
                "[{kind}]\n{one}\ndefault_token = \"bench\"\n[{kind}.services.echo]\n{two}\nnodelay = true\n"
            )
        };
        let server =
            part("server", format!("bind_addr = \"{meeting}\""), format!("bind_addr = \"{address}\""));
        let client =
            part("client", format!("remote_addr = \"{meeting}\""), format!("local_addr = \"{service}\""));
        let server = Half(run(program, "--server", &file("server.toml", server)?)?);
        let client = Half(run(program, "--client", &file("client.toml", client)?)?);
        let mut both = Self { server, client, address, _folder: folder };
        both.until_reached().await?;
        Ok(both)
    }

    async fn until_reached(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let reached = async {
                let head = "POST / HTTP/1.1\r\n";
                Caller::open(self.address, head, Expect::Done).await?.call().await
            };
            match reached.await {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() > deadline => {
                    return Err(error.context(format!("rathole: nothing is reached after {PATIENCE:?}")));
                }
                Err(_) => {}
            }
            for half in [&mut self.server, &mut self.client] {
                if let Some(status) = half.0.try_wait()? {
                    bail!("rathole does not start ({status}); what it said is above");
                }
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Where the service is reached.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The CPU time that the server has used, and that both have.
    pub(crate) fn cpu(&self) -> anyhow::Result<[Duration; 2]> {
        let [server, client] = [&self.server, &self.client].map(|half| cpu::of_process(half.0.id()));
        let (server, client) = (server?, client?);
        Ok([server, server + client])
    }
}

/// One of the two processes; ended when dropped.
struct Half(Child);

impl Drop for Half {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// As it comes, but that it logs nothing.
fn run(program: &Path, kind: &str, file: &Path) -> anyhow::Result<Child> {
    // It must not outlive this program, however that ends.
    Command::new("setpriv")
        .args(["--pdeathsig", "TERM", "--"])
        .arg(program)
        .arg(kind)
        .arg(file)
        .env("RUST_LOG", "off")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .context("setpriv, which is to start rathole, cannot be run; install Debian's package util-linux")
}
