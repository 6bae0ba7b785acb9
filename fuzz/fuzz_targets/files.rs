#![no_main]
//! Files that an operator brings: keys and ledgers. Unreadable ones are errors, never panics.

use std::{fs, os::unix::fs::PermissionsExt};

use libfuzzer_sys::fuzz_target;
use switchboard_fleet::KeyRing;
use switchboard_range::Ledger;

fuzz_target!(|bytes: &[u8]| {
    let Ok(folder) = tempfile::tempdir() else { return };
    let path = folder.path().join("file");
    if fs::write(&path, bytes).and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o600))).is_err() {
        return;
    }
    let _ = KeyRing::read(&path);
    let _ = Ledger::read_only(&path);
});
