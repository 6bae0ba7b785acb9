//! A ledger's text: a header that names its kind, a generation, the ranges, and a checksum over all that.
//!
//! ```text
//! switchboard-ledger v1 instance
//! generation 17
//! 26018363 26019362
//! sha256 5f3c…
//! ```

use std::fmt;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::rules::{Holdings, IdRange};

const HEADER: &str = "switchboard-ledger v1 ";
const GENERATION: &str = "generation ";
const CHECKSUM: &str = "sha256 ";

/// Whose ledger it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The fleet's: what the master has not granted yet.
    Master,
    /// An instance's: what was granted to it and not given to a customer yet.
    Instance,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Master => "master",
            Self::Instance => "instance",
        })
    }
}

/// What a ledger's file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Whose it is; `None` in a file of the original service, which does not say.
    pub kind: Option<Kind>,
    /// How many times it has been written.
    pub generation: u64,
    /// What is left.
    pub holdings: Holdings,
}

/// The text of a ledger.
pub(crate) fn encode(kind: Kind, generation: u64, holdings: &Holdings) -> String {
    let mut text = format!("{HEADER}{kind}\n{GENERATION}{generation}\n");
    for range in holdings.ranges() {
        text.push_str(&format!("{} {}\n", range.first(), range.last()));
    }
    let checksum = checksum(&text);
    format!("{text}{CHECKSUM}{checksum}\n")
}

/// Reads a ledger's text, or that of the original service; `Err` says in a few words what is wrong.
pub(crate) fn decode(text: &str) -> Result<Record, &'static str> {
    if text.is_empty() {
        return Err("the file is empty");
    }
    if text.starts_with(|first: char| first.is_ascii_digit()) {
        return decode_original(text);
    }
    let text = text.strip_suffix('\n').ok_or("the end is missing")?;
    let (_, last) = text.rsplit_once('\n').ok_or("the end is missing")?;
    let body = &text[..text.len() - last.len()];
    if last.strip_prefix(CHECKSUM) != Some(checksum(body).as_str()) {
        return Err("the checksum does not fit");
    }
    let mut lines = body.lines();
    let kind = match lines.next().and_then(|line| line.strip_prefix(HEADER)) {
        Some("master") => Kind::Master,
        Some("instance") => Kind::Instance,
        _ => return Err("not a ledger of this version"),
    };
    let generation = lines.next().and_then(|line| line.strip_prefix(GENERATION)?.parse().ok());
    let generation = generation.ok_or("the generation is no number")?;
    let mut holdings = Holdings::default();
    for line in lines {
        let (first, last) = line.split_once(' ').ok_or("a line is no range")?;
        let range = range(first, last).ok_or("a line is no range")?;
        holdings.add(range).map_err(|_| "the ranges overlap or are too many")?;
    }
    Ok(Record { kind: Some(kind), generation, holdings })
}

/// The original service's file: the first and the last ID, a line each. One that is used up has the first behind
/// the last. A cut file cannot be told by a checksum, but only makes the range smaller.
fn decode_original(text: &str) -> Result<Record, &'static str> {
    let wrong = "expected two lines, the first and the last ID";
    let (first, rest) = text.split_once('\n').ok_or(wrong)?;
    let (first, last) = (first.trim_end(), rest.trim_end());
    let number = |text: &str| text.parse::<switchboard_fleet::CustomerId>().map_err(|_| wrong);
    let (first, last) = (number(first)?, number(last)?);
    let mut holdings = Holdings::default();
    if let Some(range) = IdRange::new(first, last) {
        holdings.add(range).map_err(|_| wrong)?;
    }
    Ok(Record { kind: None, generation: 0, holdings })
}

fn range(first: &str, last: &str) -> Option<IdRange> {
    IdRange::new(first.parse().ok()?, last.parse().ok()?)
}

fn checksum(text: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> (Holdings, String) {
        let mut holdings = Holdings::default();
        holdings.add(IdRange::from_numbers(26_018_363, 26_019_362).unwrap()).unwrap();
        holdings.add(IdRange::from_numbers(7, u64::MAX / 2).unwrap()).unwrap_err();
        holdings.add(IdRange::from_numbers(7, 9).unwrap()).unwrap();
        let text = encode(Kind::Instance, 17, &holdings);
        (holdings, text)
    }

    #[test]
    fn a_ledger_survives_its_text() {
        let (holdings, text) = sample();
        assert!(
            text.starts_with(
                "switchboard-ledger v1 instance\ngeneration 17\n26018363 26019362\n7 9\nsha256 "
            )
        );
        assert_eq!(decode(&text), Ok(Record { kind: Some(Kind::Instance), generation: 17, holdings }));
        let empty = encode(Kind::Master, 1, &Holdings::default());
        assert_eq!(decode(&empty).unwrap().kind, Some(Kind::Master));
    }

    #[test]
    fn a_cut_or_changed_text_is_refused() {
        let (_, text) = sample();
        for end in 0..text.len() {
            assert!(decode(&text[..end]).is_err(), "cut at {end}");
        }
        for at in 0..text.len() {
            for bit in 0..7 {
                let mut bytes = text.clone().into_bytes();
                bytes[at] ^= 1 << bit;
                assert!(decode(&String::from_utf8(bytes).unwrap()).is_err(), "byte {at}, bit {bit}");
            }
        }
        assert!(decode(&format!("{text}\n")).is_err());
        assert!(decode(&format!("{text}{text}")).is_err());
    }

    #[test]
    fn the_original_services_file() {
        let left = |text| decode(text).map(|record| (record.kind, record.holdings.left()));
        assert_eq!(left("26018363\n80000000\n"), Ok((None, 53_981_638)));
        assert_eq!(left("5\r\n5"), Ok((None, 1)));
        assert_eq!(left("6\n5\n"), Ok((None, 0)));
        for text in
            ["5", "5\n", "5\n6\n7\n", "5 6\n", "0\n5\n", "5\n-6\n", "5\nx\n", "18446744073709551616\n1\n"]
        {
            assert!(left(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_reading_fail_badly(text in "(switchboard-ledger v1 master\n|[0-9 \n]|\\PC)*") {
            let _ = decode(&text);
        }
    }
}
