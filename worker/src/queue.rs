//! The bounded queue between the program and the sending thread, where reports get their numbers.

use crate::line::{Line, Unnumbered};

/// Reports that wait for the sending thread.
#[derive(Debug)]
pub(crate) struct Queue {
    lines: Vec<Line>,
    bytes: usize,
    last: u64,
    lost: u64,
    closed: bool,
    reports_max: usize,
    bytes_max: usize,
}

/// Whom a full queue keeps out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Log lines, of which there may be a flood: three quarters of the queue are theirs.
    Flood,
    /// Everything else.
    Any,
}

impl Queue {
    /// An empty queue that holds so many reports and bytes.
    pub(crate) fn new(reports_max: usize, bytes_max: usize) -> Self {
        Self { lines: Vec::new(), bytes: 0, last: 0, lost: 0, closed: false, reports_max, bytes_max }
    }

    /// Takes the next number for a report. A closed queue gives none.
    pub(crate) fn number(&mut self) -> Option<u64> {
        if self.closed {
            return None;
        }
        self.last += 1;
        Some(self.last)
    }

    /// Takes a report in; one for which there is no room leaves a gap in the numbers, and is counted. Whether the queue
    /// should be emptied soon.
    pub(crate) fn push(&mut self, report: &Unnumbered, place: Place) -> bool {
        let Some(seq) = self.number() else { return false };
        let line = report.number(seq);
        let share = |max: usize| if place == Place::Flood { max / 4 * 3 } else { max };
        let bytes = self.bytes + line.text.len();
        if self.lines.len() >= share(self.reports_max) || bytes > share(self.bytes_max) {
            self.lost += 1;
            return true;
        }
        self.lines.push(line);
        self.bytes = bytes;
        self.lines.len() >= self.reports_max / 2 || self.bytes >= self.bytes_max / 2
    }

    /// Empties it.
    pub(crate) fn take(&mut self) -> Vec<Line> {
        self.bytes = 0;
        std::mem::take(&mut self.lines)
    }

    /// From now on nothing is taken in, and nothing counted.
    pub(crate) fn close(&mut self) {
        self.closed = true;
    }

    /// Whether it is closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Counts reports that were thrown away further on.
    pub(crate) fn lose(&mut self, reports: u64) {
        self.lost += reports;
    }

    /// Reports thrown away so far.
    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use switchboard_fleet::report::{Sample, Told};

    use super::*;

    proptest! {
        #[test]
        fn every_report_has_a_number_and_is_either_held_or_counted(
            steps in proptest::collection::vec((any::<bool>(), 0u8..10), 0..200), reports_max in 1usize..20,
        ) {
            let report = Unnumbered::new(1, Told::Sample(Sample::default())).unwrap();
            let mut queue = Queue::new(reports_max, 3000);
            let (mut held, mut pushed, mut last) = (0, 0, 0);
            for (flood, choice) in steps {
                if choice == 0 {
                    let taken = queue.take();
                    held += taken.len() as u64;
                    prop_assert!(taken.len() <= reports_max);
                    prop_assert!(taken.iter().map(|line| line.text.len()).sum::<usize>() <= 3000);
                    for line in taken {
                        prop_assert!(line.seq > last);
                        last = line.seq;
                    }
                } else {
                    queue.push(&report, if flood { Place::Flood } else { Place::Any });
                    pushed += 1;
                }
            }
            held += queue.take().len() as u64;
            prop_assert_eq!(held + queue.lost(), pushed);
            prop_assert_eq!(queue.number(), Some(pushed + 1));
        }
    }

    #[test]
    fn a_flood_of_log_lines_leaves_room_for_the_rest() {
        let report = Unnumbered::new(1, Told::Started).unwrap();
        let mut queue = Queue::new(8, 1 << 20);
        for _ in 0..100 {
            queue.push(&report, Place::Flood);
        }
        assert_eq!(queue.lost(), 94);
        queue.push(&report, Place::Any);
        assert_eq!(queue.take().last().unwrap().seq, 101);
    }

    #[test]
    fn a_closed_queue_takes_nothing() {
        let report = Unnumbered::new(1, Told::Started).unwrap();
        let mut queue = Queue::new(8, 1 << 20);
        queue.close();
        queue.push(&report, Place::Any);
        assert_eq!((queue.take().len(), queue.lost()), (0, 0));
    }
}
