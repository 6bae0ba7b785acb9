//! The measure of the HTTP library: a bare server of hyper, which sends every body back, as a process of its own.

use std::{
    convert::Infallible,
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::Context;
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, runtime::Builder, sync::oneshot, task::spawn_local};

use crate::cpu;

/// What comes before the address in the line that says that it listens.
const LISTENING: &str = "listening on ";

/// A running bare server; ended when dropped.
pub(crate) struct Plain {
    process: Child,
    address: SocketAddr,
}

impl Plain {
    /// Starts this program again as a bare server on a free port.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg("serve-plain")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("the bare server cannot be started")?;
        let stdout = process.stdout.take().context("the bare server has no standard output")?;
        let mut plain = Self { process, address: (Ipv4Addr::LOCALHOST, 0).into() };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line.trim_end().strip_prefix(LISTENING).and_then(|address| address.parse().ok());
        plain.address = address.context("the bare server does not start; what it said is above")?;
        Ok(plain)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The CPU time that it has used.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        cpu::of_process(self.process.id())
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Serves until standard input ends, as it does when the process that started this one is gone. One thread, as an instance has.
pub(crate) fn serve() -> anyhow::Result<()> {
    let (held, gone) = oneshot::channel::<()>();
    thread::spawn(move || {
        let _ = io::copy(&mut io::stdin().lock().by_ref(), &mut io::sink());
        drop(held);
    });
    let runtime = Builder::new_current_thread().enable_all().build_local(Default::default())?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        writeln!(io::stdout(), "{LISTENING}{}", listener.local_addr()?)?;
        tokio::select! {
            ended = accept(listener) => ended,
            _ = gone => Ok(()),
        }
    })
}

async fn accept(listener: TcpListener) -> anyhow::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        // It ends with its connection; whatever ends that, the caller sees and tells.
        spawn_local(http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(echo)));
    }
}

/// What hyper has read it writes, with the length that the request had.
async fn echo(request: Request<Incoming>) -> Result<Response<Incoming>, Infallible> {
    Ok(Response::new(request.into_body()))
}
