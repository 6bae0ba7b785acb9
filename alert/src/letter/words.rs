//! Times and counts in words, and text that is safe in one line.

/// `14 min`, `2 h 5 min`, `3 days 4 h`; below a minute in seconds.
pub fn lasting(ms: u64) -> String {
    let seconds = ms / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let two = |big: String, small: u64, unit: &str| {
        if small == 0 { big } else { format!("{big} {small} {unit}") }
    };
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, _, _) => two(format!("{hours} h"), minutes % 60, "min"),
        (1, _, _) => two("1 day".into(), hours % 24, "h"),
        (_, _, _) => two(format!("{days} days"), hours % 24, "h"),
    }
}

/// `2026-11-22 19:03 UTC`.
pub fn moment(ms: u64) -> String {
    let (day, minute) = (ms / 86_400_000, ms / 60_000 % 1440);
    let (year, month, day) = date(day);
    format!("{year}-{month:02}-{day:02} {:02}:{:02} UTC", minute / 60, minute % 60)
}

/// Year, month and day, both from 1, of a day counted from 1970-01-01.
pub fn date(mut day: u64) -> (u64, u64, u64) {
    // Whole cycles of the calendar first: 400 years have 146,097 days.
    let mut year = 1970 + 400 * (day / 146_097);
    day %= 146_097;
    let leap = |y: u64| y.is_multiple_of(4) && (!y.is_multiple_of(100) || y.is_multiple_of(400));
    while day >= 365 + u64::from(leap(year)) {
        day -= 365 + u64::from(leap(year));
        year += 1;
    }
    let february = 28 + u64::from(leap(year));
    let mut month = 1;
    for days in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if day < days {
            break;
        }
        day -= days;
        month += 1;
    }
    (year, month, day + 1)
}

/// `one thing` or `N things`.
pub fn count(n: usize, one: &str, many: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {many}") }
}

/// One line without control characters, of at most `chars_max` characters.
pub fn line(text: &str, chars_max: usize) -> String {
    // Also what turns the direction of text or ends a line in some programs only.
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    let plain: String = text.chars().map(|c| if hidden(c) { ' ' } else { c }).collect();
    let plain = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    if plain.chars().count() <= chars_max {
        return plain;
    }
    plain.chars().take(chars_max.saturating_sub(3)).chain("...".chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_words() {
        let table = [
            (0, "0 s"),
            (59_999, "59 s"),
            (60_000, "1 min"),
            (14 * 60_000 + 59_999, "14 min"),
            (3_600_000, "1 h"),
            (7_500_000, "2 h 5 min"),
            (86_400_000, "1 day"),
            (100 * 3_600_000, "4 days 4 h"),
        ];
        for (ms, words) in table {
            assert_eq!(lasting(ms), words);
        }
    }

    #[test]
    fn moments_as_date_says_them() {
        let table = [
            (0, "1970-01-01 00:00 UTC"),
            (951_782_400_000, "2000-02-29 00:00 UTC"),
            (951_868_800_000, "2000-03-01 00:00 UTC"),
            (1_795_374_180_000, "2026-11-22 19:03 UTC"),
            (4_107_542_399_999, "2100-02-28 23:59 UTC"),
            (4_107_542_400_000, "2100-03-01 00:00 UTC"),
            (1_735_689_599_000, "2024-12-31 23:59 UTC"),
        ];
        for (ms, words) in table {
            assert_eq!(moment(ms), words);
        }
    }

    #[test]
    fn a_line_is_one_line() {
        assert_eq!(line("a\r\nBcc: b\u{2028}c\u{202e}d\0", 99), "a Bcc: b c d");
        assert_eq!(line("abcdefgh", 6), "abc...");
        assert_eq!(line("abcdef", 6), "abcdef");
    }
}
