//! The limits that an operator can set.

use serde::{Deserialize, Serialize};

use crate::Cause;

/// By what a backend is judged. Shares are from 0 to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// The failures that count. Default: all but 500, which a program gives as an answer. 503 and 504 should be left out if the backends
    /// give them as answers too.
    pub causes: Vec<Cause>,
    /// How far back requests are counted, in s. Default 10.
    pub window_s: u64,
    /// Fewer requests than these in the window say nothing. Default 10.
    pub requests_min: u32,
    /// Fewer failures than these in the window say nothing. Default 10.
    pub failures_min: u32,
    /// The share of failures from which a backend is bad. Default 0.2.
    pub failed_share: f64,
    /// By how much its share must be above that of the backend in the middle; else all are bad alike, and it is not the backend. Default 0.1.
    pub margin_share: f64,
    /// So many refused connections, with at least half of the requests refused, are a dead process at once. Default 3.
    pub refused: u32,
    /// Within what time they must be, in ms. Default 2000.
    pub refused_within_ms: u64,
    /// So many bad active checks in a row take a backend out. Default 3.
    pub bad_checks: u32,
    /// So many good ones in a row are asked for before it is back. Default 3; 0: there are no active checks, time alone decides.
    pub good_checks: u32,
    /// A check that takes longer is bad, in ms. Default 3000.
    pub check_max_ms: u32,
    /// The most that may be out, as a share of the backends that are switched on; the last one never is. Default 0.5.
    pub out_share_max: f64,
    /// How long a backend is out at least, in s; twice as long with each ejection in a row. Default 10.
    pub cool_off_s: u64,
    /// The longest that becomes, in s. Default 300.
    pub cool_off_max_s: u64,
    /// After so long in full service, in s, one of the ejections in a row is forgotten. Default 60.
    pub forgive_s: u64,
    /// How long it takes from the first share of traffic to the full one, in s; 0: at once. Default 30.
    pub slow_start_s: u64,
    /// With what percentage of its weight a backend begins. Default 10.
    pub slow_start_percent: u8,
    /// Panic mode ends when so few have been bad for so long, in s, that they may be out. Default 10.
    pub panic_calm_s: u64,
    /// Looks further apart than this, in ms: nobody looked in between, and what was counted is not judged. Default 5000.
    pub gap_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            causes: Cause::ALL.into_iter().filter(|cause| *cause != Cause::Status500).collect(),
            window_s: 10,
            requests_min: 10,
            failures_min: 10,
            failed_share: 0.2,
            margin_share: 0.1,
            refused: 3,
            refused_within_ms: 2000,
            bad_checks: 3,
            good_checks: 3,
            check_max_ms: 3000,
            out_share_max: 0.5,
            cool_off_s: 10,
            cool_off_max_s: 300,
            forgive_s: 60,
            slow_start_s: 30,
            slow_start_percent: 10,
            panic_calm_s: 10,
            gap_ms: 5000,
        }
    }
}

/// A limit that cannot be.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{name} is {value}: choose {from} to {to}")]
pub struct BadLimit {
    /// The field of [`Limits`].
    pub name: &'static str,
    /// What it is.
    pub value: f64,
    /// The least that it may be.
    pub from: f64,
    /// The most that it may be.
    pub to: f64,
}

