#![no_main]
//! The fleet's range on its way to a new master, as text and with a checksum that fits: what is taken is written as it was read.

use data_encoding::HEXLOWER;
use libfuzzer_sys::fuzz_target;
use sha2::{Digest, Sha256};
use switchboard_range::Handover;

fuzz_target!(|body: &str| {
    let _ = Handover::decode(body);
    let text = format!("{body}sha256 {}\n", HEXLOWER.encode(&Sha256::digest(body)));
    if let Ok(handover) = Handover::decode(&text) {
        assert_eq!(Handover::decode(&handover.encode()), Ok(handover));
    }
});
