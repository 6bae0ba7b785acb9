//! The rules by which IDs are taken from what is held. No file, no clock.

use std::{collections::VecDeque, fmt, ops::RangeInclusive};

use switchboard_fleet::CustomerId;

/// IDs from `first` to `last`, both inclusive: at least one, none of them 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct IdRange {
    first: CustomerId,
    last: CustomerId,
}

impl IdRange {
    /// The IDs from `first` to `last`, or `None` if `first` is the larger.
    pub fn new(first: CustomerId, last: CustomerId) -> Option<Self> {
        (first <= last).then_some(Self { first, last })
    }

    /// As [`IdRange::new`], from numbers; `None` also if one is 0.
    pub fn from_numbers(first: u64, last: u64) -> Option<Self> {
        Self::new(CustomerId::new(first)?, CustomerId::new(last)?)
    }

    /// The lowest ID.
    pub fn first(self) -> CustomerId {
        self.first
    }

    /// The highest ID.
    pub fn last(self) -> CustomerId {
        self.last
    }

    /// How many IDs these are: 1 to 18446744073709551615.
    pub fn count(self) -> u64 {
        // Cannot wrap, as 0 is no ID.
        self.last.get() - self.first.get() + 1
    }

    /// Every ID, the lowest first.
    pub fn ids(self) -> impl Iterator<Item = CustomerId> {
        self.numbers().filter_map(CustomerId::new)
    }

    /// Whether the two have an ID in common.
    pub fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    fn numbers(self) -> RangeInclusive<u64> {
        self.first.get()..=self.last.get()
    }

    /// Whether `next` goes on where this range ends.
    fn continues(self, next: Self) -> bool {
        self.last.get().checked_add(1) == Some(next.first.get())
    }

    /// The lowest `n` IDs and the rest; all and `None` if there are no more than `n`. `None` if `n` is 0.
    fn split_front(self, n: u64) -> Option<(Self, Option<Self>)> {
        if n >= self.count() {
            return Some((self, None));
        }
        let first = self.first.get();
        let front = Self::from_numbers(first, first + n.checked_sub(1)?)?;
        Some((front, Self::from_numbers(first + n, self.last.get())))
    }

    /// The highest `n` IDs and the rest, as [`IdRange::split_front`].
    fn split_back(self, n: u64) -> Option<(Self, Option<Self>)> {
        if n >= self.count() {
            return Some((self, None));
        }
        let last = self.last.get();
        let back = Self::from_numbers(last - n.checked_sub(1)?, last)?;
        Some((back, Self::from_numbers(self.first.get(), last - n)))
    }
}

impl fmt::Display for IdRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.first, self.last)
    }
}

/// Why a range is not taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddError {
    /// Some of its IDs are held already.
    #[error("range {0} overlaps {1}, which is held already")]
    Overlap(IdRange, IdRange),
    /// The ledger holds as many separate ranges as it may.
    #[error("more than {} separate ranges", Holdings::RANGES_MAX)]
    TooMany,
}

/// IDs held and not given yet: disjoint ranges in the order in which they are given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holdings {
    ranges: VecDeque<IdRange>,
}

impl Holdings {
    /// Most separate ranges held.
    pub const RANGES_MAX: usize = 1024;

    /// The ranges, the one given next first.
    pub fn ranges(&self) -> impl ExactSizeIterator<Item = IdRange> {
        self.ranges.iter().copied()
    }

    /// How many IDs are left.
    pub fn left(&self) -> u64 {
        // Disjoint ranges of IDs hold no more than there are IDs.
        self.ranges().map(IdRange::count).sum()
    }

    /// Takes up to `n` contiguous IDs from the front; `None` if none are left or `n` is 0.
    pub fn take(&mut self, n: u64) -> Option<IdRange> {
        let (taken, rest) = self.ranges.front()?.split_front(n)?;
        match (rest, self.ranges.front_mut()) {
            (Some(rest), Some(front)) => *front = rest,
            _ => drop(self.ranges.pop_front()),
        }
        Some(taken)
    }

    /// Takes up to `n` contiguous IDs from the back: what is given to a sibling in need.
    pub fn cut(&mut self, n: u64) -> Option<IdRange> {
        let (taken, rest) = self.ranges.back()?.split_back(n)?;
        match (rest, self.ranges.back_mut()) {
            (Some(rest), Some(back)) => *back = rest,
            _ => drop(self.ranges.pop_back()),
        }
        Some(taken)
    }

    /// Takes a range in, behind the others.
    ///
    /// # Errors
    /// Nothing is changed if it overlaps what is held, or if there are too many ranges.
    pub fn add(&mut self, range: IdRange) -> Result<(), AddError> {
        if let Some(held) = self.ranges().find(|held| held.overlaps(range)) {
            return Err(AddError::Overlap(range, held));
        }
        let full = self.ranges.len() >= Self::RANGES_MAX;
        match self.ranges.back_mut() {
            Some(back) if back.continues(range) => back.last = range.last,
            _ if full => return Err(AddError::TooMany),
            _ => self.ranges.push_back(range),
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
