//! The directives.

use std::{
    ffi::{c_char, c_void},
    ptr,
};

use nginx_sys::{
    NGX_HTTP_UPSTREAM_BACKUP, NGX_HTTP_UPSTREAM_CREATE, NGX_HTTP_UPSTREAM_DOWN,
    NGX_HTTP_UPSTREAM_FAIL_TIMEOUT, NGX_HTTP_UPSTREAM_MAX_CONNS, NGX_HTTP_UPSTREAM_MAX_FAILS,
    NGX_HTTP_UPSTREAM_WEIGHT, ngx_command_t, ngx_conf_t, ngx_http_conf_ctx_t, ngx_http_core_loc_conf_t,
    ngx_http_core_module, ngx_http_upstream_module, ngx_http_upstream_srv_conf_t, ngx_parse_size, ngx_str_t,
};

use crate::{conf::Main, route, status, value::Value};

/// nginx needs 8 pages for a zone, and one backend shall fit.
const ZONE_BYTES_MIN: isize = 64 << 10;
/// What a `server` line may say in an upstream with a route: all that round robin knows.
const SERVER_FLAGS: u32 = NGX_HTTP_UPSTREAM_CREATE
    | NGX_HTTP_UPSTREAM_WEIGHT
    | NGX_HTTP_UPSTREAM_MAX_CONNS
    | NGX_HTTP_UPSTREAM_MAX_FAILS
    | NGX_HTTP_UPSTREAM_FAIL_TIMEOUT
    | NGX_HTTP_UPSTREAM_DOWN
    | NGX_HTTP_UPSTREAM_BACKUP;

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

/// `switchboard_route VARIABLE;`
pub(crate) unsafe extern "C" fn set_route(
    cf: *mut ngx_conf_t,
    _: *mut ngx_command_t,
    main: *mut c_void,
) -> *mut c_char {
    // SAFETY: nginx reads an `upstream {}`, has checked that there is one word, and hands out what `create_main` made.
    unsafe {
        let (main, conf) = (&*main.cast_const().cast::<Main>(), upstream(cf));
        let other = match main.route.get() {
            Some((there, _)) if there == conf as usize => Some(c"is given twice"),
            Some(_) => Some(c"stands in another upstream already: one of the configuration can have it"),
            None if (*conf).peer.init_upstream.is_some() => {
                Some(c"must stand before \"keepalive\", and is itself the load balancing method: the upstream can have one only")
            }
            None => None,
        };
        if let Some(text) = other {
            return text.as_ptr().cast_mut();
        }
        let Some(value) = Value::of(cf) else { return NO_VARIABLE.as_ptr().cast_mut() };
        main.route.set(Some((conf as usize, value)));
        (*conf).peer.init_upstream = Some(route::init_upstream);
        (*conf).flags = SERVER_FLAGS as usize;
    }
    ptr::null_mut()
}

/// `switchboard_untimed VARIABLE;`
pub(crate) unsafe extern "C" fn set_untimed(
    cf: *mut ngx_conf_t,
    _: *mut ngx_command_t,
    main: *mut c_void,
) -> *mut c_char {
    // SAFETY: as in `set_route`.
    unsafe {
        let (main, conf) = (&*main.cast_const().cast::<Main>(), upstream(cf));
        let mut untimed = main.untimed.borrow_mut();
        if untimed.iter().any(|(there, _)| *there == conf as usize) {
            return c"is given twice".as_ptr().cast_mut();
        }
        let Some(value) = Value::of(cf) else { return NO_VARIABLE.as_ptr().cast_mut() };
        untimed.push((conf as usize, value));
    }
    ptr::null_mut()
}

const NO_VARIABLE: &std::ffi::CStr = c"wants a variable, as in $port";

/// The upstream that is being read.
///
/// # Safety
/// nginx is inside an `upstream {}`.
unsafe fn upstream(cf: *mut ngx_conf_t) -> *mut ngx_http_upstream_srv_conf_t {
    // SAFETY: the caller's promise; nginx's own module always has its part.
    unsafe {
        let context = (*cf).ctx.cast::<ngx_http_conf_ctx_t>();
        let at = (&raw const ngx_http_upstream_module.ctx_index).read();
        (*(*context).srv_conf.add(at)).cast()
    }
}
