//! Reports in memory: taken from the queue, not yet taken by the monitor, not yet on disk.

use std::{collections::VecDeque, time::Duration};

use crate::line::Line;

/// The reports in memory, in the order of their numbers.
#[derive(Debug)]
pub(crate) struct Recent {
    lines: VecDeque<(Duration, Line)>,
    bytes: usize,
    bytes_max: usize,
}

impl Recent {
    /// Holds at most so many bytes.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { lines: VecDeque::new(), bytes: 0, bytes_max }
    }

    /// Adds what came from the queue at `now`. Whether it is more than it should hold.
    pub(crate) fn add(&mut self, now: Duration, lines: Vec<Line>) -> bool {
        self.bytes += lines.iter().map(|line| line.text.len()).sum::<usize>();
        self.lines.extend(lines.into_iter().map(|line| (now, line)));
        self.bytes > self.bytes_max
    }

    /// Since when the oldest has been here.
    pub(crate) fn since(&self) -> Option<Duration> {
        self.lines.front().map(|(since, _)| *since)
    }

    /// Whether nothing is here.
    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// All, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().map(|(_, line)| line)
    }

    /// Forgets the reports up to a number: they are elsewhere now.
    pub(crate) fn forget(&mut self, upto: u64) {
        while let Some((_, line)) = self.lines.front()
            && line.seq <= upto
        {
            self.bytes -= line.text.len();
            self.lines.pop_front();
        }
    }

    /// Throws reports away until what it holds is within its bound: the oldest states first, then the oldest of all. How
    /// many.
    pub(crate) fn shrink(&mut self) -> u64 {
        let before = self.lines.len();
        let mut over = self.bytes.saturating_sub(self.bytes_max);
        self.lines.retain(|(_, line)| {
            let goes = over > 0 && line.is_state;
            if goes {
                over = over.saturating_sub(line.text.len());
            }
            !goes
        });
        while over > 0
            && let Some((_, line)) = self.lines.pop_front()
        {
            over = over.saturating_sub(line.text.len());
        }
        self.bytes = self.lines.iter().map(|(_, line)| line.text.len()).sum();
        (before - self.lines.len()) as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(seq: u64, is_state: bool, length: usize) -> Line {
        Line { seq, is_state, text: "x".repeat(length).into() }
    }

    proptest! {
        #[test]
        fn what_goes_is_no_more_than_needed_and_states_go_first(
            kinds in proptest::collection::vec((any::<bool>(), 1usize..20), 0..60), bytes_max in 0usize..300,
        ) {
            let lines: Vec<Line> =
                kinds.iter().enumerate().map(|(seq, &(state, length))| line(seq as u64, state, length)).collect();
            let mut recent = Recent::new(bytes_max);
            let over = recent.add(Duration::ZERO, lines.clone());
            let lost = recent.shrink();
            prop_assert_eq!(over, lost > 0);
            let kept: Vec<Line> = recent.iter().cloned().collect();
            prop_assert_eq!(kept.len() as u64 + lost, lines.len() as u64);
            prop_assert!(kept.iter().map(|line| line.text.len()).sum::<usize>() <= bytes_max);
            let gone: Vec<&Line> = lines.iter().filter(|line| !kept.contains(line)).collect();
            if gone.iter().any(|line| !line.is_state) {
                prop_assert!(kept.iter().all(|line| !line.is_state));
            }
            for line in gone {
                prop_assert!(kept.iter().all(|kept| kept.is_state != line.is_state || kept.seq > line.seq));
            }
        }
    }

    #[test]
    fn forgets_up_to_a_number() {
        let mut recent = Recent::new(100);
        recent.add(Duration::ZERO, vec![line(1, false, 9), line(3, true, 9)]);
        recent.add(Duration::from_secs(1), vec![line(4, false, 9)]);
        recent.forget(3);
        assert_eq!(recent.since(), Some(Duration::from_secs(1)));
        recent.forget(9);
        assert!(recent.is_empty());
        assert_eq!(recent.shrink(), 0);
    }
}
