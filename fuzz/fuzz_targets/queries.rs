#![no_main]
//! What browsers ask of the pages about backends, and what their forms say.

use libfuzzer_sys::fuzz_target;
use switchboard_pages::{SwitchForm, UpstreamsQuery};

fuzz_target!(|text: &str| {
    if let Ok(query) = UpstreamsQuery::parse(text) {
        let address = query.address();
        let asked = address.split_once('?').map_or("", |(_, asked)| asked);
        assert_eq!(UpstreamsQuery::parse(asked), Ok(query), "{address}");
    }
    if let Ok(form) = SwitchForm::parse(text) {
        let _ = form.order("1", "ada", 1_800_000_000_000);
    }
});
