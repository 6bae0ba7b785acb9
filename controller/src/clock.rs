//! The time of day.

use std::time::{SystemTime, UNIX_EPOCH};

/// Ms since 1970.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// A moment for people who read it on the same day or soon after: `14:00 UTC`, `14:00 UTC, 3 days from now`.
pub(crate) fn moment(at_ms: u64, now_ms: u64) -> String {
    const DAY_MS: u64 = 24 * 3600 * 1000;
    let minute = at_ms % DAY_MS / 60_000;
    let days = (at_ms / DAY_MS).saturating_sub(now_ms / DAY_MS);
    let day = match days {
        0 => String::new(),
        1 => " tomorrow".to_owned(),
        days => format!(", {days} days from now"),
    };
    format!("{:02}:{:02} UTC{day}", minute / 60, minute % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_from_today() {
        const NOON_MS: u64 = 1_795_348_800_000 - 1_795_348_800_000 % 86_400_000 + 43_200_000;
        assert_eq!(moment(NOON_MS + 2 * 3_600_000 + 59_999, NOON_MS), "14:00 UTC");
        assert_eq!(moment(NOON_MS + 86_400_000, NOON_MS), "12:00 UTC tomorrow");
        assert_eq!(moment(NOON_MS + 3 * 86_400_000, NOON_MS), "12:00 UTC, 3 days from now");
    }
}
