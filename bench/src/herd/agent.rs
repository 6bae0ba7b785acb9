//! One agent: it says hello once, and then polls for ever.

use std::convert::Infallible;

use anyhow::{Context, bail};
use tokio::sync::OwnedSemaphorePermit;

use super::Herd;
use crate::load::Wire;

/// The agent number `number` of the herd. `place` is given back when its first poll is on its way.
///
/// A task without a buffer while the poll is parked, which is nearly always: there are very many.
///
/// # Errors
/// The connection failed, or an answer is not what it must be.
pub(super) async fn live(
    herd: &Herd,
    number: u64,
    place: OwnedSemaphorePermit,
) -> anyhow::Result<Infallible> {
    let id = herd.job.first + number;
    let mut wire = Box::pin(hello(herd, number, id)).await?;
    let mut place = Some(place);
    loop {
        Box::pin(poll(herd, &mut wire, id)).await?;
        drop(place.take());
        wire.doze().await?;
        Box::pin(serve(herd, &mut wire, id)).await?;
    }
}

/// Connects, and tells the instance that the agent is with it.
async fn hello(herd: &Herd, number: u64, id: u64) -> anyhow::Result<Wire> {
    let mut wire = Wire::open_from(herd.source(number), herd.address).await?;
    wire.send(format!("{}Content-Length: 0\r\n\r\n", herd.head("connect", id)?).as_bytes(), &[]).await?;
    let answer = wire.answer().await.context("/connect")?;
    wire.body(answer.length, &mut Vec::new()).await?;
    if answer.status != 200 {
        bail!("status {} to /connect", answer.status);
    }
    Ok(wire)
}

async fn poll(herd: &Herd, wire: &mut Wire, id: u64) -> anyhow::Result<()> {
    let head = herd.head(&format!("agent/{}", herd.job.port), id)?;
    Ok(wire.send(format!("{head}Content-Length: 0\r\n\r\n").as_bytes(), &[]).await?)
}

/// Takes what the poll is answered with: an app's request, which is echoed, or nothing.
async fn serve(herd: &Herd, wire: &mut Wire, id: u64) -> anyhow::Result<()> {
    let mut body = Vec::new();
    let request = wire.answer().await.context("a poll")?;
    wire.body(request.length, &mut body).await?;
    if request.status != 200 {
        bail!("status {} to a poll", request.status);
    }
    if request.nobody {
        return Ok(());
    }
    let request_id = request.request_id.context("a request without X-IWP-RequestId")?;
    let head = format!(
        "{}X-iwp-responsecode: 200\r\nX-IWP-RequestId: {request_id}\r\nContent-Length: {}\r\n\r\n",
        herd.head(&format!("agentreply/{}", herd.job.port), id)?,
        body.len()
    );
    herd.replies.send(&head, &body).await.context("a reply")
}
