//! What nginx calls while it takes up a configuration.

use std::{
    cell::{Cell, RefCell},
    ffi::{CStr, c_void},
    ptr,
};

use nginx_sys::{
    NGX_HTTP_VAR_NOCACHEABLE, NGX_LOG_EMERG, NGX_LOG_ERR, ngx_conf_log_error, ngx_conf_t, ngx_cycle_t,
    ngx_http_add_variable, ngx_http_conf_ctx_t, ngx_http_module, ngx_http_request_t,
    ngx_http_upstream_main_conf_t, ngx_http_upstream_module, ngx_http_upstream_srv_conf_t, ngx_int_t,
    ngx_log_error_core, ngx_pool_cleanup_add, ngx_shared_memory_add, ngx_shm_zone_t, ngx_str_t,
};

use crate::{
    ERROR, OK, call, number, route,
    shared::{Shared, init_zone},
    tag,
    upstreams::Upstream,
    value::Value,
    word,
};

/// Memory for some 15,000 backends; the system gives what is used.
const ZONE_BYTES: usize = 16 << 20;
const ZONE: ngx_str_t = word(c"switchboard");

/// The module's part of one configuration. It ends with that configuration's pool.
pub(crate) struct Main {
    pub(crate) zone_bytes: Cell<usize>,
    /// The upstream with a route, and what it is; whether nginx has begun it by that.
    pub(crate) route: Cell<Option<(usize, Value)>>,
    pub(crate) route_in_use: Cell<bool>,
    /// The upstreams with `switchboard_untimed`.
    pub(crate) untimed: RefCell<Vec<(usize, Value)>>,
    zone: Cell<*const ngx_shm_zone_t>,
    /// In the order of nginx's pointers to them.
    pub(crate) upstreams: Vec<Upstream>,
    /// There from [`init_module`] on, so whenever requests are.
    pub(crate) shared: Option<Shared>,
    /// The number of this configuration since the shared memory was made.
    pub(crate) configuration: u64,
    /// Backends that found no room in the zone.
    pub(crate) unrecorded: usize,
    /// The changes that this process has put into nginx's peers.
    pub(crate) applied: Cell<u64>,
}

impl Main {
    /// The upstream that nginx knows by `conf`.
    pub(crate) fn upstream(&self, conf: *const ngx_http_upstream_srv_conf_t) -> Option<&Upstream> {
        let at = self.upstreams.binary_search_by_key(&(conf as usize), Upstream::id).ok()?;
        self.upstreams.get(at)
    }
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

/// Before any directive is read: the module's variable is made known.
pub(crate) unsafe extern "C" fn preconfiguration(cf: *mut ngx_conf_t) -> ngx_int_t {
    let mut name = word(c"switchboard_refusal");
    // SAFETY: nginx copies the name.
    unsafe {
        let variable = ngx_http_add_variable(cf, &raw mut name, NGX_HTTP_VAR_NOCACHEABLE as usize);
        if variable.is_null() {
            return ERROR;
        }
        (*variable).get_handler = Some(route::refusal);
    }
    OK
}

pub(crate) unsafe extern "C" fn create_main(cf: *mut ngx_conf_t) -> *mut c_void {
    // SAFETY: nginx's pool of the configuration that begins.
    let cleanup = unsafe { ngx_pool_cleanup_add((*cf).pool, 0) };
    if cleanup.is_null() {
        return ptr::null_mut();
    }
    let main = Box::into_raw(Box::new(Main {
        zone_bytes: Cell::new(ZONE_BYTES),
        route: Cell::new(None),
        route_in_use: Cell::new(false),
        untimed: RefCell::default(),
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
    if main.route.get().is_some() && !main.route_in_use.get() {
        let text = c"another load balancing method stands behind \"switchboard_route\": the upstream can have one only";
        // SAFETY: nginx's log and a text without places in it.
        unsafe { ngx_conf_log_error(NGX_LOG_EMERG as usize, cf, 0, text.as_ptr()) };
        return ERROR;
    }
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
        if let Some(mut wrapped) = unsafe { Upstream::wrap(*upstream, call::init) } {
            let own = |(at, value): (usize, Value)| (at == wrapped.id()).then_some(value);
            let (route, untimed) =
                (main.route.get().and_then(own), main.untimed.borrow().iter().copied().find_map(own));
            (wrapped.route, wrapped.untimed) = (route, untimed);
            main.upstreams.push(wrapped);
        }
    }
    main.upstreams.sort_unstable_by_key(Upstream::id);
    OK
}

/// The shared memory is there and nginx's peers are where they stay: every backend gets its record, and what was
/// in force is so again before the first worker of this configuration starts.
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
    let locked = shared.lock();
    main.configuration = locked.next_configuration();
    let mut claims = locked.claims(main.configuration);
    for upstream in &mut main.upstreams {
        // SAFETY: nginx is through with its configuration, and workers of it are not there yet.
        main.unrecorded += unsafe { upstream.bind(&mut claims) };
    }
    main.refresh(&shared, &locked);
    drop(locked);
    main.shared = Some(shared);
    let unseated: usize =
        main.upstreams.iter().filter(|one| one.route.is_some()).map(|one| one.unseated(&shared)).sum();
    // SAFETY: nginx's log and its own form of a number.
    let warn = |text: &CStr, count: usize| unsafe {
        ngx_log_error_core(NGX_LOG_ERR as usize, (*cycle).log, 0, text.as_ptr(), count);
    };
    if main.unrecorded > 0 {
        warn(
            c"switchboard_zone is full: %uz backends are neither counted nor can they be switched",
            main.unrecorded,
        );
    }
    if unseated > 0 {
        warn(c"%uz backends had joined and find no spare slot in this configuration: add slots", unseated);
    }
    OK
}
