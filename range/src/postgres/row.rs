//! The row that holds the fleet's range, and what taking changes in it. No database.

use super::error::Failure;
use crate::rules::{Holdings, IdRange};

/// As texts, which carry every number and need no type of the driver's.
pub(super) const READ: &str =
    "SELECT first_id::text, last_id::text, ids_left::text, generation::text FROM switchboard_range";

/// The range, and how many of its highest IDs are left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) whole: IdRange,
    pub(super) left: u64,
    pub(super) generation: u64,
}

impl Row {
    /// The answer to [`READ`].
    pub(super) fn read(row: Option<tokio_postgres::Row>) -> Result<Self, Failure> {
        let row = row.ok_or(Failure::Absent)?;
        let mut numbers = [0; 4];
        for (column, number) in numbers.iter_mut().enumerate() {
            *number = row.try_get::<_, &str>(column)?.parse().map_err(|_| Failure::Damaged)?;
        }
        Self::checked(numbers).ok_or(Failure::Damaged)
    }

    fn checked([first, last, left, generation]: [u64; 4]) -> Option<Self> {
        let whole = IdRange::from_numbers(first, last)?;
        (left <= whole.count() && generation < u64::MAX).then_some(Self { whole, left, generation })
    }

    /// Takes up to `n` of the lowest IDs left; the row without them. `None` if none are left or `n` is 0.
    pub(super) fn take(self, n: u64) -> Option<(IdRange, Self)> {
        let last = self.whole.last().get();
        let mut holdings = Holdings::default();
        holdings.add(IdRange::from_numbers(last - self.left.checked_sub(1)?, last)?).ok()?;
        let taken = holdings.take(n)?;
        Some((taken, Self { left: holdings.left(), generation: self.generation + 1, ..self }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ranges_follow_each_other_to_the_end(a in 1u64.., b in 1u64.., share in 1u64..50, odd in 0u64..1000) {
            let whole = IdRange::from_numbers(a.min(b), a.max(b)).unwrap();
            let mut row = Row { whole, left: whole.count(), generation: 1 };
            let n = (whole.count() / share).saturating_add(odd).max(1);
            let mut next = Some(whole.first().get());
            let mut takes = 0;
            while let Some((taken, after)) = row.take(n) {
                prop_assert_eq!(Some(taken.first().get()), next);
                prop_assert!(taken.count() <= n);
                prop_assert_eq!(after.left, row.left - taken.count());
                prop_assert_eq!(after.generation, row.generation + 1);
                next = taken.last().get().checked_add(1);
                row = after;
                takes += 1;
            }
            prop_assert_eq!(row.left, 0);
            prop_assert_eq!(next, whole.last().get().checked_add(1));
            prop_assert!(takes <= 51);
        }

        #[test]
        fn no_row_makes_taking_fail_badly(numbers: [u64; 4], n: u64) {
            if let Some(row) = Row::checked(numbers)
                && let Some((taken, after)) = row.take(n)
            {
                prop_assert!(row.whole.first() <= taken.first() && taken.last() <= row.whole.last());
                prop_assert!(after.left < row.left);
            }
        }
    }

    #[test]
    fn what_is_no_row() {
        assert!(Row::checked([1, 10, 10, 1]).is_some());
        assert!(Row::checked([1, 10, 0, 1]).is_some());
        assert!(Row::checked([1, 10, 11, 1]).is_none(), "more left than there are");
        assert!(Row::checked([0, 10, 1, 1]).is_none(), "0 is no ID");
        assert!(Row::checked([10, 1, 0, 1]).is_none());
        assert!(Row::checked([1, 10, 0, u64::MAX]).is_none(), "a generation without a next one");
    }

    #[test]
    fn nothing_is_nothing() {
        let row = Row::checked([1, 10, 10, 1]).unwrap();
        assert_eq!(row.take(0), None);
        assert_eq!(Row { left: 0, ..row }.take(5), None);
    }
}
