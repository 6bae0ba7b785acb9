//! When a switch ends by itself, as a person says it. Pure.

use std::str::FromStr;

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;
/// Nobody means a switch that ends in a year.
const DAYS_MAX: u64 = 365;

/// `30m`, `2h`, `1d`, or `14:00`: the next time that it is so by UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// So many ms from now.
    After(u64),
    /// At this ms of a day.
    At(u64),
}

impl Until {
    /// The moment, ms since 1970.
    pub(super) fn from(self, now_ms: u64) -> u64 {
        match self {
            Self::After(ms) => now_ms.saturating_add(ms),
            Self::At(of_day) => {
                let today = now_ms / DAY_MS * DAY_MS + of_day;
                if today > now_ms { today } else { today + DAY_MS }
            }
        }
    }
}

impl FromStr for Until {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str =
            "expected a time such as 30m, 2h or 1d, or the time of day by UTC, such as 14:00";
        let number = |text: &str| {
            let digits = (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| text.parse::<u64>().ok()).flatten()
        };
        if let Some((hour, minute)) = text.split_once(':') {
            let time = number(hour).zip(number(minute)).filter(|(hour, minute)| *hour < 24 && *minute < 60);
            let (hour, minute) = time.filter(|_| minute.len() == 2).ok_or(EXPECTED)?;
            return Ok(Self::At(hour * HOUR_MS + minute * MINUTE_MS));
        }
        let unit_ms = match text.chars().last() {
            Some('m') => MINUTE_MS,
            Some('h') => HOUR_MS,
            Some('d') => DAY_MS,
            _ => return Err(EXPECTED),
        };
        let count = number(&text[..text.len() - 1]).ok_or(EXPECTED)?;
        let ms = count * unit_ms;
        if ms == 0 || ms > DAYS_MAX * DAY_MS {
            Err("expected more than nothing, and at most 365d")
        } else {
            Ok(Self::After(ms))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn as_people_say_it() {
        let ten = 10 * HOUR_MS;
        let until = |text: &str| text.parse::<Until>().map(|until| until.from(5 * DAY_MS + ten));
        assert_eq!(until("30m"), Ok(5 * DAY_MS + ten + 30 * MINUTE_MS));
        assert_eq!(until("14:00"), Ok(5 * DAY_MS + 14 * HOUR_MS));
        assert_eq!(until("9:30"), Ok(6 * DAY_MS + 9 * HOUR_MS + 30 * MINUTE_MS));
        assert_eq!(until("10:00"), Ok(6 * DAY_MS + ten));
        for bad in ["", "m", "0m", "12", "24:00", "1:60", "1:5", "-1h", "366d", "99999d", "2 h", "ä", "1ä"]
        {
            assert!(until(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn it_is_always_ahead(text in "\\PC{0,6}", now_ms in 0u64..1 << 45) {
            if let Ok(until) = text.parse::<Until>() {
                prop_assert!(until.from(now_ms) > now_ms);
            }
        }
    }
}
