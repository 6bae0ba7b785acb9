//! Connections: accepted, bounded in number, put under guard, served, ended.

use std::{
    cell::RefCell,
    collections::HashMap,
    future::poll_fn,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use http::StatusCode;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

use crate::{
    caller::is_front,
    framing::HeadLimits,
    guarded::{HasSocket, Refused, Shared},
    hub::Hub,
    refusal::Refusal,
    service::Connection,
    watch::{Expired, Watched},
};

/// Pause after the system refused to accept, as when files have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// A TLS handshake must be done within this.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// After the last answer, what the peer still sends is read so long, so that it gets to read the answer.
const LINGER_MAX: Duration = Duration::from_secs(2);

/// Open connections by address, the front's left out.
type Addresses = Rc<RefCell<HashMap<IpAddr, usize>>>;

/// Accepts connections until it is dropped.
pub(crate) async fn accept_forever(
    hub: Rc<Hub>,
    listener: TcpListener,
    tls: Option<Arc<rustls::ServerConfig>>,
) {
    let acceptor = tls.map(TlsAcceptor::from);
    let addresses = Addresses::default();
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => admit(&hub, stream, peer, acceptor.clone(), &addresses),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves a new connection in a task of its own, or refuses it at once.
fn admit(
    hub: &Rc<Hub>,
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
    addresses: &Addresses,
) {
    let limits = &hub.config.limits;
    if hub.watches.len() >= limits.connections {
        return refuse(&stream, tls.is_some(), &Refusal::busy("too many connections"));
    }
    let Some(place) = Place::take(addresses, peer.ip(), hub) else {
        return refuse(&stream, tls.is_some(), &Refusal::busy("too many connections from this address"));
    };
    // A connection without these options still works.
    let _ = stream.set_nodelay(true);
    let _ = keep_alive(&stream);
    // Counted from here on, not when its task first runs: a burst must not slip through.
    let watched = hub.watches.add();
    let hub = hub.clone();
    // Owned by the sweep: it ends every connection that does nothing, and all of them at the end.
    tokio::task::spawn_local(async move {
        let _place = place;
        match tls {
            None => serve(hub, stream, peer.ip(), watched).await,
            // Boxed, so that a plain connection's task has not the size of one with TLS.
            Some(acceptor) => Box::pin(serve_tls(hub, acceptor, stream, peer.ip(), watched)).await,
        }
    });
}

/// The kernel asks a silent peer whether it is still there, so that half-open connections come to an end.
fn keep_alive(stream: &TcpStream) -> std::io::Result<()> {
    let probes = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(30))
        .with_interval(Duration::from_secs(10))
        .with_retries(3);
    let socket = socket2::SockRef::from(stream);
    socket.set_tcp_keepalive(&probes)?;
    socket.set_tcp_user_timeout(Some(Duration::from_secs(60)))
}

/// Says why in one write that cannot block; over TLS there is no telling without a handshake.
fn refuse(stream: &TcpStream, tls: bool, refusal: &Refusal) {
    if !tls {
        // A fresh socket takes a few bytes at once, or there is nothing to be done for it.
        let _ = socket2::SockRef::from(stream).send(&refusal.to_bytes());
    }
}

/// One open connection of an address.
struct Place {
    addresses: Addresses,
    address: Option<IpAddr>,
}

impl Place {
    fn take(addresses: &Addresses, address: IpAddr, hub: &Hub) -> Option<Self> {
        let most = hub.config.limits.connections_per_address;
        if most == 0 || is_front(address, &hub.config) {
            return Some(Self { addresses: addresses.clone(), address: None });
        }
        let mut all = addresses.borrow_mut();
        let open = all.entry(address).or_default();
        if *open >= most {
            return None;
        }
        *open += 1;
        Some(Self { addresses: addresses.clone(), address: Some(address) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(address) = self.address else { return };
        let mut all = self.addresses.borrow_mut();
        if let Some(open) = all.get_mut(&address) {
            *open -= 1;
            if *open == 0 {
                all.remove(&address);
            }
        }
    }
}

async fn serve_tls(hub: Rc<Hub>, acceptor: TlsAcceptor, stream: TcpStream, socket: IpAddr, watched: Watched) {
    if let Ok(Ok(stream)) = timeout(HANDSHAKE_MAX, acceptor.accept(stream)).await {
        serve(hub, stream, socket, watched).await;
    }
}

/// Serves one connection to its end.
async fn serve<S: AsyncRead + AsyncWrite + HasSocket + Unpin + 'static>(
    hub: Rc<Hub>,
    stream: S,
    socket: IpAddr,
    watched: Watched,
) {
    let watch = watched.watch.clone();
    let limits = &hub.config.limits;
    let bounds = HeadLimits { bytes: limits.header_bytes, headers: limits.headers };
    let mut guarded = Shared::new(stream, bounds, watch.clone());
    let service =
        Connection { hub: hub.clone(), socket, watch: watch.clone(), peer: Rc::new(guarded.clone()) };
    let mut connection = http1::Builder::new()
        .max_buf_size(limits.buffer_bytes.max(limits.header_bytes))
        .max_headers(limits.headers)
        .timer(TokioTimer::new())
        // The guard has the limits and the times: the library would answer without a reason.
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(guarded.clone()), service);
    let mut draining = false;
    let end = poll_fn(|cx| {
        if let Some(expired) = watch.expired(cx.waker()) {
            return Poll::Ready(End::Expired(expired));
        }
        if watch.draining() && !draining {
            draining = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
        connection.poll_without_shutdown(cx).map(|done| if done.is_ok() { End::Done } else { End::Broken })
    })
    .await;
    drop(connection);
    let last_word = last_word(&end, guarded.take_verdict(), guarded.answering());
    close(&mut guarded, end, last_word).await;
}

/// How serving a connection came to its end.
enum End {
    /// The last answer has been sent, or the peer has gone.
    Done,
    /// What the peer sent, or a body on its way to it, is broken.
    Broken,
    Expired(Expired),
}

/// What is still to be said to a peer whose bytes never became a request.
fn last_word(end: &End, refused: Option<Refused>, answering: bool) -> Option<Refusal> {
    match (end, refused) {
        (_, Some(refused)) => Some(refused.refusal).filter(|_| refused.can_answer && !answering),
        (End::Expired(Expired::Head), None) if !answering => {
            Some(Refusal::new(StatusCode::REQUEST_TIMEOUT, "the head did not arrive in time"))
        }
        _ => None,
    }
}

/// Ends a connection so that the peer gets to read what was said last; where a body broke it is cut at once.
async fn close(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), end: End, last_word: Option<Refusal>) {
    let orderly = matches!(end, End::Done) || last_word.is_some();
    if !orderly {
        return;
    }
    let say = async {
        if let Some(refusal) = last_word {
            stream.write_all(&refusal.to_bytes()).await?;
        }
        stream.shutdown().await?;
        // On the heap: every connection's task would carry it through its whole life otherwise.
        let mut unwanted = vec![0; 8192];
        while stream.read(&mut unwanted).await? > 0 {}
        std::io::Result::Ok(())
    };
    // The peer has gone, or does not stop sending: either way this was the last of it.
    let _ = timeout(LINGER_MAX, say).await;
}
