//! nginx's upstreams and their peers, explicit and implicit, as one configuration has them.

use nginx_sys::{
    NGX_HTTP_UPSTREAM_CREATE, ngx_http_request_t, ngx_http_upstream_rr_peer_t, ngx_http_upstream_rr_peers_t,
    ngx_http_upstream_srv_conf_t, ngx_int_t, ngx_str_t,
};
use std::{
    cell::{Cell, RefCell},
    collections::HashSet,
    ffi::CStr,
    net::{Ipv4Addr, SocketAddr},
};
use switchboard_counts::{Configured, Key, Part, Place, Ports, Record};

use crate::{
    address, owned,
    shared::{Claims, Shared},
    value::Value,
};

/// How an upstream begins a request.
pub(crate) type Init =
    unsafe extern "C" fn(*mut ngx_http_request_t, *mut ngx_http_upstream_srv_conf_t) -> ngx_int_t;

/// One upstream.
pub(crate) struct Upstream {
    conf: *mut ngx_http_upstream_srv_conf_t,
    /// How it begins a request without this module.
    pub(crate) init: Init,
    pub(crate) name: String,
    /// Its name in a fixed size.
    pub(crate) number: u64,
    /// Made by a bare `proxy_pass http://address`.
    pub(crate) implicit: bool,
    /// Where in the configuration.
    pub(crate) file: String,
    pub(crate) line: usize,
    /// Its peers are in nginx's shared memory, so the same for all workers.
    pub(crate) zone: bool,
    /// What says which backend a request means, if it has `switchboard_route`.
    pub(crate) route: Option<Value>,
    /// What says that the times of a request are not noted.
    pub(crate) untimed: Option<Value>,
    /// For what concerns no single backend.
    pub(crate) record: Option<u32>,
    pub(crate) backends: Vec<Backend>,
    /// The backends by their ports; only with a route.
    pub(crate) ports: RefCell<Ports>,
    /// The moves that this process has seen in the slots.
    pub(crate) seated: Cell<u64>,
    /// nginx names the backend of a request by a pointer to its name: those pointers in their order, and where in
    /// `backends` they lead.
    names: Vec<(usize, u32)>,
}

/// One peer of an upstream.
pub(crate) struct Backend {
    pub(crate) peers: *mut ngx_http_upstream_rr_peers_t,
    pub(crate) peer: *mut ngx_http_upstream_rr_peer_t,
    pub(crate) configured: Configured,
    /// The name in the configuration, which may stand for several addresses.
    pub(crate) server: String,
    pub(crate) backup: bool,
    /// Not one more line with an address that was there before: those share a record.
    pub(crate) first: bool,
    /// Of a slot they change with who has it; it has no record while nobody does.
    pub(crate) record: Cell<Option<u32>>,
    pub(crate) name: RefCell<String>,
    pub(crate) address: Cell<Option<SocketAddr>>,
}

impl Upstream {
    /// Puts `init` in the place of how `conf` begins a request; `None` if it never does.
    ///
    /// # Safety
    /// `conf` is nginx's, the configuration is being taken up, and what is returned ends with it.
    pub(crate) unsafe fn wrap(conf: *mut ngx_http_upstream_srv_conf_t, init: Init) -> Option<Self> {
        // SAFETY: the caller's promise; strings are nginx's and whole, the file's name ends with 0.
        unsafe {
            let original = (*conf).peer.init.replace(init);
            if original.is_none() {
                (*conf).peer.init = None;
            }
            let mut name = owned(&(*conf).host);
            if (*conf).port > 0 && (*conf).no_port == 0 {
                name = format!("{name}:{}", (*conf).port);
            }
            let file = (*conf).file_name;
            let file = if file.is_null() { c"" } else { CStr::from_ptr(file.cast()) };
            Some(Self {
                conf,
                init: original?,
                number: Place::upstream(&name),
                name,
                implicit: (*conf).flags & NGX_HTTP_UPSTREAM_CREATE as usize == 0,
                file: file.to_string_lossy().into_owned(),
                line: (*conf).line,
                zone: false,
                route: None,
                untimed: None,
                record: None,
                backends: Vec::new(),
                ports: RefCell::default(),
                seated: Cell::new(u64::MAX),
                names: Vec::new(),
            })
        }
    }

