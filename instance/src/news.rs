//! Who has come to this instance, in the order in which they came: written down once, and read by each peer from where it has
//! read to. Pure.

use std::fmt::Write;

use switchboard_fleet::CustomerId;

/// Bytes that are kept for the slowest reader, some 200,000 lines. Who is further behind misses what is older: its apps cost a
/// question.
const KEPT_BYTES: usize = 4 << 20;
/// Bytes that one call takes at most, some 10,000 lines.
const BATCH_BYTES: usize = 200 << 10;

/// Lines as `/announce` takes them.
#[derive(Debug, Default)]
pub(crate) struct News {
    text: String,
    /// Bytes that are no longer kept, and so where the text begins.
    begin: u64,
}

impl News {
    /// Where the next line will begin.
    pub(crate) fn end(&self) -> u64 {
        self.begin + self.text.len() as u64
    }

    /// Adds that `id` is here since `since`.
    pub(crate) fn add(&mut self, id: CustomerId, since: u64) {
        if self.text.len() >= 2 * KEPT_BYTES {
            self.forget();
        }
        write_line(&mut self.text, id, since);
    }

    /// The lines from `at` on, or from the oldest that is kept, as many as go into one call; and where those end.
    pub(crate) fn from(&self, at: u64) -> (&str, u64) {
        let at = at.max(self.begin);
        let rest = self.text.get((at - self.begin) as usize..).unwrap_or_default();
        let batch = &rest[..rest.len().min(BATCH_BYTES)];
        let whole = batch.rfind('\n').map_or(0, |end| end + 1);
        (&batch[..whole], at + whole as u64)
    }

    /// Forgets the older half.
    fn forget(&mut self) {
        let old = &self.text[..self.text.len() - KEPT_BYTES];
        let lines = old.rfind('\n').map_or(0, |end| end + 1);
        self.text.drain(..lines);
        self.begin += lines as u64;
    }
}

/// Writes one line.
pub(crate) fn write_line(to: &mut String, id: CustomerId, since: u64) {
    // Writing to memory does not fail.
    let _ = writeln!(to, "{id} {since}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::announcement;
    use proptest::prelude::*;

    fn id(number: u64) -> CustomerId {
        CustomerId::new(number).unwrap()
    }

    /// Everything from `at` on, call by call.
    fn read(news: &News, mut at: u64) -> Vec<(CustomerId, u64)> {
        let mut all = Vec::new();
        loop {
            let (text, next) = news.from(at);
            if text.is_empty() {
                assert_eq!(next, news.end());
                return all;
            }
            assert!(text.len() <= BATCH_BYTES && next > at);
            all.extend(announcement::parse(text.as_bytes()).unwrap());
            at = next;
        }
    }

    proptest! {
        #[test]
        fn whoever_reads_on_reads_everything_once(lines in prop::collection::vec((1u64.., any::<u64>()), 0..50), cut in 0usize..50) {
            let mut news = News::default();
            let (first, second) = lines.split_at(cut.min(lines.len()));
            first.iter().for_each(|(n, since)| news.add(id(*n), *since));
            let middle = news.end();
            let expected = |part: &[(u64, u64)]| part.iter().map(|(n, since)| (id(*n), *since)).collect::<Vec<_>>();
            prop_assert_eq!(read(&news, 0), expected(first));
            second.iter().for_each(|(n, since)| news.add(id(*n), *since));
            prop_assert_eq!(read(&news, middle), expected(second));
            prop_assert_eq!(read(&news, 0), expected(&lines));
        }
    }

    #[test]
    fn what_is_kept_is_bounded_and_the_newest_is_kept() {
        let mut news = News::default();
        for number in 1..=1_000_000 {
            news.add(id(number), number);
            assert!(news.text.len() < 2 * KEPT_BYTES + 64);
        }
        let kept = read(&news, 0);
        assert!(kept.len() > 200_000);
        assert!(
            kept.iter().rev().zip((1..=1_000_000).rev()).all(|(line, number)| *line == (id(number), number))
        );
        assert_eq!(read(&news, news.end()), []);
    }
}
