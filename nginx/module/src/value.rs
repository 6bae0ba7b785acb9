//! A variable that a directive names, and its value in a request.

use nginx_sys::{
    ngx_conf_t, ngx_http_compile_complex_value, ngx_http_compile_complex_value_t, ngx_http_complex_value,
    ngx_http_complex_value_t, ngx_http_request_t, ngx_pcalloc, ngx_str_t,
};
use std::mem;

use crate::OK;

/// A variable, or a text with variables in it; lives as long as its configuration.
#[derive(Clone, Copy)]
pub(crate) struct Value {
    compiled: *mut ngx_http_complex_value_t,
}

impl Value {
    /// The directive's first word; `None` if there is no variable in it, or nginx knows none of that form.
    ///
    /// # Safety
    /// nginx is reading a directive with a word behind its name.
    pub(crate) unsafe fn of(cf: *mut ngx_conf_t) -> Option<Self> {
        // SAFETY: the caller's promise; nginx's structures are plain, and 0 is what nginx itself begins them with.
        unsafe {
            let word = (*(*cf).args).elts.cast::<ngx_str_t>().add(1);
            if !(*word).as_bytes().contains(&b'$') {
                return None;
            }
            let compiled = ngx_pcalloc((*cf).pool, size_of::<ngx_http_complex_value_t>()).cast();
            let mut compile: ngx_http_compile_complex_value_t = mem::zeroed();
            compile.cf = cf;
            compile.value = word;
            compile.complex_value = compiled;
            let compiles = !compiled.is_null() && ngx_http_compile_complex_value(&raw mut compile) == OK;
            compiles.then_some(Self { compiled })
        }
    }

    /// What it is in this request, given to `with`; `None` if nginx has no memory for it.
    ///
    /// # Safety
    /// `request` is nginx's, under way, and of the same configuration.
    pub(crate) unsafe fn in_request<T>(
        self,
        request: *mut ngx_http_request_t,
        with: impl FnOnce(&[u8]) -> T,
    ) -> Option<T> {
        let mut text = ngx_str_t::empty();
        // SAFETY: the caller's promise.
        unsafe {
            (ngx_http_complex_value(request, self.compiled, &raw mut text) == OK)
                .then(|| with(text.as_bytes()))
        }
    }
}
