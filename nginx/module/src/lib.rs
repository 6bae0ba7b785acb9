//! An nginx module that counts per backend and switches backends, for all workers at once.
//!
//! The way through it: `directives` are read, `conf` makes the shared zone and wraps what every upstream begins a request
//! with; `upstreams` walks the backends once nginx is through with the configuration; `route` gives a request to the
//! backend it means; `call` goes along with each request and counts into `shared`; `status` answers questions, `orders`
//! takes switches, shares, leases and who joins and leaves, which `switch` and `slots` put into nginx's own peers.
//!
//! Everything belongs to one configuration of nginx and ends with it. No state is kept in statics: after a reload
//! that failed, the master goes on with the configuration before.

mod address;
mod call;
mod conf;
mod directives;
mod orders;
mod route;
mod shared;
mod slots;
mod status;
mod switch;
mod upstreams;
mod value;

use std::{
    ffi::{c_char, c_void},
    ptr,
    time::{SystemTime, UNIX_EPOCH},
};

use nginx_sys::{
    NGX_CONF_NOARGS, NGX_CONF_TAKE1, NGX_HTTP_LOC_CONF, NGX_HTTP_LOC_CONF_OFFSET, NGX_HTTP_MAIN_CONF,
    NGX_HTTP_MAIN_CONF_OFFSET, NGX_HTTP_MODULE, NGX_HTTP_UPS_CONF, ngx_command_t, ngx_conf_t,
    ngx_http_module_t, ngx_int_t, ngx_module_t, ngx_str_t, ngx_uint_t,
};

const OK: ngx_int_t = nginx_sys::NGX_OK as ngx_int_t;
const ERROR: ngx_int_t = nginx_sys::NGX_ERROR as ngx_int_t;

/// What nginx loads.
// nginx itself writes to the module's own number and to the directives' table: `mut`, and only nginx's.
#[unsafe(no_mangle)]
pub static mut ngx_http_switchboard_module: ngx_module_t = ngx_module_t {
    ctx: (&raw const CONTEXT).cast_mut().cast(),
    commands: (&raw const COMMANDS).cast_mut().cast(),
    type_: NGX_HTTP_MODULE as ngx_uint_t,
    init_module: Some(conf::init_module),
    ..ngx_module_t::default()
};

static CONTEXT: ngx_http_module_t = ngx_http_module_t {
    preconfiguration: Some(conf::preconfiguration),
    postconfiguration: Some(conf::postconfiguration),
    create_main_conf: Some(conf::create_main),
    init_main_conf: None,
    create_srv_conf: None,
    merge_srv_conf: None,
    create_loc_conf: None,
    merge_loc_conf: None,
};

static mut COMMANDS: [ngx_command_t; 5] = [
    command(
        c"switchboard_status",
        NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS,
        NGX_HTTP_LOC_CONF_OFFSET,
        directives::set_status,
    ),
    command(
        c"switchboard_zone",
        NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1,
        NGX_HTTP_MAIN_CONF_OFFSET,
        directives::set_zone,
    ),
    command(
        c"switchboard_route",
        NGX_HTTP_UPS_CONF | NGX_CONF_TAKE1,
        NGX_HTTP_MAIN_CONF_OFFSET,
        directives::set_route,
    ),
    command(
        c"switchboard_untimed",
        NGX_HTTP_UPS_CONF | NGX_CONF_TAKE1,
        NGX_HTTP_MAIN_CONF_OFFSET,
        directives::set_untimed,
    ),
    ngx_command_t::empty(),
];

type Set = unsafe extern "C" fn(*mut ngx_conf_t, *mut ngx_command_t, *mut c_void) -> *mut c_char;

const fn command(name: &'static std::ffi::CStr, form: u32, conf: usize, set: Set) -> ngx_command_t {
    ngx_command_t {
        name: word(name),
        type_: form as ngx_uint_t,
        set: Some(set),
        conf,
        offset: 0,
        post: ptr::null_mut(),
    }
}

/// A list that nginx reads and never writes.
#[repr(transparent)]
pub struct Listed<T>(T);

// SAFETY: pointers to statics, read by nginx's only thread.
unsafe impl<T> Sync for Listed<T> {}

/// nginx looks for these three by name in what it loads.
#[unsafe(no_mangle)]
pub static ngx_modules: Listed<[*const ngx_module_t; 2]> =
    Listed([&raw const ngx_http_switchboard_module, ptr::null()]);
/// See [`ngx_modules`].
#[unsafe(no_mangle)]
pub static ngx_module_names: Listed<[*const c_char; 2]> =
    Listed([c"ngx_http_switchboard_module".as_ptr(), ptr::null()]);
/// See [`ngx_modules`]; in no particular order.
#[unsafe(no_mangle)]
pub static ngx_module_order: Listed<[*const c_char; 1]> = Listed([ptr::null()]);

const fn word(text: &'static std::ffi::CStr) -> ngx_str_t {
    ngx_str_t { len: text.count_bytes(), data: text.as_ptr().cast_mut().cast() }
}

/// The module's number among nginx's of the kind "http".
fn number() -> usize {
    // SAFETY: written by nginx while it reads a configuration, in this only thread.
    unsafe { (&raw const ngx_http_switchboard_module.ctx_index).read() }
}

/// What tells this module's shared memory from that of others, and of other builds of it.
fn tag() -> *mut c_void {
    (&raw mut ngx_http_switchboard_module).cast()
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64)
}

/// A text of nginx's as Rust's; what is no UTF-8 is replaced.
///
/// # Safety
/// `text` is initialised, and lives while this runs.
unsafe fn owned(text: &ngx_str_t) -> String {
    String::from_utf8_lossy(text.as_bytes()).into_owned()
}
