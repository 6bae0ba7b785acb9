//! When a backend of the front is taken out, and how it comes back.

use serde::Deserialize;

use super::Seconds;

/// The rules of health, as an operator sets them. What each means in full is said at `Limits` in `health/`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct Health {
    /// Whether backends are taken out at all; else only said what is seen.
    pub eject: bool,
    /// How often each instance is asked how it is.
    pub check_every: Seconds,
    /// It must say so within this.
    pub check_within: Seconds,
    /// So many bad checks in a row take it out.
    pub bad_checks: u32,
    /// So many good ones in a row are asked for before it is back. 0: time alone decides.
    pub good_checks: u32,
    /// The failures of requests that count against a backend.
    pub failures: Vec<String>,
    /// How far back requests are counted, whole seconds.
    pub window: Seconds,
    /// Fewer requests within the window say nothing.
    pub requests_min: u32,
    /// The share of failures from which a backend is bad.
    pub failed_share: f64,
    /// By how much its share must be above that of the backend in the middle.
    pub margin_share: f64,
    /// The most that may be out at a time, as a share of those switched on.
    pub out_share_max: f64,
    /// How long a backend is out at least, whole seconds; twice as long with each time in a row.
    pub cool_off: Seconds,
    /// The longest that becomes.
    pub cool_off_max: Seconds,
    /// From a part of the traffic to all of it takes so long, whole seconds. 0: at once.
    pub slow_start: Seconds,
    /// Somebody is told when 1 of 100 answers takes longer than this. 0: never.
    pub slow_over: Seconds,
    /// When that has lasted so long.
    pub slow_for: Seconds,
}

impl Health {
    /// The failures that can count.
    pub const KNOWN: [&str; 10] = [
        "refused",
        "connect-timeout",
        "write-timeout",
        "read-timeout",
        "cut",
        "500",
        "502",
        "503",
        "504",
        "other",
    ];
}

impl Default for Health {
    /// What an agent or an app can cause does not count: a body cut short, an answer 502 or 504.
    fn default() -> Self {
        Self {
            eject: true,
            check_every: Seconds::from_secs(1),
            check_within: Seconds::from_secs(3),
            bad_checks: 3,
            good_checks: 3,
            failures: ["refused", "connect-timeout", "read-timeout", "other"].map(Into::into).into(),
            window: Seconds::from_secs(10),
            requests_min: 10,
            failed_share: 0.2,
            margin_share: 0.1,
            out_share_max: 0.5,
            cool_off: Seconds::from_secs(10),
            cool_off_max: Seconds::from_secs(300),
            slow_start: Seconds::from_secs(30),
            slow_over: Seconds::from_secs(5),
            slow_for: Seconds::from_secs(300),
        }
    }
}
