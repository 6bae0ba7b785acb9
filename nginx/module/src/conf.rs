//! What nginx calls while it takes up a configuration.

use std::{
    cell::Cell,
    ffi::{c_char, c_void},
    ptr,
};

use nginx_sys::{
    NGX_LOG_ERR, ngx_command_t, ngx_conf_t, ngx_cycle_t, ngx_http_conf_ctx_t, ngx_http_core_loc_conf_t,
    ngx_http_core_module, ngx_http_module, ngx_http_request_t, ngx_http_upstream_main_conf_t,
    ngx_http_upstream_module, ngx_http_upstream_srv_conf_t, ngx_int_t, ngx_log_error_core, ngx_parse_size,
    ngx_pool_cleanup_add, ngx_shared_memory_add, ngx_shm_zone_t, ngx_str_t,
};

use crate::{
    ERROR, OK, call, number,
    shared::{Shared, init_zone},
    status, tag,
    upstreams::Upstream,
    word,
};

/// Memory for some 15,000 backends; the system gives what is used.
const ZONE_BYTES: usize = 16 << 20;
/// nginx needs 8 pages for a zone, and one backend shall fit.
const ZONE_BYTES_MIN: isize = 64 << 10;
const ZONE: ngx_str_t = word(c"switchboard");

/// The module's part of one configuration. It ends with that configuration's pool.
pub(crate) struct Main {
    zone_bytes: Cell<usize>,
    zone: Cell<*const ngx_shm_zone_t>,
    /// In the order of nginx's pointers to them.
    pub(crate) upstreams: Vec<Upstream>,
    /// There from [`init_module`] on, so whenever requests are.
    pub(crate) shared: Option<Shared>,
    /// The number of this configuration since the shared memory was made.
    pub(crate) configuration: u64,
    /// Backends that found no room in the zone.
    pub(crate) unrecorded: usize,
    /// The switches that this process has put into nginx's peers.
    pub(crate) applied: Cell<u64>,
}

/// The module's configuration for a request.
///
/// # Safety
/// `request` is nginx's, and under way.
pub(crate) unsafe fn of_request<'a>(request: *const ngx_http_request_t) -> &'a Main {
    // SAFETY: nginx's list has what `create_main` returned at the module's number, and a request ends before its
    // configuration does.
    unsafe { &*(*(*request).main_conf.add(number())).cast::<Main>() }
}

pub(crate) unsafe extern "C" fn create_main(cf: *mut ngx_conf_t) -> *mut c_void {
    // SAFETY: nginx's pool of the configuration that begins.
    let cleanup = unsafe { ngx_pool_cleanup_add((*cf).pool, 0) };
    if cleanup.is_null() {
        return ptr::null_mut();
    }
    let main = Box::into_raw(Box::new(Main {
        zone_bytes: Cell::new(ZONE_BYTES),
        zone: Cell::new(ptr::null()),
        upstreams: Vec::new(),
        shared: None,
        configuration: 0,
        unrecorded: 0,
        applied: Cell::new(u64::MAX),
    }));
    // SAFETY: just made by nginx.
    unsafe {
        (*cleanup).handler = Some(end_main);
        (*cleanup).data = main.cast();
    }
    main.cast()
}

unsafe extern "C" fn end_main(main: *mut c_void) {
    // SAFETY: from `create_main`, and nginx calls this once, after the last request.
    drop(unsafe { Box::from_raw(main.cast::<Main>()) });
}

/// `switchboard_zone SIZE;`
pub(crate) unsafe extern "C" fn set_zone(
    cf: *mut ngx_conf_t,
    _: *mut ngx_command_t,
    main: *mut c_void,
) -> *mut c_char {
    // SAFETY: nginx has checked that there is one word after the directive, and hands out what `create_main` made.
    let (main, bytes) = unsafe {
        let words = (*(*cf).args).elts.cast::<ngx_str_t>();
        (&*main.cast_const().cast::<Main>(), ngx_parse_size(words.add(1)))
    };
    if bytes < ZONE_BYTES_MIN {
        return c"wants a size of at least 64k".as_ptr().cast_mut();
    }
    main.zone_bytes.set(bytes as usize);
    ptr::null_mut()
}

