//! Connections: accepted, bounded in number, served.

use std::{
    cell::RefCell,
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

use crate::{
    caller::is_front,
    connection::serve,
    hub::Hub,
    refusal::Refusal,
    wire::{line::Line, socket::Socket},
};

/// Pause after the system refused to accept, as when files have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// A TLS handshake must be done within this.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
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
    if hub.lines.len() >= limits.connections {
        return refuse(&stream, tls.is_some(), &Refusal::busy("too many connections"));
    }
    let Some(place) = Place::take(addresses, peer.ip(), hub) else {
        return refuse(&stream, tls.is_some(), &Refusal::busy("too many connections from this address"));
    };
    // A connection without these options still works.
    let _ = stream.set_nodelay(true);
    let _ = keep_alive(&stream);
    // Counted from here on, not when its task first runs: a burst must not slip through.
    let watched = hub.lines.add();
    let hub = hub.clone();
    // Owned by the sweep: it ends every connection that does nothing, and all of them at the end.
    tokio::task::spawn_local(async move {
        let _place = place;
        let socket = match tls {
            None => Socket::Plain(stream),
            // Boxed, so that a plain connection's task has not the size of one with TLS.
            Some(acceptor) => match Box::pin(timeout(HANDSHAKE_MAX, acceptor.accept(stream))).await {
                Ok(Ok(stream)) => Socket::Tls(Box::new(stream)),
                _ => return,
            },
        };
        serve(hub, Line::new(socket, peer.ip(), watched)).await;
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
