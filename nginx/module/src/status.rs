//! `switchboard_status`: the numbers as JSON. Written without any lock: what others change meanwhile is a request apart.

use std::ptr;

use nginx_sys::{
    NGX_HTTP_GET, NGX_HTTP_HEAD, NGX_HTTP_INTERNAL_SERVER_ERROR, NGX_HTTP_POST, ngx_buf_t, ngx_chain_t,
    ngx_http_discard_request_body, ngx_http_output_filter, ngx_http_request_t, ngx_http_send_header,
    ngx_int_t, ngx_palloc, ngx_pcalloc, ngx_worker,
};
use switchboard_counts::{BOUNDS_MS, Json, Part, Query, State};

use crate::{
    OK,
    conf::{self, Main},
    now_ms, orders,
    shared::Shared,
    upstreams::{Backend, Upstream},
    word,
};

/// The address family of a unix socket.
const UNIX: u16 = 1;

/// So much JSON is about one backend that nothing was asked of.
const BACKEND_BYTES: usize = 1024;

/// An answer: a status, and a text in JSON.
pub(crate) type Answer = (usize, String);

pub(crate) unsafe extern "C" fn handler(request: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx's request, under way.
    unsafe {
        let main = conf::of_request(request);
        let discarded = ngx_http_discard_request_body(request);
        if discarded != OK {
            return discarded;
        }
        let (status, text) = answer(main, request);
        send(request, status, &text)
    }
}

/// # Safety
/// `request` is nginx's, and under way.
unsafe fn answer(main: &Main, request: *const ngx_http_request_t) -> Answer {
    // SAFETY: the caller's promise; a connection from outside always has its listener.
    let (method, args, family) = unsafe {
        let listening = (*(*request).connection).listening;
        let family = if listening.is_null() { 0 } else { (*(*listening).sockaddr).sa_family };
        ((*request).method, (*request).args.as_bytes(), family)
    };
    let Some(shared) = &main.shared else {
        return refusal(503, "nginx has not yet taken up its configuration");
    };
    let query = match Query::read(args) {
        Ok(query) => query,
        Err(error) => return refusal(400, &error),
    };
    match u32::try_from(method) {
        Ok(NGX_HTTP_GET | NGX_HTTP_HEAD) if query.order.is_some() => {
            refusal(405, "orders are given with POST")
        }
        Ok(NGX_HTTP_GET | NGX_HTTP_HEAD) => shown(main, shared, &query),
        Ok(NGX_HTTP_POST) if family != UNIX => {
            refusal(403, "orders are taken on a unix socket only: POST there")
        }
        Ok(NGX_HTTP_POST) => orders::carry_out(main, shared, &query),
        _ => refusal(405, "only GET and POST are known here"),
    }
}

fn shown(main: &Main, shared: &Shared, query: &Query) -> Answer {
    main.synchronise();
    let mut json = Json::default();
    match found(main, shared, query) {
        Err(answer) => return answer,
        Ok(None) => {
            json.object().name("version").text(env!("CARGO_PKG_VERSION")).name("at_ms").bare(now_ms());
            json.name("pid").bare(std::process::id());
            // SAFETY: a number of nginx's own, set when the worker starts.
            json.name("worker").bare(unsafe { ngx_worker });
            json.name("configuration").bare(main.configuration).name("records").object();
            json.name("used").bare(shared.records().len()).name("of").bare(shared.capacity());
            json.name("unrecorded").bare(main.unrecorded).end();
            json.name("lease_ms").bare(shared.lease_ms().unwrap_or(0)).name("bounds_ms").list();
            BOUNDS_MS.iter().for_each(|bound| {
                json.bare(*bound);
            });
            json.end_list().name("upstreams").list();
            json.reserve(shared.records().len() * BACKEND_BYTES);
            main.upstreams.iter().for_each(|upstream| write_upstream(&mut json, shared, upstream));
            json.end_list().end();
        }
        Ok(Some((upstream, None))) => write_upstream(&mut json, shared, upstream),
        Ok(Some((_, Some(backend)))) => write_backend(&mut json, shared, backend),
    }
    (200, json.done())
}

pub(crate) type Found<'a> = Option<(&'a Upstream, Option<&'a Backend>)>;

/// What is asked of; a 404 if it is not there.
pub(crate) fn found<'a>(main: &'a Main, shared: &Shared, query: &Query) -> Result<Found<'a>, Answer> {
    let Some(name) = &query.upstream else { return Ok(None) };
    let upstream = main.upstreams.iter().find(|upstream| upstream.name == *name);
    let Some(upstream) = upstream else {
        return Err(refusal(404, &format!("there is no upstream {name}")));
    };
    let Some(address) = &query.backend else { return Ok(Some((upstream, None))) };
    let here = |backend: &&Backend| *backend.name.borrow() == *address && backend.is_there(shared);
    match upstream.backends.iter().find(here) {
        Some(backend) => Ok(Some((upstream, Some(backend)))),
        None => Err(refusal(404, &format!("there is no backend {address} in upstream {name}"))),
    }
}

