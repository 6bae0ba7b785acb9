#![no_main]
//! Server names and customer IDs, as they come in headers: what is taken is written as it was read.

use libfuzzer_sys::fuzz_target;
use switchboard_fleet::{CustomerId, ServerName};

fuzz_target!(|text: &str| {
    if let Ok(name) = text.parse::<ServerName>() {
        assert_eq!(name.to_string(), text);
        assert!(name.url("/ping").parse::<http::Uri>().is_ok(), "{text:?}");
    }
    if let Ok(id) = text.parse::<CustomerId>() {
        assert_eq!(id.to_string(), text.trim_start_matches('0'));
    }
});