/// `switchboard_status;`
pub(crate) unsafe extern "C" fn set_status(
    cf: *mut ngx_conf_t,
    _: *mut ngx_command_t,
    _: *mut c_void,
) -> *mut c_char {
    // SAFETY: inside a location nginx's context is that of the http module, and its core module always has its part.
    unsafe {
        let context = (*cf).ctx.cast::<ngx_http_conf_ctx_t>();
        let at = (&raw const ngx_http_core_module.ctx_index).read();
        let location = (*(*context).loc_conf.add(at)).cast::<ngx_http_core_loc_conf_t>();
        (*location).handler = Some(status::handler);
    }
    ptr::null_mut()
}

/// All upstreams are known, and have their way to begin a request: it is wrapped.
pub(crate) unsafe extern "C" fn postconfiguration(cf: *mut ngx_conf_t) -> ngx_int_t {
    // SAFETY: nginx's context at this point; both modules have their part in it, and nobody else uses ours.
    let (main, upstreams) = unsafe {
        let parts = (*(*cf).ctx.cast::<ngx_http_conf_ctx_t>()).main_conf;
        let main = &mut *(*parts.add(number())).cast::<Main>();
        let at = (&raw const ngx_http_upstream_module.ctx_index).read();
        let upstreams = &(*(*parts.add(at)).cast::<ngx_http_upstream_main_conf_t>()).upstreams;
        (main, upstreams.as_slice::<*mut ngx_http_upstream_srv_conf_t>())
    };
    let mut name = ZONE;
    // SAFETY: nginx copies neither name nor tag: both are static.
    let zone = unsafe { ngx_shared_memory_add(cf, &raw mut name, main.zone_bytes.get(), tag()) };
    if zone.is_null() {
        return ERROR;
    }
    // SAFETY: nginx's new zone.
    unsafe { (*zone).init = Some(init_zone) };
    main.zone.set(zone);
    for upstream in upstreams {
        // SAFETY: nginx's upstream; it lives as long as `main`.
        if let Some(wrapped) = unsafe { Upstream::wrap(*upstream, call::init) } {
            main.upstreams.push(wrapped);
        }
    }
    main.upstreams.sort_unstable_by_key(Upstream::id);
    OK
}

/// The shared memory is there and nginx's peers are where they stay: every backend gets its record, and what operators
/// had switched is switched again before the first worker of this configuration starts.
pub(crate) unsafe extern "C" fn init_module(cycle: *mut ngx_cycle_t) -> ngx_int_t {
    // SAFETY: nginx's whole configuration; without `http {}` there is no part of ours.
    let main = unsafe {
        let at = (&raw const ngx_http_module.index).read();
        let context = (*(*cycle).conf_ctx.add(at)).cast::<ngx_http_conf_ctx_t>();
        if context.is_null() {
            return OK;
        }
        &mut *(*(*context).main_conf.add(number())).cast::<Main>()
    };
    // SAFETY: set by `postconfiguration`, and kept by nginx as long as `main`.
    let Some(shared) = (unsafe { Shared::of(main.zone.get()) }) else { return OK };
    main.configuration = shared.next_configuration();
    let mut claims = shared.claims(main.configuration);
    for upstream in &mut main.upstreams {
        // SAFETY: nginx is through with its configuration, and workers of it are not there yet.
        main.unrecorded += unsafe { upstream.bind(&mut claims) };
    }
    if main.unrecorded > 0 {
        let text = c"switchboard_zone is full: %uz backends are neither counted nor can they be switched";
        // SAFETY: nginx's log and its own form of a number.
        unsafe { ngx_log_error_core(NGX_LOG_ERR as usize, (*cycle).log, 0, text.as_ptr(), main.unrecorded) };
    }
    main.shared = Some(shared);
    main.synchronise();
    OK
}
