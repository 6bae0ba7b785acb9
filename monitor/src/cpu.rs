//! How much CPU a worker used over the last minutes. Pure.

use std::collections::VecDeque;

/// What is looked back over.
const WINDOW_MS: u64 = 180_000;
/// Less than this says nothing.
const LEAST_MS: u64 = 60_000;
/// States closer together than this are not kept apart.
const APART_MS: u64 = 10_000;

/// CPU time as a worker told it, over the last minutes of one life.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cpu {
    told: VecDeque<(u64, u64)>,
}

impl Cpu {
    /// Takes in that at `at_ms` the worker had used `cpu_us` since it started.
    pub(crate) fn add(&mut self, at_ms: u64, cpu_us: u64) {
        // A clock that was set, or another program: what was before says nothing of now.
        if self.told.back().is_some_and(|&(at, cpu)| at_ms < at || cpu_us < cpu) {
            self.told.clear();
        }
        while self.told.len() > 1
            && self.told.get(1).is_some_and(|&(at, _)| at.saturating_add(WINDOW_MS) <= at_ms)
        {
            self.told.pop_front();
        }
        // The latest always counts; those between are thinned out.
        let before = self.told.len().checked_sub(2).and_then(|index| self.told.get(index));
        if before.is_some_and(|&(at, _)| {
            self.told.back().is_some_and(|&(last, _)| last < at.saturating_add(APART_MS))
        }) {
            self.told.pop_back();
        }
        self.told.push_back((at_ms, cpu_us));
    }

    /// A new life begins.
    pub(crate) fn clear(&mut self) {
        self.told.clear();
    }

    /// The share of a core that was used over the last minutes; `None` if less than one was heard of.
    pub(crate) fn share(&self) -> Option<f64> {
        let (&(from_ms, from_us), &(to_ms, to_us)) = self.told.front().zip(self.told.back())?;
        let span_ms = to_ms - from_ms;
        (span_ms >= LEAST_MS).then(|| (to_us - from_us) as f64 / (span_ms as f64 * 1000.0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn half_a_core() {
        let mut cpu = Cpu::default();
        for step in 0..20 {
            assert_eq!(cpu.share(), None);
            cpu.add(step * 3000, step * 1_500_000);
        }
        cpu.add(60_000, 30_000_000);
        assert_eq!(cpu.share(), Some(0.5));
        cpu.add(63_000, 0);
        assert_eq!(cpu.share(), None);
    }

    proptest! {
        #[test]
        fn a_steady_load_is_told_as_it_is_within_a_small_memory(
            share in 0u64..8, steps in proptest::collection::vec(1u64..20_000, 1..400),
        ) {
            let (mut cpu, mut at_ms) = (Cpu::default(), 0);
            for step in steps {
                at_ms += step;
                cpu.add(at_ms, at_ms * 1000 * share);
                prop_assert!(cpu.told.len() <= 40);
                let first = cpu.told.front().unwrap().0;
                prop_assert!(first + WINDOW_MS + 20_000 + APART_MS > at_ms);
            }
            if let Some(found) = cpu.share() {
                prop_assert!((found - share as f64).abs() < 1e-9);
            }
        }
    }
}
