//! What the tests of archives and charts share.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::{
    path::Path,
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use switchboard_fleet::report::Sample;

/// The last full minute, seconds since 1970.
pub(crate) fn this_minute() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_secs()).unwrap() / 60 * 60
}

/// A sample that differs from minute to minute.
pub(crate) fn sample(n: u64) -> Sample {
    Sample {
        agents_u: n % 7,
        t_unique: n % 5,
        t_started: 12 * n % 100,
        t_completed: 11 * n % 90,
        t_failed: n % 3,
        bytes: 600_000 * (n % 9 + 1),
        duration: 100 * n % 7000,
        cpu: 6_000_000 * n,
        duration_avg: (n % 10) as f64 * 12.5,
    }
}

/// What Debian's own tool says about a file.
pub(crate) fn rrdtool(command: &str, archive: &Path, arguments: &[&str]) -> String {
    let output = Command::new("rrdtool")
        .arg(command)
        .arg(archive)
        .args(arguments)
        .output()
        .expect("rrdtool: run scripts/setup.sh");
    assert!(output.status.success(), "rrdtool {command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
