//! Response times by the minute, as a picture and in numbers.

use std::fmt::Write;

use askama::filters::Safe;
use switchboard_fleet::front::Heat;

use crate::{moment, numbers::thousands};

/// Columns and rows that are drawn at most, so that no table makes a page without end.
const COLUMNS_MAX: usize = 60;
const ROWS_MAX: usize = 40;
/// Shades, besides none.
const SHADES: u32 = 8;
/// Minutes in one line of the numbers.
const SPAN: usize = 10;
const MINUTE_MS: u64 = 60_000;

// In units of the picture.
const LEFT: usize = 74;
const WIDE: usize = 12;
const HIGH: usize = 15;

/// One line of the numbers.
pub(crate) struct Line {
    /// Its first minute, and the minute behind its last, ms since 1970.
    pub(crate) from_ms: u64,
    pub(crate) to_ms: u64,
    pub(crate) count: String,
    pub(crate) p50: String,
    pub(crate) p99: String,
}

/// The newest columns.
fn columns(heat: &Heat) -> &[Vec<u64>] {
    &heat.columns[heat.columns.len().saturating_sub(COLUMNS_MAX)..]
}

/// When the column at `at` of `all` began, ms since 1970.
fn minute(heat: &Heat, all: usize, at: usize) -> u64 {
    heat.until_ms.saturating_sub((all - 1 - at) as u64 * MINUTE_MS)
}

/// Rows from short times to long ones, drawn from below; the darker, the more requests.
pub(crate) fn picture(heat: &Heat) -> Safe<String> {
    let columns = columns(heat);
    let rows = (heat.bounds_ms.len() + 1).min(ROWS_MAX);
    let most = columns.iter().flatten().copied().max().unwrap_or(0);
    let (width, height) = (LEFT + COLUMNS_MAX * WIDE + 2, rows * HIGH + 22);
    let mut out = format!(
        "<svg class=\"heat\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" aria-hidden=\"true\">"
    );
    // Writing to a String does not fail.
    let y = |row: usize| (rows - 1 - row) * HIGH;
    for row in 0..rows {
        let _ = write!(
            out,
            "<text x=\"{}\" y=\"{}\" class=\"end\">{}</text>",
            LEFT - 6,
            y(row) + 11,
            bound(heat, row)
        );
    }
    let _ = write!(
        out,
        "<rect x=\"{LEFT}\" y=\"0\" width=\"{}\" height=\"{}\" class=\"ground\"/>",
        COLUMNS_MAX * WIDE,
        rows * HIGH
    );
    let first = COLUMNS_MAX - columns.len();
    for (at, column) in columns.iter().enumerate() {
        let x = LEFT + (first + at) * WIDE;
        for (row, count) in column.iter().take(rows).enumerate().filter(|(_, count)| **count > 0) {
            let shade = shade(*count, most);
            let _ = write!(
                out,
                "<rect x=\"{x}\" y=\"{}\" width=\"{}\" height=\"{}\" class=\"s{shade}\"/>",
                y(row),
                WIDE - 1,
                HIGH - 1
            );
        }
        let began_ms = minute(heat, columns.len(), at);
        if (began_ms / MINUTE_MS).is_multiple_of(SPAN as u64) {
            let _ = write!(out, "<text x=\"{x}\" y=\"{}\">{}</text>", rows * HIGH + 16, of_day(began_ms));
        }
    }
    out.push_str("</svg>");
    Safe(out)
}

/// From 1 to [`SHADES`]: each is about as many times more than the one before.
fn shade(count: u64, most: u64) -> u32 {
    let part = ((count as f64) + 1.0).ln() / ((most as f64) + 1.0).ln();
    ((part * f64::from(SHADES)).ceil() as u32).clamp(1, SHADES)
}

/// `≤ 50 ms`; `longer` for the last row.
fn bound(heat: &Heat, row: usize) -> String {
    match heat.bounds_ms.get(row) {
        Some(ms) if *ms >= 1000 && ms.is_multiple_of(100) => format!("≤ {} s", *ms as f64 / 1000.0),
        Some(ms) => format!("≤ {} ms", thousands(*ms as f64)),
        None => "longer".into(),
    }
}