impl Limits {
    /// Whether these limits can be. [`Health`](crate::Health) takes others too, and does something, but nothing useful.
    ///
    /// # Errors
    /// The first field that is out of its bounds.
    pub fn check(&self) -> Result<(), BadLimit> {
        const DAY_S: f64 = 86_400.0;
        let cool_off = self.cool_off_s as f64;
        let bounds = [
            ("window_s", self.window_s as f64, 3.0, 60.0),
            ("requests_min", self.requests_min.into(), 1.0, 1e6),
            ("failures_min", self.failures_min.into(), 1.0, 1e6),
            ("failed_share", self.failed_share, 0.01, 1.0),
            ("margin_share", self.margin_share, 0.0, 0.9),
            ("refused", self.refused.into(), 1.0, 1e6),
            ("refused_within_ms", self.refused_within_ms as f64, 1000.0, 60_000.0),
            ("bad_checks", self.bad_checks.into(), 1.0, 1000.0),
            ("good_checks", self.good_checks.into(), 0.0, 1000.0),
            ("check_max_ms", self.check_max_ms.into(), 1.0, 600_000.0),
            ("out_share_max", self.out_share_max, 0.0, 1.0),
            ("cool_off_s", cool_off, 1.0, DAY_S),
            ("cool_off_max_s", self.cool_off_max_s as f64, cool_off.max(1.0), 7.0 * DAY_S),
            ("forgive_s", self.forgive_s as f64, 1.0, 7.0 * DAY_S),
            ("slow_start_s", self.slow_start_s as f64, 0.0, DAY_S),
            ("slow_start_percent", self.slow_start_percent.into(), 1.0, 100.0),
            ("panic_calm_s", self.panic_calm_s as f64, 1.0, DAY_S),
            ("gap_ms", self.gap_ms as f64, 2000.0, 60_000.0),
        ];
        for (name, value, from, to) in bounds {
            // So written that NaN is none of them.
            if !(from..=to).contains(&value) {
                return Err(BadLimit { name, value, from, to });
            }
        }
        Ok(())
    }

    /// How many of so many backends may be out.
    pub(crate) fn out_max(&self, backends: usize) -> usize {
        // A little more, as 0.29 * 100 is less than 29.
        let share = (backends as f64 * self.out_share_max + 1e-9) as usize;
        share.min(backends.saturating_sub(1))
    }

    /// How long the `row`th ejection in a row lasts at least, in ms.
    pub(crate) fn cool_off_ms(&self, row: u32) -> u64 {
        let factor = 1u64.checked_shl(row.saturating_sub(1)).unwrap_or(u64::MAX);
        self.cool_off_s.saturating_mul(factor).min(self.cool_off_max_s).saturating_mul(1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_good_and_odd_ones_are_named() {
        Limits::default().check().unwrap();
        let error = Limits { window_s: 0, ..Limits::default() }.check().unwrap_err();
        assert_eq!(error.to_string(), "window_s is 0: choose 3 to 60");
        assert_eq!(
            Limits { failed_share: f64::NAN, ..Limits::default() }.check().unwrap_err().name,
            "failed_share"
        );
        let error = Limits { cool_off_s: 400, ..Limits::default() }.check().unwrap_err();
        assert_eq!(error.to_string(), "cool_off_max_s is 300: choose 400 to 604800");
    }

    #[test]
    fn how_many_may_be_out() {
        let table = [
            (0, 0.5, 0),
            (1, 0.5, 0),
            (2, 0.5, 1),
            (3, 0.5, 1),
            (4, 0.5, 2),
            (3, 1.0, 2),
            (100, 0.29, 29),
            (9, 0.0, 0),
        ];
        for (backends, out_share_max, out) in table {
            let limits = Limits { out_share_max, ..Limits::default() };
            assert_eq!(limits.out_max(backends), out, "{out_share_max} of {backends}");
        }
    }

    #[test]
    fn the_cool_off_doubles_up_to_its_bound() {
        let limits = Limits::default();
        let seconds: Vec<u64> = (1..=7).map(|row| limits.cool_off_ms(row) / 1000).collect();
        assert_eq!(seconds, [10, 20, 40, 80, 160, 300, 300]);
        assert_eq!(limits.cool_off_ms(u32::MAX), 300_000);
    }

    #[test]
    fn limits_are_read_by_name() {
        let limits: Limits =
            serde_json::from_str(r#"{"window_s": 20, "causes": ["refused", "502"]}"#).unwrap();
        assert_eq!(
            (limits.window_s, limits.causes.as_slice()),
            (20, &[Cause::Refused, Cause::Status502][..])
        );
        assert!(serde_json::from_str::<Limits>(r#"{"windows": 20}"#).is_err());
    }
}
