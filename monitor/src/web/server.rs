//! Connections: accepted within bounds, each with deadlines.

use std::{sync::Arc, time::Duration};

use crate::{admission::Caller, web::shares::Shares};
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, oneshot},
    time::{sleep, timeout},
};

/// Open connections: 1,000 instances keep one each, and there is room for readers of pages.
const CONNECTIONS_MAX: usize = 4096;
/// A head must have arrived within this.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// A pause after a failure to accept, which may last.
const PAUSE: Duration = Duration::from_millis(100);
/// Answers that are under way at the end get so long.
const ENDING: Duration = Duration::from_secs(1);

/// Accepts until `ended`; then what runs is finished.
pub(super) async fn serve(listener: TcpListener, router: Router, mut ended: oneshot::Receiver<()>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let graceful = GracefulShutdown::new();
    let shares = Shares::default();
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(_) => {
                    sleep(PAUSE).await;
                    continue;
                }
            },
            _ = &mut ended => break,
        };
        let _ = stream.set_nodelay(true);
        let Ok(own) = stream.local_addr() else { continue };
        let caller = Caller { peer: peer.ip(), own: own.ip() };
        let Some(share) = shares.take(caller.peer) else { continue };
        let service = TowerToHyperService::new(router.clone().layer(Extension(caller)));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_WITHIN)
            .serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // Whoever hangs up has what it wanted.
            let _ = connection.await;
            drop((place, share));
        });
    }
    let _ = timeout(ENDING, graceful.shutdown()).await;
}
