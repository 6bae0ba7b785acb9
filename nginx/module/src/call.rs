//! Goes along with one request: notes which backend nginx chose, and how each attempt ended.
//!
//! nginx's balancer is three functions and a pointer in the request. They are kept, and these here stand in their
//! place; outermost, as they come last, so that a connection is still there when it is looked at.

use std::{ffi::c_void, ptr};

use nginx_sys::{
    NGX_BUSY, NGX_DONE, NGX_PEER_FAILED, ngx_connection_t, ngx_current_msec, ngx_event_free_peer_pt,
    ngx_event_get_peer_pt, ngx_event_notify_peer_pt, ngx_event_save_peer_session_pt,
    ngx_event_set_peer_session_pt, ngx_http_request_t, ngx_http_upstream_srv_conf_t, ngx_http_upstream_t,
    ngx_int_t, ngx_msec_t, ngx_palloc, ngx_peer_connection_t, ngx_pnalloc, ngx_str_t, ngx_uint_t,
};
use switchboard_counts::{End, Outcome, Record, Seen};

use crate::{
    ERROR, OK,
    conf::{self, Main},
    now_ms,
    upstreams::Upstream,
};

/// What is kept for one request, in its pool.
struct Call {
    main: *const Main,
    upstream: *const Upstream,
    request: *const ngx_http_request_t,
    under: *const ngx_http_upstream_t,
    /// Of the attempt that runs; null between attempts.
    record: *const Record,
    started: ngx_msec_t,
    kept: bool,
    /// Its times are not noted.
    untimed: bool,
    data: *mut c_void,
    get: ngx_event_get_peer_pt,
    free: ngx_event_free_peer_pt,
    notify: ngx_event_notify_peer_pt,
    set_session: ngx_event_set_peer_session_pt,
    save_session: ngx_event_save_peer_session_pt,
}

/// A request begins: in the place of its upstream's own function, which is called first.
pub(crate) unsafe extern "C" fn init(
    request: *mut ngx_http_request_t,
    conf: *mut ngx_http_upstream_srv_conf_t,
) -> ngx_int_t {
    // SAFETY: nginx's request, under way.
    let main = unsafe { conf::of_request(request) };
    let Some(upstream) = main.upstream(conf) else { return ERROR };
    main.synchronise();
    // SAFETY: as nginx would call it; after it the request has its balancer, and its pool lives as long as that.
    unsafe {
        let result = (upstream.init)(request, conf);
        if result != OK {
            return result;
        }
        let call = ngx_palloc((*request).pool, size_of::<Call>()).cast::<Call>();
        if call.is_null() {
            return ERROR;
        }
        let says_so = |value: &[u8]| !matches!(value, b"" | b"0");
        let untimed = upstream.untimed.and_then(|value| value.in_request(request, says_so)).unwrap_or(false);
        let under = (*request).upstream;
        let peer = &mut (*under).peer;
        ptr::write(
            call,
            Call {
                main,
                upstream,
                request,
                under,
                record: ptr::null(),
                started: 0,
                kept: false,
                untimed,
                data: peer.data,
                get: peer.get,
                free: peer.free,
                notify: peer.notify,
                set_session: peer.set_session,
                save_session: peer.save_session,
            },
        );
        peer.data = call.cast();
        peer.get = Some(get);
        peer.free = Some(free);
        // nginx looks whether they are there at all.
        peer.notify = peer.notify.map(|_| notify as unsafe extern "C" fn(_, _, _));
        peer.set_session = peer.set_session.map(|_| set_session as unsafe extern "C" fn(_, _) -> _);
        peer.save_session = peer.save_session.map(|_| save_session as unsafe extern "C" fn(_, _));
    }
    OK
}

unsafe extern "C" fn get(peer: *mut ngx_peer_connection_t, data: *mut c_void) -> ngx_int_t {
    // SAFETY: `init` has put both there together; the configuration outlives its requests.
    unsafe {
        let call = &mut *data.cast::<Call>();
        let Some(original) = call.get else { return ERROR };
        let result = original(peer, call.data);
        call.record = ptr::null();
        let main = &*call.main;
        let Some(shared) = &main.shared else { return result };
        if result == NGX_BUSY as ngx_int_t {
            let record = (*call.upstream).record.and_then(|at| shared.records().get(at as usize));
            record.inspect(|record| record.nobody());
        } else if result == OK || result == NGX_DONE as ngx_int_t {
            let backend = (*call.upstream).named((*peer).name);
            if backend.is_some_and(|backend| backend.configured.slot) {
                call.in_slot(peer);
            }
            if let Some(record) = backend.and_then(|backend| backend.record(shared)) {
                record.begun();
                call.record = record;
                call.started = ngx_current_msec;
                call.kept = result == NGX_DONE as ngx_int_t;
            }
        }
        result
    }
}

unsafe extern "C" fn free(peer: *mut ngx_peer_connection_t, data: *mut c_void, state: ngx_uint_t) {
    // SAFETY: as in `get`. The connection is looked at before the original puts it away for the next request.
    unsafe {
        let call = &mut *data.cast::<Call>();
        let record = std::mem::replace(&mut call.record, ptr::null());
        if !record.is_null() {
            (*record).ended(&call.outcome(peer, state));
        }
        if let Some(original) = call.free {
            original(peer, call.data, state);
        }
    }
}

