#![no_main]
//! The module's question in nginx: what is taken is within its bounds.

use libfuzzer_sys::fuzz_target;
use switchboard_counts::Query;

fuzz_target!(|bytes: &[u8]| {
    let _ = Query::read(bytes);
});
