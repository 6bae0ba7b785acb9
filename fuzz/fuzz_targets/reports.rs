#![no_main]
//! What programs report: whatever is read can be written, and read again as the same.

use libfuzzer_sys::fuzz_target;
use switchboard_fleet::report::Batch;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(batch) = serde_json::from_slice::<Batch>(bytes) {
        let text = serde_json::to_vec(&batch).expect("what was read can be written");
        let again: Batch = serde_json::from_slice(&text).expect("what was written can be read");
        assert_eq!(again.reports.len(), batch.reports.len());
    }
});
