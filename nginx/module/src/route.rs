//! `switchboard_route`: a balancer that is nginx's round robin, or gives a request to exactly the backend it means.

use std::{ffi::c_void, ptr};

use nginx_sys::{
    NGX_BUSY, ngx_cached_time, ngx_conf_t, ngx_http_conf_ctx_t, ngx_http_request_t,
    ngx_http_upstream_init_round_robin, ngx_http_upstream_init_round_robin_peer,
    ngx_http_upstream_rr_peer_data_t, ngx_http_upstream_srv_conf_t, ngx_int_t, ngx_palloc,
    ngx_peer_connection_t, ngx_rwlock_unlock, ngx_rwlock_wlock, ngx_variable_value_t,
};
use switchboard_counts::{Meant, Part, State};

use crate::{
    ERROR, OK,
    conf::{self, Main},
    number,
    shared::Shared,
    upstreams::{Backend, Upstream},
};

/// How often a backend is looked for again that moved in the very moment.
const LOOKS: usize = 4;

/// What is kept for one request; nginx's round robin sees its own part only.
#[repr(C)]
struct Routed {
    round_robin: ngx_http_upstream_rr_peer_data_t,
    main: *const Main,
    upstream: *const Upstream,
    meant: Meant,
}

/// The upstream is known: nginx makes its peers, and requests begin here.
pub(crate) unsafe extern "C" fn init_upstream(
    cf: *mut ngx_conf_t,
    conf: *mut ngx_http_upstream_srv_conf_t,
) -> ngx_int_t {
    // SAFETY: as nginx would call it; its context at this point is that of `http {}`.
    unsafe {
        let result = ngx_http_upstream_init_round_robin(cf, conf);
        if result == OK {
            (*conf).peer.init = Some(init);
            let parts = (*(*cf).ctx.cast::<ngx_http_conf_ctx_t>()).main_conf;
            (*(*parts.add(number())).cast::<Main>()).route_in_use.set(true);
        }
        result
    }
}

unsafe extern "C" fn init(
    request: *mut ngx_http_request_t,
    conf: *mut ngx_http_upstream_srv_conf_t,
) -> ngx_int_t {
    // SAFETY: nginx's request, under way; round robin takes the memory it finds in `peer.data`.
    unsafe {
        let main = conf::of_request(request);
        let Some(upstream) = main.upstream(conf) else { return ERROR };
        let meant = upstream.route.and_then(|route| route.in_request(request, Meant::read));
        let Some(meant) = meant else { return ERROR };
        let routed = ngx_palloc((*request).pool, size_of::<Routed>()).cast::<Routed>();
        if routed.is_null() {
            return ERROR;
        }
        let round_robin = ngx_http_upstream_rr_peer_data_t {
            config: 0,
            peers: ptr::null_mut(),
            current: ptr::null_mut(),
            tried: ptr::null_mut(),
            data: 0,
        };
        ptr::write(routed, Routed { round_robin, main, upstream, meant });
        let peer = &mut (*(*request).upstream).peer;
        peer.data = routed.cast();
        let result = ngx_http_upstream_init_round_robin_peer(request, conf);
        if result == OK && meant != Meant::Any {
            peer.get = Some(get);
            // No other one is meant. A kept connection that turns out to be closed is one try more, as nginx has it.
            peer.tries = 1;
        }
        result
    }
}

unsafe extern "C" fn get(peer: *mut ngx_peer_connection_t, data: *mut c_void) -> ngx_int_t {
    // SAFETY: `init` has put both there together; the configuration outlives its requests.
    unsafe {
        let routed = &mut *data.cast::<Routed>();
        let (main, upstream) = (&*routed.main, &*routed.upstream);
        (*peer).set_cached(0);
        (*peer).connection = ptr::null_mut();
        for _ in 0..LOOKS {
            main.synchronise();
            let found = upstream.ports.borrow().find(routed.meant);
            let Ok(Some(at)) = found else { break };
            let (Some(backend), Some(shared)) = (upstream.backends.get(at as usize), &main.shared) else {
                break;
            };
            match backend.pick(shared, peer, &mut routed.round_robin) {
                Picked::Taken => return OK,
                Picked::Full => break,
                Picked::Moved => {}
            }
        }
        (*peer).name = (*routed.round_robin.peers).name;
        NGX_BUSY as ngx_int_t
    }
}

enum Picked {
    Taken,
    /// It has as many requests as `max_conns` allows.
    Full,
    /// It has just left, or been switched off.
    Moved,
}

impl Backend {
    /// Gives the request to this backend, as round robin would after it had chosen it.
    ///
    /// # Safety
    /// `peer` and `round_robin` are those of one request of this configuration.
    unsafe fn pick(
        &self,
        shared: &Shared,
        peer: *mut ngx_peer_connection_t,
        round_robin: &mut ngx_http_upstream_rr_peer_data_t,
    ) -> Picked {
        let (peers, chosen) = (self.peers, self.peer);
        // SAFETY: the caller's promise; nginx itself changes these under the same lock, which only shared peers have.
        unsafe {
            let locked = !(*peers).shpool.is_null();
            if locked {
                ngx_rwlock_wlock(&raw mut (*peers).rwlock);
            }
            let picked = if !self.is_meant(shared) {
                Picked::Moved
            } else if (*chosen).max_conns > 0 && (*chosen).conns >= (*chosen).max_conns {
                Picked::Full
            } else {
                let now = (*ngx_cached_time).sec;
                if now - (*chosen).checked > (*chosen).fail_timeout {
                    (*chosen).checked = now;
                }
                round_robin.peers = peers;
                round_robin.current = chosen;
                (*peer).sockaddr = (*chosen).sockaddr;
                (*peer).socklen = (*chosen).socklen;
                (*peer).name = &raw mut (*chosen).name;
                (*chosen).conns += 1;
                Picked::Taken
            };
            if locked {
                ngx_rwlock_unlock(&raw mut (*peers).rwlock);
            }
            picked
        }
    }

    /// Whether it is still the one that was found, and may be reached. The peers are locked.
    fn is_meant(&self, shared: &Shared) -> bool {
        if self.configured.slot && self.address_there() != self.address.get() {
            return false;
        }
        let Some(record) = self.record(shared) else { return !self.configured.slot };
        let part = record.place().part();
        let off = record.switch().is_some_and(|switch| switch.state == State::Off);
        !off && part != Part::Left && (!self.configured.slot || part == Part::Joined)
    }
}

/// `$switchboard_refusal`: why the upstream with a route would not serve this request; empty if it would.
pub(crate) unsafe extern "C" fn refusal(
    request: *mut ngx_http_request_t,
    value: *mut ngx_variable_value_t,
    _: usize,
) -> ngx_int_t {
    // SAFETY: nginx's request, under way, and a value to be filled in; words are static.
    unsafe {
        let main = conf::of_request(request);
        main.synchronise();
        let upstream = main.upstreams.iter().find_map(|upstream| upstream.route.zip(Some(upstream)));
        let mut word = "";
        if let Some((route, upstream)) = upstream {
            let Some(meant) = route.in_request(request, Meant::read) else { return ERROR };
            let found = upstream.ports.borrow().find(meant);
            word = found.err().map_or("", |refusal| refusal.word());
        }
        let value = &mut *value;
        value.set_len(word.len() as u32);
        value.data = word.as_ptr().cast_mut();
        value.set_valid(1);
        value.set_no_cacheable(1);
        value.set_not_found(0);
        value.set_escape(0);
    }
    OK
}
