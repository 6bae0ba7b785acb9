//! Log lines that would otherwise come with every customer.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

/// The same trouble is told so often.
const EVERY: Duration = Duration::from_secs(60);

/// Whether a trouble should be told now.
#[derive(Debug, Default)]
pub(crate) struct Seldom(Cell<Option<Instant>>);

impl Seldom {
    /// True at first, and then once a minute as long as it is asked.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        let due = self.0.get().is_none_or(|told| now.saturating_duration_since(told) >= EVERY);
        if due {
            self.0.set(Some(now));
        }
        due
    }

    /// The trouble is over: the next is told at once. Gives whether there was one.
    pub(crate) fn over(&self) -> bool {
        self.0.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_is_told_at_once_and_then_once_a_minute() {
        let (seldom, now) = (Seldom::default(), Instant::now());
        let told = [0, 1, 59, 60, 61, 130].map(|s| seldom.is_due(now + Duration::from_secs(s)));
        assert_eq!(told, [true, false, false, true, false, true]);
        assert!(seldom.over() && !seldom.over());
        assert!(seldom.is_due(now));
    }
}
