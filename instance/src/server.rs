//! Connections: accepted, bounded in number, served.

use std::{
    cell::RefCell,
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    task::spawn_local,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

use crate::{
    caller::is_front,
    connection::Connection,
    hub::Hub,
    refusal::Refusal,
    wire::{line::Line, socket::Socket},
};

/// Pause after the system refused to accept, as when files have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// A TLS handshake must be done within this.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// A peer that has been silent for so long is asked whether it is still there.
const PROBE_AFTER: RangeInclusive<Duration> = Duration::from_secs(30)..=Duration::from_secs(60);
/// How often it is asked again.
const PROBE_EVERY: Duration = Duration::from_secs(10);
/// How often it is asked in all.
const PROBES: u32 = 4;

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
    match tls {
        None => {
            spawn_local(Connection::new(hub, Line::new(Socket::Plain(stream), peer.ip(), watched, place)))
        }
        Some(acceptor) => spawn_local(async move {
            if let Ok(Ok(stream)) = timeout(HANDSHAKE_MAX, acceptor.accept(stream)).await {
                let socket = Socket::Tls(Box::new(stream));
                // A task of its own, so that what the handshake needed does not stay.
                spawn_local(Connection::new(hub, Line::new(socket, peer.ip(), watched, place)));
            }
        }),
    };
}

/// The kernel asks a silent peer whether it is still there, so that half-open connections come to an end.
///
/// Not all connections of one age at one moment: what thousands of probes overflow on the way is lost again and again, and
/// live peers with it.
fn keep_alive(stream: &TcpStream) -> std::io::Result<()> {
    let silence = rand::random_range(PROBE_AFTER);
    let probes =
        socket2::TcpKeepalive::new().with_time(silence).with_interval(PROBE_EVERY).with_retries(PROBES);
    let socket = socket2::SockRef::from(stream);
    socket.set_tcp_keepalive(&probes)?;
    // Also for what is sent and never acknowledged. The kernel takes it for probes in place of their number.
    socket.set_tcp_user_timeout(Some(silence + PROBE_EVERY * PROBES))
}

/// Says why in one write that cannot block; over TLS there is no telling without a handshake.
fn refuse(stream: &TcpStream, tls: bool, refusal: &Refusal) {
    if !tls {
        // A fresh socket takes a few bytes at once, or there is nothing to be done for it.
        let _ = socket2::SockRef::from(stream).send(&refusal.to_bytes());
    }
}

/// One open connection of an address, as long as this exists. Nothing, where connections are not counted.
pub(crate) struct Place {
    /// Held for its drop.
    _counted: Option<Box<Counted>>,
}

struct Counted {
    addresses: Addresses,
    address: IpAddr,
}

impl Place {
    /// Of a connection that is not counted.
    pub(crate) fn uncounted() -> Self {
        Self { _counted: None }
    }

    /// `None` if the address has as many as it may.
    fn take(addresses: &Addresses, address: IpAddr, hub: &Hub) -> Option<Self> {
        let most = hub.config.limits.connections_per_address;
        if most == 0 || is_front(address, &hub.config) {
            return Some(Self::uncounted());
        }
        let mut all = addresses.borrow_mut();
        let open = all.entry(address).or_default();
        if *open >= most {
            return None;
        }
        *open += 1;
        Some(Self { _counted: Some(Box::new(Counted { addresses: addresses.clone(), address })) })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut all = self.addresses.borrow_mut();
        if let Some(open) = all.get_mut(&self.address) {
            *open -= 1;
            if *open == 0 {
                all.remove(&self.address);
            }
        }
    }
}