/// `19:03`.
fn of_day(ms: u64) -> String {
    format!("{:02}:{:02}", ms / 3_600_000 % 24, ms / MINUTE_MS % 60)
}

/// The same in numbers: ten minutes a line, the newest first.
pub(crate) fn lines(heat: &Heat) -> Vec<Line> {
    let columns = columns(heat);
    let mut lines: Vec<Line> = Vec::new();
    let mut end = columns.len();
    while end > 0 {
        let start = end.saturating_sub(SPAN);
        let mut rows = vec![0_u64; heat.bounds_ms.len() + 1];
        for column in &columns[start..end] {
            for (sum, count) in rows.iter_mut().zip(column) {
                *sum = sum.saturating_add(*count);
            }
        }
        let all = rows.iter().fold(0, |sum: u64, count| sum.saturating_add(*count));
        lines.push(Line {
            from_ms: minute(heat, columns.len(), start),
            to_ms: minute(heat, columns.len(), end - 1).saturating_add(MINUTE_MS),
            count: thousands(all as f64),
            p50: quantile(heat, &rows, all, 50),
            p99: quantile(heat, &rows, all, 99),
        });
        end = start;
    }
    lines
}

/// In which row the request is that is longer than `percent` of all of them.
fn quantile(heat: &Heat, rows: &[u64], all: u64, percent: u64) -> String {
    if all == 0 {
        return "–".into();
    }
    let wanted = (u128::from(all) * u128::from(percent)).div_ceil(100);
    let mut sum = 0_u128;
    for (row, count) in rows.iter().enumerate() {
        sum += u128::from(*count);
        if sum >= wanted {
            return match heat.bounds_ms.get(row) {
                Some(_) => bound(heat, row),
                None => heat
                    .bounds_ms
                    .last()
                    .map_or("–".into(), |ms| format!("over {} ms", thousands(*ms as f64))),
            };
        }
    }
    "–".into()
}

/// `19:03 to 19:13 UTC`.
pub(crate) fn span(line: &Line) -> Safe<String> {
    Safe(format!("{} to {}", moment::minute(&line.from_ms), moment::minute(&line.to_ms)))
}

#[cfg(test)]
mod tests {
    use switchboard_fleet::front::Place;

    use super::*;

    fn heat(columns: Vec<Vec<u64>>) -> Heat {
        let place = Place { upstream: "instances".into(), backend: "127.0.0.1:8081".into() };
        Heat { place, until_ms: 1_795_374_180_000, bounds_ms: vec![10, 100, 1500], columns }
    }

    #[test]
    fn numbers_of_ten_minutes() {
        let mut columns = vec![vec![]; 45];
        columns[44] = vec![98, 0, 1, 1];
        columns[36] = vec![0, 0, 0, u64::MAX];
        let heat = heat(columns);
        let lines = lines(&heat);
        assert_eq!(lines.len(), 5);
        assert_eq!((&*lines[0].p50, &*lines[0].p99), ("over 1,500 ms", "over 1,500 ms"));
        assert_eq!((&*lines[1].count, &*lines[1].p50), ("0", "–"));
        assert_eq!(lines[0].to_ms - lines[0].from_ms, 600_000);
        assert_eq!(lines[4].to_ms - lines[4].from_ms, 300_000);
        assert_eq!(quantile(&heat, &[98, 0, 1, 1], 100, 99), "≤ 1.5 s");
        assert_eq!(quantile(&heat, &[98, 0, 1, 1], 100, 50), "≤ 10 ms");
    }

    #[test]
    fn pictures_have_bounds() {
        let wild = heat(vec![vec![u64::MAX; 500]; 500]);
        let drawn = picture(&wild).0;
        assert!(drawn.matches("<rect").count() <= COLUMNS_MAX * 4 + 1 && drawn.contains("class=\"s8\""));
        assert!(picture(&heat(vec![])).0.ends_with("</svg>"));
        assert_eq!((shade(1, 1), shade(1, 1_000_000), shade(900, 1_000_000)), (8, 1, 4));
    }
}
