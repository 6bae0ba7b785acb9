#![no_main]
//! Signatures and tokens: nothing but the right one is let in.

use std::time::SystemTime;

use http::{HeaderMap, HeaderValue, Method};
use libfuzzer_sys::fuzz_target;
use switchboard_fleet::{CustomerId, KeyRing, header};

fuzz_target!(|value: &[u8]| {
    let keys = KeyRing::new([[7u8; 32]]);
    let Some(id) = CustomerId::new(5) else { return };
    assert!(!keys.verify_token(id, value) || value == keys.token(id).as_bytes());
    if let Ok(value) = HeaderValue::from_bytes(value) {
        let headers = HeaderMap::from_iter([(header::SIGNATURE, value)]);
        assert!(keys.verify(&Method::POST, "/hello", &headers, SystemTime::now()).is_err());
    }
});
