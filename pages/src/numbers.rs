//! Numbers with units.

use switchboard_archive::Unit;

/// A number of a chart's table.
pub(crate) fn of_unit(unit: Unit, value: Option<f64>) -> String {
    let Some(value) = value.filter(|value| value.is_finite()) else { return "–".into() };
    match unit {
        Unit::Percent => format!("{} %", short(value)),
        Unit::BitsPerSecond => scaled(value, "bit/s"),
        Unit::PerMinute => short(value),
        Unit::Seconds if value < 0.9995 => format!("{} ms", short(value * 1000.0)),
        Unit::Seconds => format!("{} s", short(value)),
    }
}

/// The unit as a table's caption has it.
pub(crate) fn unit_words(unit: Unit) -> &'static str {
    match unit {
        Unit::Percent => "percent of a core",
        Unit::BitsPerSecond => "bits per second",
        Unit::PerMinute => "per minute",
        Unit::Seconds => "time",
    }
}

/// Bytes as `1.2 GB`, powers of 1000.
pub(crate) fn bytes(value: f64) -> String {
    scaled(value, "B")
}

/// Memory as `12.3 MiB`, powers of 1024.
pub(crate) fn memory(bytes: &u64) -> String {
    let (mut value, mut unit) = (*bytes as f64, "B");
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 1024.0 {
            break;
        }
        (value, unit) = (value / 1024.0, next);
    }
    format!("{} {unit}", short(value))
}

/// A share of a core as `12.3 %`.
pub(crate) fn percent(share: &f64) -> String {
    format!("{} %", short(share * 100.0))
}

/// Three digits that count, at most one of them behind the point from 10 on: `0.00`, `1.23`, `12.3`, `1,234`.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        size if size < 9.995 => format!("{value:.2}"),
        size if size < 99.95 => format!("{value:.1}"),
        _ => thousands(value),
    }
}

/// A whole number with its thousands apart.
pub(crate) fn thousands(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut out = String::from(if value < 0.0 { "-" } else { "" });
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A number of things.
pub(crate) fn count(n: &u64) -> String {
    thousands(*n as f64)
}

fn scaled(value: f64, unit: &str) -> String {
    let (mut value, mut prefix) = (value, "");
    for next in ["k", "M", "G", "T", "P"] {
        if value.abs() < 999.5 {
            break;
        }
        (value, prefix) = (value / 1000.0, next);
    }
    format!("{} {prefix}{unit}", short(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_words() {
        assert_eq!(of_unit(Unit::Percent, None), "–");
        assert_eq!(of_unit(Unit::Percent, Some(f64::NAN)), "–");
        assert_eq!(of_unit(Unit::Percent, Some(0.0)), "0 %");
        assert_eq!(of_unit(Unit::Percent, Some(12.34)), "12.3 %");
        assert_eq!(of_unit(Unit::BitsPerSecond, Some(1_254_000.0)), "1.25 Mbit/s");
        assert_eq!(of_unit(Unit::BitsPerSecond, Some(999.9)), "1.00 kbit/s");
        assert_eq!(of_unit(Unit::PerMinute, Some(1234.5)), "1,234");
        assert_eq!(of_unit(Unit::Seconds, Some(0.0341)), "34.1 ms");
        assert_eq!(of_unit(Unit::Seconds, Some(2.0)), "2.00 s");
        assert_eq!(bytes(1.5e9), "1.50 GB");
        assert_eq!(memory(&0), "0 B");
        assert_eq!(memory(&(12 << 20)), "12.0 MiB");
        assert_eq!(memory(&u64::MAX), "16,777,216 TiB");
        assert_eq!(percent(&0.905), "90.5 %");
        assert_eq!(thousands(1_234_567.0), "1,234,567");
        assert_eq!(thousands(-999.0), "-999");
    }
}