unsafe extern "C" fn notify(peer: *mut ngx_peer_connection_t, data: *mut c_void, kind: ngx_uint_t) {
    // SAFETY: as in `get`.
    unsafe {
        let call = &*data.cast::<Call>();
        if let Some(original) = call.notify {
            original(peer, call.data, kind);
        }
    }
}

unsafe extern "C" fn set_session(peer: *mut ngx_peer_connection_t, data: *mut c_void) -> ngx_int_t {
    // SAFETY: as in `get`.
    unsafe {
        let call = &*data.cast::<Call>();
        call.set_session.map_or(OK, |original| original(peer, call.data))
    }
}

unsafe extern "C" fn save_session(peer: *mut ngx_peer_connection_t, data: *mut c_void) {
    // SAFETY: as in `get`.
    unsafe {
        let call = &*data.cast::<Call>();
        if let Some(original) = call.save_session {
            original(peer, call.data);
        }
    }
}

impl Call {
    /// The backend of a slot has been chosen: it stays the same while the request is there. Not so before, hence who it is
    /// is looked up now; nor after, hence the request gets the name to keep, for nginx's log.
    ///
    /// # Safety
    /// As [`get`].
    unsafe fn in_slot(&self, peer: *mut ngx_peer_connection_t) {
        // SAFETY: the caller's promise.
        unsafe {
            (*self.main).synchronise();
            let pool = (*self.request).pool;
            let name = &*(*peer).name;
            let copy = ngx_palloc(pool, size_of::<ngx_str_t>()).cast::<ngx_str_t>();
            let text = ngx_pnalloc(pool, name.len).cast::<u8>();
            if !copy.is_null() && !text.is_null() {
                text.copy_from(name.data, name.len);
                copy.write(ngx_str_t { len: name.len, data: text });
                (*peer).name = copy;
            }
        }
    }

    /// # Safety
    /// nginx is about to let go of `peer`, the backend of this request.
    unsafe fn outcome(&self, peer: *const ngx_peer_connection_t, state: ngx_uint_t) -> Outcome {
        // SAFETY: the request and what it holds are there until its end; nginx sets `state` before it connects.
        unsafe {
            let connection = (*peer).connection;
            let mut seen = Seen {
                failed: state & NGX_PEER_FAILED as usize != 0,
                connection: !connection.is_null(),
                cached: self.kept,
                request_sent: (*self.under).request_sent() != 0,
                ..Seen::default()
            };
            let elapsed = ngx_current_msec.wrapping_sub(self.started) as u64;
            let (mut connect, mut header, mut sent) = (None, None, 0);
            if let Some(times) = (*self.under).state.as_ref() {
                seen.received = u64::try_from(times.bytes_received).unwrap_or(0);
                sent = u64::try_from(times.bytes_sent).unwrap_or(0);
                connect = reached(times.connect_time);
                header = reached(times.header_time);
                // nginx has the status once it has the first line; an answer it is with its whole head.
                seen.status = header.map_or(0, |_| u16::try_from(times.status).unwrap_or(999));
            }
            if !connection.is_null() {
                seen.read_timeout = (*(*connection).read).timedout() != 0;
                seen.write_timeout = (*(*connection).write).timedout() != 0;
                seen.body_cut = self.body_cut(connection);
            }
            let end = End::of(&seen);
            let connected = !matches!(end, End::ConnectError | End::ConnectTimeout) && !self.kept;
            Outcome {
                end,
                status: seen.status,
                connect_ms: connect.filter(|_| connected),
                header_ms: header.filter(|_| !self.untimed),
                response_ms: (seen.status > 0 && !self.untimed).then_some(elapsed),
                sent,
                received: seen.received,
                at_ms: now_ms(),
            }
        }
    }

    /// Whether the backend closed before the end of the body that it had announced.
    ///
    /// # Safety
    /// As [`Call::outcome`].
    unsafe fn body_cut(&self, connection: *const ngx_connection_t) -> bool {
        // SAFETY: as above; nginx's proxy makes a pipe when it buffers.
        unsafe {
            let under = &*self.under;
            // A failed attempt is followed by another, so none of its body was passed on; the other two have none.
            if under.header_sent() == 0 || under.upgrade() != 0 || (*self.request).header_only() != 0 {
                return false;
            }
            if under.buffering() != 0 {
                return under.pipe.as_ref().is_some_and(|pipe| {
                    let ended_early = pipe.upstream_eof() != 0 && pipe.length != -1;
                    pipe.upstream_done() == 0 && (pipe.upstream_error() != 0 || ended_early)
                });
            }
            let read = &*(*connection).read;
            let broken = read.error() != 0 || under.error() != 0;
            under.length != 0 && (broken || (read.eof() != 0 && under.length != -1))
        }
    }
}

/// nginx's times are -1 until that stage is reached.
fn reached(ms: ngx_msec_t) -> Option<u64> {
    (ms != ngx_msec_t::MAX).then_some(ms as u64)
}
