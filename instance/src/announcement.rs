//! The body of `/announce`: one `ID SINCE` a line. Pure.

use switchboard_fleet::{CustomerId, number};

use crate::refusal::Refusal;

/// Bytes of one call's body.
pub(crate) const BODY_MAX: usize = 1 << 20;

/// Reads the whole body before anything of it is used.
///
/// # Errors
/// 400 with the number of the first line that is none.
pub(crate) fn parse(body: &[u8]) -> Result<Vec<(CustomerId, u64)>, Refusal> {
    let text = std::str::from_utf8(body).map_err(|_| Refusal::bad("the announcement is not text"))?;
    let line = |line: &str| {
        let (id, since) = line.split_once(' ')?;
        Some((id.parse().ok()?, number(since.as_bytes())?))
    };
    let numbered = text.lines().enumerate();
    numbered
        .map(|(n, text)| line(text).ok_or_else(|| Refusal::bad(format!("line {} is no `ID SINCE`", n + 1))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(news in prop::collection::vec((1u64.., any::<u64>()), 0..50)) {
            let body: String = news.iter().map(|(id, since)| format!("{id} {since}\n")).collect();
            let read: Vec<_> = parse(body.as_bytes()).unwrap().into_iter().map(|(id, since)| (id.get(), since)).collect();
            prop_assert_eq!(read, news);
        }

        #[test]
        fn nothing_makes_it_fail_badly(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&body);
        }
    }

    #[test]
    fn what_is_no_announcement() {
        for body in
            ["1", "1 ", " 1", "0 1", "1 +1", "1  1", "1 1 1", "1 -1", "1 18446744073709551616", "1 1\n\n"]
        {
            assert!(parse(body.as_bytes()).is_err(), "{body:?}");
        }
    }
}
