//! Moments and spans, as pages show and take them.

use askama::filters::Safe;
use switchboard_alert::letter::{date, lasting, moment};

const DAY_MS: u64 = 86_400_000;

/// A `<time>` that reads `2026-11-22 19:03 UTC`.
pub(crate) fn time(ms: &u64) -> Safe<String> {
    Safe(format!("<time datetime=\"{}\">{}</time>", machine(*ms), moment(*ms)))
}

/// A `<time>` that reads `2026-11-22 19:03:07 UTC`.
pub(crate) fn second(ms: &u64) -> Safe<String> {
    let words = moment(*ms).replace(" UTC", &format!(":{:02} UTC", ms / 1000 % 60));
    Safe(format!("<time datetime=\"{}\">{words}</time>", machine(*ms)))
}

/// A `<time>` that reads `19:03:07 UTC` if it is less than half a day away, and else as [`second`].
pub(crate) fn clock(now_ms: &u64, ms: &u64) -> Safe<String> {
    if now_ms.abs_diff(*ms) >= DAY_MS / 2 {
        return second(ms);
    }
    let of_day = moment(*ms)
        .split(' ')
        .nth(1)
        .map_or(String::new(), |minute| format!("{minute}:{:02} UTC", ms / 1000 % 60));
    Safe(format!("<time datetime=\"{}\" title=\"{}\">{of_day}</time>", machine(*ms), moment(*ms)))
}

/// A `<time>` that reads `19:03 UTC`.
pub(crate) fn minute(ms: &u64) -> Safe<String> {
    let words = moment(*ms);
    let of_day = words.split_once(' ').map_or(&*words, |(_, of_day)| of_day);
    Safe(format!("<time datetime=\"{}\" title=\"{words}\">{of_day}</time>", machine(*ms)))
}

/// A `<time>` that reads `3 s ago`, and on asking says when that was.
pub(crate) fn since(now_ms: &u64, ms: &u64) -> Safe<String> {
    let (at, words) = (moment(*ms), ago(*now_ms, *ms));
    Safe(format!("<time datetime=\"{}\" title=\"{at}\">{words}</time>", machine(*ms)))
}

/// `3 s ago`; `in 2 min` for what is to come, also by another machine's clock.
pub(crate) fn ago(now_ms: u64, ms: u64) -> String {
    match (now_ms.saturating_sub(ms), ms.saturating_sub(now_ms)) {
        (0..1000, 0..2000) => "just now".into(),
        (past, 0) => format!("{} ago", lasting(past)),
        (_, ahead) => format!("in {}", lasting(ahead)),
    }
}

/// As machines read it, to the millisecond.
fn machine(ms: u64) -> String {
    let (year, month, day) = date(ms / DAY_MS);
    let of_day = ms % DAY_MS;
    let (hour, minute, second) = (of_day / 3_600_000, of_day / 60_000 % 60, of_day / 1000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", ms % 1000)
}

/// The first moment of `2026-11-22`, `2026-11-22T19:03` or `2026-11-22T19:03:07` in UTC, perhaps with a `Z`, and how many ms that names.
pub(crate) fn parse(text: &str) -> Option<(u64, u64)> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (day, time) = text.split_once(['T', ' ']).map_or((text, None), |(day, time)| (day, Some(time)));
    let [year, month, day] = parts(day, '-')?[..] else { return None };
    let day_ms = day_of(year, month, day)?.checked_mul(DAY_MS)?;
    let Some(time) = time else { return Some((day_ms, DAY_MS)) };
    let (hour, minute, second, span_ms) = match parts(time, ':')?[..] {
        [hour, minute] => (hour, minute, 0, 60_000),
        [hour, minute, second] => (hour, minute, second, 1000),
        _ => return None,
    };
    let known = hour < 24 && minute < 60 && second < 60;
    known.then(|| (day_ms + ((hour * 60 + minute) * 60 + second) * 1000, span_ms))
}

fn parts(text: &str, between: char) -> Option<Vec<u64>> {
    let number = |part: &str| {
        let digits = (1..=4).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        if digits { part.parse().ok() } else { None }
    };
    text.split(between).map(number).collect()
}

/// The day counted from 1970-01-01, found in the calendar of letters.
fn day_of(year: u64, month: u64, day: u64) -> Option<u64> {
    // The day is at most so far after the first of January of its year, of which at most so many were leap years.
    let first = year.checked_sub(1970)? * 365 + (year - 1969) / 4 - (year - 1901) / 100 + (year - 1601) / 400;
    (first..first + 366).find(|at| date(*at) == (year, month, day))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW_MS: u64 = 1_795_374_187_123;

    #[test]
    fn ages_in_words() {
        let table = [
            (0, "just now"),
            (999, "just now"),
            (3_000, "3 s ago"),
            (840_000, "14 min ago"),
            (7_500_000, "2 h 5 min ago"),
            (90_000_000, "1 day 1 h ago"),
        ];
        for (past, words) in table {
            assert_eq!(ago(NOW_MS, NOW_MS - past), words);
        }
        assert_eq!(ago(NOW_MS, NOW_MS + 120_000), "in 2 min");
        assert!(ago(0, u64::MAX).starts_with("in "));
    }

    #[test]
    fn times_for_people_and_machines() {
        let expected = "<time datetime=\"2026-11-22T19:03:07.123Z\">2026-11-22 19:03 UTC</time>";
        assert_eq!(time(&NOW_MS).0, expected);
        assert!(second(&NOW_MS).0.contains(">2026-11-22 19:03:07 UTC<"));
        assert!(clock(&(NOW_MS - 60_000), &NOW_MS).0.ends_with(">19:03:07 UTC</time>"));
        assert_eq!(clock(&0, &NOW_MS).0, second(&NOW_MS).0);
        assert!(since(&NOW_MS, &(NOW_MS - 3000)).0.contains("title=\"2026-11-22 19:03 UTC\">3 s ago<"));
        assert!(time(&u64::MAX).0.ends_with("UTC</time>"));
    }

    #[test]
    fn what_people_type() {
        assert_eq!(parse("2026-11-22T19:03"), Some((1_795_374_180_000, 60_000)));
        assert_eq!(parse("2026-11-22 19:03:07Z"), Some((1_795_374_187_000, 1000)));
        assert_eq!(parse("1970-01-01"), Some((0, DAY_MS)));
        for none in [
            "",
            "2026",
            "2026-02-29",
            "1969-12-31",
            "2026-11-22T24:00",
            "2026-11-22T1",
            "+026-11-22",
            "99999-01-01",
            "a-b-c",
        ] {
            assert_eq!(parse(none), None, "{none}");
        }
    }

    proptest! {
        #[test]
        fn what_machines_read_is_taken_back(ms in 0_u64..253_402_300_799_000) {
            let text = machine(ms);
            prop_assert_eq!(parse(&text[..19]), Some((ms - ms % 1000, 1000)));
        }

        #[test]
        fn no_text_breaks_it(text in "\\PC{0,24}|[0-9]{0,5}-[0-9]{0,3}-[0-9]{0,3}T?[0-9:]{0,9}") {
            let _ = parse(&text);
        }
    }
}
