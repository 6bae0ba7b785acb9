//! nginx's upstreams and their peers, explicit and implicit, as one configuration has them.

use nginx_sys::{
    NGX_HTTP_UPSTREAM_CREATE, ngx_http_request_t, ngx_http_upstream_rr_peer_t, ngx_http_upstream_rr_peers_t,
    ngx_http_upstream_srv_conf_t, ngx_int_t, ngx_str_t,
};
use std::{collections::HashSet, ffi::CStr};
use switchboard_counts::Key;

use crate::{owned, shared::Claims};

/// How an upstream begins a request.
pub(crate) type Init =
    unsafe extern "C" fn(*mut ngx_http_request_t, *mut ngx_http_upstream_srv_conf_t) -> ngx_int_t;

/// One upstream.
pub(crate) struct Upstream {
    conf: *mut ngx_http_upstream_srv_conf_t,
    /// How it begins a request without this module.
    pub(crate) init: Init,
    pub(crate) name: String,
    /// Made by a bare `proxy_pass http://address`.
    pub(crate) implicit: bool,
    /// Where in the configuration.
    pub(crate) file: String,
    pub(crate) line: usize,
    /// Its peers are in nginx's shared memory, so the same for all workers.
    pub(crate) zone: bool,
    /// For what concerns no single backend.
    pub(crate) record: Option<u32>,
    pub(crate) backends: Vec<Backend>,
    /// nginx names the backend of a request by a pointer to its name: those pointers in their order, and where in
    /// `backends` they lead.
    names: Vec<(usize, u32)>,
}

/// One peer of an upstream.
pub(crate) struct Backend {
    pub(crate) peers: *mut ngx_http_upstream_rr_peers_t,
    pub(crate) peer: *mut ngx_http_upstream_rr_peer_t,
    pub(crate) record: Option<u32>,
    pub(crate) address: String,
    /// The name in the configuration, which may stand for several addresses.
    pub(crate) server: String,
    pub(crate) backup: bool,
    /// Not one more line with an address that was there before: those share a record.
    pub(crate) first: bool,
    pub(crate) configured_down: bool,
    pub(crate) configured_weight: u32,
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
                name,
                implicit: (*conf).flags & NGX_HTTP_UPSTREAM_CREATE as usize == 0,
                file: file.to_string_lossy().into_owned(),
                line: (*conf).line,
                zone: false,
                record: None,
                backends: Vec::new(),
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
        self.record = claims.claim(Key::of(&self.name, ""));
        let mut seen = HashSet::new();
        for backend in &mut self.backends {
            backend.record = claims.claim(Key::of(&self.name, &backend.address));
            backend.first = seen.insert(backend.address.clone());
        }
        self.backends.iter().filter(|backend| backend.record.is_none()).count()
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
        let (address, server, down, weight) =
            unsafe { (owned(&(*peer).name), owned(&(*peer).server), (*peer).down, (*peer).weight) };
        Self {
            peers,
            peer,
            record: None,
            address,
            server,
            backup,
            first: true,
            configured_down: down != 0,
            configured_weight: weight.clamp(1, i32::MAX as isize) as u32,
        }
    }
}
