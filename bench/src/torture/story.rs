//! What happens when, from a seed. Pure: `now` in, acts out.

use std::{ops::Range, time::Duration};

use rand::{RngExt, SeedableRng, rngs::StdRng};

/// Between two kills, in milliseconds.
const KILL_MS: Range<u64> = 100..300;
/// Between the end of one full disk and the next, in milliseconds.
const FILL_MS: Range<u64> = 2000..5000;
/// How long a disk is full, in milliseconds.
const FULL_MS: Range<u64> = 300..1500;

/// Something that is done to an instance, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// It is killed, and started again.
    Kill(usize),
    /// Its disk is full from now on.
    Fill(usize),
    /// Its disk has room again.
    Free(usize),
}

/// A story without an end.
#[derive(Debug)]
pub(crate) struct Story {
    instances: usize,
    /// One for each kind of act, so that when one is carried out does not change the other.
    kills: StdRng,
    fills: StdRng,
    kill_at: Duration,
    /// `None` if there are no disks to fill.
    disk_at: Option<Duration>,
    full: Option<usize>,
}

impl Story {
    /// The story of `seed`, for so many instances, 1 or more.
    pub(crate) fn new(seed: u64, instances: usize, disks: bool) -> Self {
        let (mut kills, mut fills) = (StdRng::seed_from_u64(seed), StdRng::seed_from_u64(!seed));
        let kill_at = some(&mut kills, KILL_MS);
        let disk_at = disks.then(|| some(&mut fills, FILL_MS));
        Self { instances, kills, fills, kill_at, disk_at, full: None }
    }

    /// What is due `now` after the beginning. What comes next is counted from `now`, so that nothing piles up.
    pub(crate) fn due(&mut self, now: Duration) -> Vec<Act> {
        let mut acts = Vec::new();
        if now >= self.kill_at {
            acts.push(Act::Kill(self.kills.random_range(0..self.instances)));
            self.kill_at = now + some(&mut self.kills, KILL_MS);
        }
        if let Some(at) = self.disk_at.filter(|at| now >= *at) {
            let (act, next) = match self.full.take() {
                Some(full) => (Act::Free(full), some(&mut self.fills, FILL_MS)),
                None => {
                    let disk = self.fills.random_range(0..self.instances);
                    self.full = Some(disk);
                    (Act::Fill(disk), some(&mut self.fills, FULL_MS))
                }
            };
            acts.push(act);
            self.disk_at = Some(at.max(now) + next);
        }
        acts
    }
}

fn some(random: &mut StdRng, ms: Range<u64>) -> Duration {
    Duration::from_millis(random.random_range(ms))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The acts of a minute, looked at every `step_ms`.
    fn minute(seed: u64, disks: bool, step_ms: usize) -> Vec<Act> {
        let mut story = Story::new(seed, 5, disks);
        (0..60_000).step_by(step_ms).flat_map(|ms| story.due(Duration::from_millis(ms))).collect()
    }

    fn kills(acts: &[Act]) -> Vec<Act> {
        acts.iter().copied().filter(|act| matches!(act, Act::Kill(_))).collect()
    }

    proptest! {
        #[test]
        fn a_seed_tells_one_story_however_often_one_looks(seed: u64) {
            let (often, seldom) = (minute(seed, true, 1), minute(seed, true, 40));
            let (often, seldom) = (kills(&often), kills(&seldom));
            prop_assert!(often.len() >= 200 && often.len() <= 600, "{}", often.len());
            prop_assert_eq!(&often[..seldom.len()], &seldom[..]);
            prop_assert!((0..5).all(|instance| often.contains(&Act::Kill(instance))));
            prop_assert_eq!(kills(&minute(seed, false, 1)), often, "disks do not change who is killed");
        }

        #[test]
        fn a_disk_that_is_full_is_freed_before_another_is_filled(seed: u64) {
            let mut acts = minute(seed, true, 10);
            acts.retain(|act| !matches!(act, Act::Kill(_)));
            prop_assert!(acts.len() >= 16);
            for pair in acts.chunks_exact(2) {
                let [Act::Fill(filled), Act::Free(freed)] = *pair else { panic!("{pair:?}") };
                prop_assert_eq!(filled, freed);
            }
            prop_assert!(minute(seed, false, 10).iter().all(|act| matches!(act, Act::Kill(_))));
        }
    }
}
