#![no_main]
//! What controllers and the monitor tell each other, and what stays in service after an order.

use libfuzzer_sys::fuzz_target;
use switchboard_fleet::front::{Capacity, Member, Order, Parked, Waiting};

fuzz_target!(|bytes: &[u8]| {
    let _ = serde_json::from_slice::<Waiting>(bytes);
    let _ = serde_json::from_slice::<Member>(bytes);
    let _ = serde_json::from_slice::<Order>(bytes);
    let Ok(parked) = serde_json::from_slice::<Parked>(bytes) else { return };
    for upstream in &parked.table.upstreams {
        for backend in &upstream.backends {
            let off = Capacity::after(upstream, &backend.address, switchboard_fleet::front::Change::Off);
            assert!(off.after <= off.before);
        }
    }
});
