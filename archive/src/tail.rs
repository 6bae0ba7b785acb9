//! The tail of an archive: the samples since its base, as text, one line each. Pure, no files.

use std::{collections::BTreeMap, fmt::Write as _};

use switchboard_fleet::report::Sample;

/// The first line of a tail whose base is an archive without samples.
const FRESH: &str = "switchboard-tail 1 fresh";
/// The first line of a tail whose base is a file.
const BASED: &str = "switchboard-tail 1 base";

/// What a tail says.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Tail {
    /// Whether its base is a file, and not just an archive without samples.
    pub(crate) based: bool,
    /// The samples by their times.
    pub(crate) samples: BTreeMap<i64, Sample>,
    /// Whether a sample stands behind a later one: the archive may not have it yet.
    pub(crate) unordered: bool,
    /// Bytes that were understood. What follows is the beginning of a line whose end was never written.
    pub(crate) bytes: usize,
}

/// The first line.
pub(crate) fn header(based: bool) -> String {
    format!("{}\n", if based { BASED } else { FRESH })
}

/// A sample's line.
pub(crate) fn line(at_s: i64, s: &Sample) -> String {
    format!(
        "{at_s} {} {} {} {} {} {} {} {} {}\n",
        s.agents_u,
        s.t_unique,
        s.t_started,
        s.t_completed,
        s.t_failed,
        s.bytes,
        s.duration,
        s.cpu,
        s.duration_avg
    )
}

/// A whole tail.
pub(crate) fn print(based: bool, samples: &BTreeMap<i64, Sample>) -> String {
    let mut text = header(based);
    for (at_s, sample) in samples {
        // Writing to a string cannot fail.
        let _ = write!(text, "{}", line(*at_s, sample));
    }
    text
}

/// Reads a tail. A last line without its end is left out: its writer died, and nobody was told that the sample is there.
///
/// # Errors
/// The number of the first line that is none.
pub(crate) fn parse(text: &[u8]) -> Result<Tail, usize> {
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let text = std::str::from_utf8(&text[..whole]).map_err(|_| 1_usize)?;
    let mut tail = Tail { bytes: whole, ..Tail::default() };
    for (index, line) in text.lines().enumerate() {
        match (index, line) {
            (0, FRESH) => {}
            (0, BASED) => tail.based = true,
            (0, _) => return Err(1),
            _ => {
                let (at_s, sample) = sample(line).ok_or(index + 1)?;
                tail.unordered |= tail.samples.last_key_value().is_some_and(|(last, _)| *last > at_s);
                tail.samples.insert(at_s, sample);
            }
        }
    }
    Ok(tail)
}

fn sample(line: &str) -> Option<(i64, Sample)> {
    let mut words = line.split(' ');
    let at_s = words.next()?.parse().ok()?;
    let mut count = || words.next()?.parse().ok();
    let sample = Sample {
        agents_u: count()?,
        t_unique: count()?,
        t_started: count()?,
        t_completed: count()?,
        t_failed: count()?,
        bytes: count()?,
        duration: count()?,
        cpu: count()?,
        duration_avg: words.next()?.parse().ok()?,
    };
    words.next().is_none().then_some((at_s, sample))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn a_sample() -> impl Strategy<Value = Sample> {
        (any::<[u64; 8]>(), -1e300..1e300_f64).prop_map(|(n, duration_avg)| Sample {
            agents_u: n[0],
            t_unique: n[1],
            t_started: n[2],
            t_completed: n[3],
            t_failed: n[4],
            bytes: n[5],
            duration: n[6],
            cpu: n[7],
            duration_avg,
        })
    }

    proptest! {
        #[test]
        fn what_is_written_comes_back_also_when_cut_short(
            samples in prop::collection::btree_map(0..i64::MAX, a_sample(), 0..20), based: bool, cut in 0..400_usize,
        ) {
            let text = print(based, &samples);
            let tail = parse(text.as_bytes()).unwrap();
            prop_assert_eq!(&tail, &Tail { based, samples: samples.clone(), unordered: false, bytes: text.len() });
            let cut = parse(&text.as_bytes()[..text.len().saturating_sub(cut)]).unwrap();
            prop_assert!(cut.samples.iter().zip(&samples).all(|(ours, theirs)| ours == theirs));
            prop_assert!(text.len() - cut.bytes >= cut.bytes.abs_diff(text.len()));
        }

        #[test]
        fn nothing_makes_it_panic(text: Vec<u8>, line in "[0-9 .-]{0,40}") {
            let _ = parse(&text);
            let _ = parse(format!("{FRESH}\n{line}\n").as_bytes());
        }
    }

    #[test]
    fn a_line_that_is_none_is_named() {
        assert_eq!(parse(b"hello\n"), Err(1));
        assert_eq!(parse(format!("{BASED}\n60 1 2 3 4 5 6 7 8 9\n120 1 2\n").as_bytes()), Err(3));
        assert_eq!(parse(b"").unwrap(), Tail::default());
    }
}
