//! What the monitor's answer means for the reports it was sent.

use http::StatusCode;
use switchboard_fleet::report::Taken;

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The monitor has the first so many, at least one. The others are to be sent again.
    Taken(usize),
    /// It will not take the batch as it is, or not the first report of it.
    Refused,
    /// It cannot take anything now.
    Later,
}

/// Judges an answer to a batch with the numbers `sent`, in rising order.
///
/// Only what was sent is believed to be taken: an answer that speaks of greater numbers costs nothing. Numbers that it
/// misses and that were not in the batch are gone: the worker has counted them as lost, or was told earlier that they
/// were taken.
pub(crate) fn judge(sent: &[u64], status: StatusCode, body: &[u8]) -> Verdict {
    match status {
        StatusCode::OK => {}
        StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY => {
            return Verdict::Refused;
        }
        _ => return Verdict::Later,
    }
    let Ok(taken) = serde_json::from_slice::<Taken>(body) else { return Verdict::Later };
    let is_missing = |seq: u64| taken.missing.iter().any(|&(first, last)| (first..=last).contains(&seq));
    let count = sent.iter().take_while(|&&seq| seq <= taken.upto && !is_missing(seq)).count();
    match sent.first() {
        _ if count > 0 => Verdict::Taken(count),
        Some(&first) if first <= taken.upto => Verdict::Refused,
        _ => Verdict::Later,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn verdict(sent: &[u64], upto: u64, missing: &[(u64, u64)]) -> Verdict {
        let body = serde_json::to_vec(&Taken { upto, missing: missing.to_vec() }).unwrap();
        judge(sent, StatusCode::OK, &body)
    }

    #[test]
    fn answers() {
        assert_eq!(verdict(&[4, 5, 9], 9, &[]), Verdict::Taken(3));
        assert_eq!(verdict(&[4, 5, 9], 5, &[(1, 3)]), Verdict::Taken(2));
        assert_eq!(verdict(&[4, 5, 9], 9, &[(5, 8)]), Verdict::Taken(1));
        assert_eq!(verdict(&[4, 5, 9], 9, &[(4, 4)]), Verdict::Refused);
        assert_eq!(verdict(&[4, 5, 9], 3, &[]), Verdict::Later);
        assert_eq!(verdict(&[4], u64::MAX, &[(u64::MAX, 0)]), Verdict::Taken(1));
        for code in [201, 301, 401, 404, 408, 429, 500, 503] {
            assert_eq!(judge(&[1], StatusCode::from_u16(code).unwrap(), br#"{"upto":1}"#), Verdict::Later);
        }
        assert_eq!(judge(&[1], StatusCode::OK, b"hello"), Verdict::Later);
        assert_eq!(judge(&[1], StatusCode::PAYLOAD_TOO_LARGE, b""), Verdict::Refused);
    }

    proptest! {
        #[test]
        fn nothing_is_taken_that_the_answer_does_not_cover(
            sent in proptest::collection::btree_set(1u64..60, 1..20), upto in 0u64..80,
            missing in proptest::collection::vec((0u64..60, 0u64..60), 0..5),
        ) {
            let sent: Vec<u64> = sent.into_iter().collect();
            let has = |seq: u64| seq <= upto && !missing.iter().any(|&(a, b)| a <= seq && seq <= b);
            match verdict(&sent, upto, &missing) {
                Verdict::Taken(count) => {
                    prop_assert!(count > 0 && sent[..count].iter().all(|&seq| has(seq)));
                    prop_assert!(sent.get(count).is_none_or(|&seq| !has(seq)));
                }
                Verdict::Refused => prop_assert!(!has(sent[0]) && sent[0] <= upto),
                Verdict::Later => prop_assert!(sent[0] > upto),
            }
        }
    }
}
