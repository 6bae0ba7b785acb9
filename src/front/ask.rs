//! Questions to the controller of this server's front, by its socket.

use std::{path::Path, time::Duration};

use anyhow::{Context, anyhow, bail};
use http::{Method, Request, StatusCode, header::HOST};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use switchboard_fleet::{
    config::Config,
    front::{Done, Order, Table},
};
use tokio::{net::UnixStream, runtime::Builder, time::timeout};

/// How long the controller may take; without the module a switch is a reload of nginx.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Whether a controller runs here.
pub(super) fn is_there(config: &Config) -> bool {
    std::os::unix::net::UnixStream::connect(config.controller_socket()).is_ok()
}

/// How things are.
pub(super) fn table(config: &Config) -> anyhow::Result<Table> {
    let (status, body) = call(config, Method::GET, "/upstreams", Bytes::new())?;
    if status != StatusCode::OK {
        bail!("the controller answers {status}: {}", String::from_utf8_lossy(&body).trim());
    }
    serde_json::from_slice(&body).context("the controller's answer cannot be read: is it of another version?")
}

/// Has an order carried out.
pub(super) fn order(config: &Config, order: &Order) -> anyhow::Result<String> {
    let (status, body) = call(config, Method::POST, "/orders", serde_json::to_vec(order)?.into())?;
    let done: Done = serde_json::from_slice(&body)
        .map_err(|_| anyhow!("the controller answers {status}: {}", String::from_utf8_lossy(&body).trim()))?;
    Ok(done.outcome?)
}

fn call(config: &Config, method: Method, path: &str, body: Bytes) -> anyhow::Result<(StatusCode, Bytes)> {
    let socket = config.controller_socket();
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let answer = runtime.block_on(async { timeout(ANSWER_WITHIN, ask(&socket, method, path, body)).await });
    answer.unwrap_or_else(|_| Err(anyhow!("no answer within {} s", ANSWER_WITHIN.as_secs()))).with_context(
        || {
            format!(
                "{}: the front's controller does not answer; look at what `switchboard up` prints",
                socket.display()
            )
        },
    )
}

async fn ask(socket: &Path, method: Method, path: &str, body: Bytes) -> anyhow::Result<(StatusCode, Bytes)> {
    let stream = UnixStream::connect(socket).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request =
        Request::builder().method(method).uri(path).header(HOST, "localhost").body(Full::new(body))?;
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = Limited::new(body, Table::BYTES_MAX).collect().await.map_err(anyhow::Error::from_boxed)?;
    Ok((head.status, body.to_bytes()))
}
