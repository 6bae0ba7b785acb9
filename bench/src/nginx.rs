//! The measure: nginx with one worker, answering by itself and proxying without buffers.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

use crate::{cpu, serve::free_port};

/// nginx is up, or down, within this.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked whether nginx is up.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The path that nginx answers by itself.
pub(crate) const ANSWERED: &str = "/answered";
/// The same with a body of [`GIVEN_BYTES`].
pub(crate) const GIVEN: &str = "/given";
/// Bytes of that body.
pub(crate) const GIVEN_BYTES: usize = 1 << 10;
/// The path that nginx hands on.
pub(crate) const PROXIED: &str = "/proxied";

/// A running nginx; ended when dropped.
pub(crate) struct Nginx {
    master: Child,
    address: SocketAddr,
    version: String,
    _folder: TempDir,
}

impl Nginx {
    /// Starts nginx in a folder of its own, with `upstream` behind it.
    pub(crate) fn start(program: &Path, upstream: SocketAddr) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        fs::write(folder.path().join("nginx.conf"), configuration(address, upstream))?;
        // nginx must not outlive this program, however that ends.
        let master = Command::new("setpriv")
            .args(["--pdeathsig", "TERM", "--"])
            .arg(program)
            .arg("-p")
            .arg(folder.path())
            .args(["-c", "nginx.conf", "-e", "error.log"])
            .stdin(Stdio::null())
            .spawn()
            .context(
                "setpriv, which is to start nginx, cannot be run; install Debian's package util-linux",
            )?;
        let mut nginx = Self { master, address, version: version(program)?, _folder: folder };
        nginx.until_up()?;
        Ok(nginx)
    }

    fn until_up(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(self.address).is_err() {
            if let Some(status) = self.master.try_wait()? {
                bail!("{}: nginx does not start ({status}); what it said is above", self.address);
            }
            if Instant::now() > deadline {
                bail!("{}: nginx does not answer after {PATIENCE:?}", self.address);
            }
            thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its version, such as `1.22.1`.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// The CPU time that master and worker have used.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        cpu::of_family(self.master.id())
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // The master takes its worker along when it is asked, not when it is killed.
        let _ = kill(Pid::from_raw(self.master.id().cast_signed()), Signal::SIGTERM);
        let _ = self.master.wait();
    }
}

fn version(program: &Path) -> anyhow::Result<String> {
    let said = Command::new(program).arg("-v").output()?.stderr;
    let text = String::from_utf8_lossy(&said);
    Ok(text.trim().rsplit('/').next().unwrap_or_default().to_owned())
}

/// One worker; connections that never end by count; buffers as large as the instance's.
fn configuration(address: SocketAddr, upstream: SocketAddr) -> String {
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("    {kind}_temp_path {kind};\n"))
        .concat();
    let given = "x".repeat(GIVEN_BYTES);
    format!(
        "daemon off;
worker_processes 1;
pid nginx.pid;
events {{
    worker_connections 1024;
}}
http {{
{temporary}    access_log off;
    keepalive_requests 1000000000;
    client_max_body_size 0;
    client_body_buffer_size 64k;
    client_header_buffer_size 4k;
    upstream echo {{
        server {upstream};
        keepalive 128;
        keepalive_requests 1000000000;
    }}
    server {{
        listen {address} backlog=4096;
        location = {ANSWERED} {{
            return 200;
        }}
        location = {GIVEN} {{
            return 200 \"{given}\";
        }}
        location = {PROXIED} {{
            proxy_pass http://echo;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_request_buffering off;
            proxy_buffering off;
            proxy_buffer_size 64k;
            proxy_buffers 4 64k;
        }}
    }}
}}
"
    )
}
