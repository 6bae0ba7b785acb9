//! What a worker reports to when the worker is what is measured: it takes every batch and keeps nothing.

use switchboard_fleet::report::{Batch, Taken};

use super::Wire;

/// Serves one connection.
pub(crate) async fn take(mut wire: Wire) -> anyhow::Result<()> {
    let mut body = Vec::new();
    while let Some(request) = wire.request().await? {
        wire.body(request.length, &mut body).await?;
        let batch: Batch = serde_json::from_slice(&body)?;
        let upto = batch.reports.last().map_or(0, |report| report.seq);
        let answer = serde_json::to_vec(&Taken { upto, missing: Vec::new() })?;
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            answer.len()
        );
        wire.send(head.as_bytes(), &answer).await?;
    }
    Ok(())
}