fn write_upstream(json: &mut Json, shared: &Shared, upstream: &Upstream) {
    let record = upstream.record.and_then(|at| shared.records().get(at as usize));
    json.object().name("name").text(&upstream.name).name("implicit").bare(upstream.implicit);
    json.name("zone").bare(upstream.zone).name("file").text(&upstream.file).name("line").bare(upstream.line);
    json.name("route").bare(upstream.route.is_some()).name("slots");
    if upstream.route.is_some() && upstream.zone {
        let (all, free) = upstream.slots_free(shared);
        json.object().name("all").bare(all).name("free").bare(free).end();
    } else {
        json.null();
    }
    json.name("no_live").maybe(record.map(|record| record.no_live())).name("backends").list();
    for backend in upstream.backends.iter().filter(|backend| backend.first && backend.is_there(shared)) {
        write_backend(json, shared, backend);
    }
    json.end_list().end();
}

pub(crate) fn write_backend(json: &mut Json, shared: &Shared, backend: &Backend) {
    let record = backend.record(shared);
    let (down, weight, max_fails) = backend.now();
    // SAFETY: the peer lives as long as its configuration; other processes may write these whole words, read once each.
    let (fails, fail_timeout, checked, conns, max_conns) = unsafe {
        let peer = backend.peer;
        (
            (&raw const (*peer).fails).read_volatile(),
            (&raw const (*peer).fail_timeout).read_volatile(),
            (&raw const (*peer).checked).read_volatile(),
            (&raw const (*peer).conns).read_volatile(),
            (&raw const (*peer).max_conns).read_volatile(),
        )
    };
    let switch = record.and_then(|record| record.switch());
    let failing = max_fails > 0 && fails >= max_fails && (now_ms() / 1000) as i64 - checked <= fail_timeout;
    let left = record.is_some_and(|record| record.place().part() == Part::Left);
    let out = shared.lease_ms().is_some() && record.is_some_and(|record| record.share() == 0);
    let state = match switch.map(|switch| switch.state) {
        _ if left => "left",
        Some(state @ (State::Off | State::Drain)) if down => state.name(),
        _ if down && out => "out",
        _ if down => "down",
        _ if failing => "unavailable",
        _ => "up",
    };
    let name = backend.name.borrow();
    let slot = backend.configured.slot;
    json.object().name("address").text(&name).name("server").text(if slot { &name } else { &backend.server });
    json.name("backup").bare(backend.backup).name("state").text(state).name("weight").bare(weight);
    json.name("share").bare(record.map_or(100, |record| record.share())).name("slot").bare(slot);
    json.name("configured").object().name("down").bare(backend.configured.down && !slot);
    json.name("weight").bare(backend.configured.weight).end().name("switch");
    match switch {
        None => json.null(),
        Some(switch) => {
            json.object().name("state").text(switch.state.name()).name("weight").maybe(switch.weight);
            json.name("since_ms").bare(switch.since_ms).end()
        }
    };
    json.name("fails").bare(fails).name("max_fails").bare(max_fails);
    json.name("fail_timeout_s").bare(fail_timeout).name("connections").bare(conns);
    json.name("max_connections").bare(max_conns).name("counted").bare(record.is_some());
    if let Some(record) = record {
        record.counts().write(json);
    }
    json.end();
}

/// An answer that says what is wrong.
pub(crate) fn refusal(status: usize, text: &str) -> Answer {
    let mut json = Json::default();
    json.object().name("error").text(text).end();
    (status, json.done())
}

/// # Safety
/// `request` is nginx's, and nothing of its answer was sent.
unsafe fn send(request: *mut ngx_http_request_t, status: usize, text: &str) -> ngx_int_t {
    const FAILED: ngx_int_t = NGX_HTTP_INTERNAL_SERVER_ERROR as ngx_int_t;
    // SAFETY: memory comes from the request's pool, so it lives until all is sent.
    unsafe {
        let headers = &mut (*request).headers_out;
        headers.status = status;
        headers.content_length_n = text.len() as i64;
        headers.content_type = word(c"application/json");
        headers.content_type_len = headers.content_type.len;
        let sent = ngx_http_send_header(request);
        if sent != OK || (*request).header_only() != 0 {
            return sent;
        }
        let pool = (*request).pool;
        let bytes = ngx_palloc(pool, text.len()).cast::<u8>();
        let buffer = ngx_pcalloc(pool, size_of::<ngx_buf_t>()).cast::<ngx_buf_t>();
        if bytes.is_null() || buffer.is_null() {
            return FAILED;
        }
        ptr::copy_nonoverlapping(text.as_ptr(), bytes, text.len());
        (*buffer).pos = bytes;
        (*buffer).last = bytes.add(text.len());
        (*buffer).set_memory(1);
        (*buffer).set_last_buf(u32::from(request == (*request).main));
        (*buffer).set_last_in_chain(1);
        let mut chain = ngx_chain_t { buf: buffer, next: ptr::null_mut() };
        ngx_http_output_filter(request, &raw mut chain)
    }
}
