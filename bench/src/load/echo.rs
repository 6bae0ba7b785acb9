//! What stands behind nginx: a server that answers every request with its body.

use super::Wire;

/// Serves one connection.
pub(crate) async fn echo(mut wire: Wire) -> anyhow::Result<()> {
    let mut body = Vec::new();
    while let Some(request) = wire.request().await? {
        wire.body(request.length, &mut body).await?;
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        wire.send(head.as_bytes(), &body).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::net::TcpListener;

    use super::*;
    use crate::load::{Caller, Expect, StandIn};

    const HEAD: &str = "POST / HTTP/1.1\r\n";

    #[tokio::test]
    async fn bodies_come_back_whole() {
        let echo = StandIn::start(echo).await.unwrap();
        for length in [8, 1024, 100_000, 3 << 20] {
            let mut caller = Caller::open(echo.address(), HEAD, Expect::Echo(length)).await.unwrap();
            for _ in 0..3 {
                caller.call().await.unwrap();
            }
        }
    }

    #[tokio::test]
    async fn an_answer_that_is_not_the_callers_is_found_out() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let mut wire = Wire::new(listener.accept().await.unwrap().0).unwrap();
            let (mut first, mut second) = (Vec::new(), Vec::new());
            let length = wire.request().await.unwrap().unwrap().length;
            wire.body(length, &mut first).await.unwrap();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
            wire.send(head.as_bytes(), &first).await.unwrap();
            wire.request().await.unwrap().unwrap();
            wire.body(length, &mut second).await.unwrap();
            wire.send(head.as_bytes(), &first).await.unwrap();
        });
        let mut caller = Caller::open(address, HEAD, Expect::Echo(64)).await.unwrap();
        caller.call().await.unwrap();
        assert!(caller.call().await.unwrap_err().to_string().contains("a wrong body of 64 bytes"));
        server.await.unwrap();
    }

    #[tokio::test]
    async fn an_answer_without_an_id_is_no_registration() {
        let echo = StandIn::start(echo).await.unwrap();
        let mut caller = Caller::open(echo.address(), HEAD, Expect::Customer).await.unwrap();
        assert!(caller.call().await.is_err());
    }
}
