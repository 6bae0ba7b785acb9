#![no_main]
//! See `switchboard_instance::fuzzing::announcement`.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| switchboard_instance::fuzzing::announcement(bytes));
