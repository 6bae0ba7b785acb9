//! How far the fleet's ledger has got, in a line that instances tell each other.

use std::{fmt, str::FromStr};

use switchboard_fleet::InstanceName;

/// What a master's ledger said when it was written last. Of two the one with the greater epoch is newer, within an epoch
/// the one with the greater generation.
///
/// Instances remember the newest that they have heard of: so a master that was restored from an older copy of its disk, or one
/// that handed its range over, is found out by anyone who knows better.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Grows by one whenever the fleet's range moves to another master, or is repaired.
    pub epoch: u64,
    /// Grows by one with every write of the ledger.
    pub generation: u64,
    /// The highest ID that may have been granted; 0 if none.
    pub granted_to: u64,
    /// The last ID of the fleet's range.
    pub last: u64,
    /// The master.
    pub place: InstanceName,
}

/// The text is no mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a mark: expected EPOCH GENERATION GRANTED-TO LAST SERVER/PORT")]
pub struct InvalidMark;

impl Mark {
    /// Whether this one was written after `other`.
    pub fn is_newer_than(&self, other: &Self) -> bool {
        (self.epoch, self.generation) > (other.epoch, other.generation)
    }
}

/// `EPOCH GENERATION GRANTED-TO LAST SERVER/PORT`, as in the header `X-IWP-Range-Mark`.
impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { epoch, generation, granted_to, last, place } = self;
        write!(f, "{epoch} {generation} {granted_to} {last} {place}")
    }
}

impl FromStr for Mark {
    type Err = InvalidMark;

    fn from_str(text: &str) -> Result<Self, InvalidMark> {
        let mut words = text.split(' ');
        let mut next = || words.next().and_then(number).ok_or(InvalidMark);
        let (epoch, generation, granted_to, last) = (next()?, next()?, next()?, next()?);
        let place = words.next().and_then(|place| place.parse().ok()).ok_or(InvalidMark)?;
        if words.next().is_some() || granted_to > last {
            return Err(InvalidMark);
        }
        Ok(Self { epoch, generation, granted_to, last, place })
    }
}

fn number(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_mark_survives_its_text(epoch: u64, generation: u64, a: u64, b: u64, port in 1u16..) {
            for server in ["eu.example.net", "https://[::1]:8443"] {
                let place = InstanceName { server: server.parse().unwrap(), port };
                let mark = Mark { epoch, generation, granted_to: a.min(b), last: a.max(b), place };
                prop_assert_eq!(mark.to_string().parse(), Ok(mark));
            }
        }

        #[test]
        fn no_text_makes_reading_fail_badly(text in "[0-9 /a.:+-]*|\\PC*") {
            let _ = text.parse::<Mark>();
        }
    }

    #[test]
    fn what_is_no_mark() {
        for text in [
            "",
            "1 2 3 4",
            "1 2 3 4 a",
            "1 2 3 4 a/0",
            "1 2 5 4 a/1",
            "1 2 3 4 a/1 ",
            "1 +2 3 4 a/1",
            "1 2  4 a/1",
        ] {
            assert_eq!(text.parse::<Mark>(), Err(InvalidMark), "{text:?}");
        }
    }

    #[test]
    fn the_epoch_counts_before_the_generation() {
        let mark = |epoch, generation| -> Mark { format!("{epoch} {generation} 3 4 a/1").parse().unwrap() };
        assert!(mark(2, 1).is_newer_than(&mark(1, 9)) && mark(1, 2).is_newer_than(&mark(1, 1)));
        assert!(!mark(1, 1).is_newer_than(&mark(1, 1)) && !mark(1, 9).is_newer_than(&mark(2, 1)));
    }
}