    /// What nginx knows it by.
    pub(crate) fn id(&self) -> usize {
        self.conf as usize
    }

    /// Walks the peers and takes a record for each; says how many found no room.
    ///
    /// # Safety
    /// nginx has made the peers, and they change no more until the configuration ends.
    pub(crate) unsafe fn bind(&mut self, claims: &mut Claims<'_>) -> usize {
        // SAFETY: every balancer of nginx's own keeps its list of peers here; the lists end with null.
        unsafe {
            let mut peers = (*self.conf).peer.data.cast::<ngx_http_upstream_rr_peers_t>();
            self.zone = !peers.is_null() && !(*peers).shpool.is_null();
            let mut backup = false;
            while !peers.is_null() {
                let mut peer = (*peers).peer;
                while !peer.is_null() {
                    self.names.push((&raw const (*peer).name as usize, self.backends.len() as u32));
                    self.backends.push(Backend::of(peers, peer, backup));
                    peer = (*peer).next;
                }
                peers = (*peers).next;
                backup = true;
            }
        }
        self.names.sort_unstable();
        self.record = claims.declare(Key::of(&self.name, ""));
        let slots = self.route.is_some() && self.zone;
        let (mut seen, mut unrecorded) = (HashSet::new(), 0);
        for backend in &mut self.backends {
            if slots && backend.configured.down && backend.address.get().is_some_and(is_spare) {
                backend.configured.slot = true;
                continue;
            }
            let name = backend.name.get_mut();
            let at = claims.declare(Key::of(&self.name, name));
            if let Some((at, address)) = at.zip(backend.address.get()) {
                claims.record(at).place().set(self.number, address);
            }
            unrecorded += usize::from(at.is_none());
            backend.record.set(at);
            backend.first = seen.insert(name.clone());
        }
        unrecorded
    }

    /// The spare slots.
    pub(crate) fn slots(&self) -> impl Iterator<Item = &Backend> {
        self.backends.iter().filter(|backend| backend.configured.slot)
    }

    /// The backend whose peer has its name there.
    pub(crate) fn named(&self, name: *const ngx_str_t) -> Option<&Backend> {
        let at = self.names.binary_search_by_key(&(name as usize), |(name, _)| *name).ok()?;
        self.backends.get(self.names[at].1 as usize)
    }
}

impl Backend {
    /// # Safety
    /// `peer` is one of nginx's `peers`.
    unsafe fn of(
        peers: *mut ngx_http_upstream_rr_peers_t,
        peer: *mut ngx_http_upstream_rr_peer_t,
        backup: bool,
    ) -> Self {
        // SAFETY: the caller's promise.
        let (address, name, server, down, weight, max_fails) = unsafe {
            let peer = &*peer;
            let address = address::read(peer.sockaddr, peer.socklen);
            (address, owned(&peer.name), owned(&peer.server), peer.down, peer.weight, peer.max_fails)
        };
        let weight = weight.clamp(1, i32::MAX as isize) as u32;
        Self {
            peers,
            peer,
            configured: Configured { slot: false, down: down != 0, weight, max_fails },
            server,
            backup,
            first: true,
            record: Cell::new(None),
            name: RefCell::new(name),
            address: Cell::new(address),
        }
    }

    /// Its record among `shared`'s.
    pub(crate) fn record<'a>(&self, shared: &'a Shared) -> Option<&'a Record> {
        shared.records().get(self.record.get()? as usize)
    }

    /// Requests under way, as nginx counts them.
    pub(crate) fn connections(&self) -> usize {
        // SAFETY: the peer lives as long as its configuration; other processes may write this whole word.
        unsafe { (&raw const (*self.peer).conns).read_volatile() }
    }

    /// Whether there is a backend: not so in a slot that nobody has, nor one whose last backend has left and is done.
    pub(crate) fn is_there(&self, shared: &Shared) -> bool {
        let part = self.record(shared).map(|record| record.place().part());
        !self.configured.slot || part == Some(Part::Joined) || (part.is_some() && self.connections() > 0)
    }
}

/// The address of a spare slot: 0.0.0.1, which nothing else can have.
fn is_spare(address: SocketAddr) -> bool {
    address.ip() == Ipv4Addr::new(0, 0, 0, 1)
}
