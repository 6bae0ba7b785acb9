//! Tells the controller of this server's front that this instance is there, and when it leaves.
//!
//! An instance serves without front and controller: whoever is not there is not told.

use std::{io, path::Path, rc::Rc, time::Duration};

use bytes::Bytes;
use http::{Method, Request, StatusCode, header::HOST};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use switchboard_fleet::front::Member;
use tokio::{
    net::UnixStream,
    task::spawn_local,
    time::{sleep, timeout},
};

use crate::hub::Hub;

/// How often it is said that the instance is there.
const SAID_EVERY: Duration = Duration::from_secs(5);
/// How soon it is said again if nobody was there to hear it.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// The controller answers within this, or is not waited for.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Says that the instance is there; when this returns, the front sends it requests, unless there is no controller.
pub(crate) async fn join(hub: &Hub) {
    // It is said again by whoever keeps saying it.
    let _ = call(hub, "/join").await;
}

/// Says it again and again, as a controller that was started anew knows nothing.
pub(crate) async fn join_forever(hub: Rc<Hub>) {
    loop {
        let said = call(&hub, "/join").await;
        sleep(if said.is_ok() { SAID_EVERY } else { AGAIN_AFTER }).await;
    }
}

/// Says that the instance leaves; when this returns, the front sends it nobody new, unless there is no controller.
pub(crate) async fn leave(hub: &Hub) {
    match call(hub, "/leave").await {
        Ok(()) => tracing::debug!("the front sends nobody new"),
        // The front finds out by itself, at the price of a refused connection.
        Err(error) => tracing::debug!(%error, "no controller of a front was told"),
    }
}

async fn call(hub: &Hub, path: &str) -> io::Result<()> {
    let member = Member { port: hub.own.port, pid: std::process::id() };
    let socket = hub.config.controller_socket();
    let answer = timeout(ANSWER_WITHIN, post(&socket, path, &member)).await;
    match answer.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?? {
        status if status.is_success() => Ok(()),
        status => Err(io::Error::other(format!("the controller answered {status}"))),
    }
}

async fn post(socket: &Path, path: &str, member: &Member) -> io::Result<StatusCode> {
    let stream = UnixStream::connect(socket).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    // Ends with the answer, as `sender` does then.
    spawn_local(connection);
    let request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(HOST, "localhost")
        .body(Full::new(Bytes::from(serde_json::to_vec(member)?)))
        .map_err(io::Error::other)?;
    let answer = sender.send_request(request).await.map_err(io::Error::other)?;
    Ok(answer.status())
}
