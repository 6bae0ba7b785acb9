//! How long to wait before a process that died is started again.

use std::time::Duration;

/// The first pause.
const FIRST: Duration = Duration::from_millis(200);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(10);
/// Who lived so long starts again with the first pause.
const HEALTHY: Duration = Duration::from_secs(30);

/// Pauses that double while a process keeps dying young.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    last: Option<Duration>,
}

impl Backoff {
    /// The pause after a process that lived for `lived`.
    pub(super) fn after(&mut self, lived: Duration) -> Duration {
        let next = match self.last {
            Some(last) if lived < HEALTHY => (last * 2).min(LONGEST),
            _ => FIRST,
        };
        *self.last.insert(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_fall_back_after_a_healthy_life() {
        let mut backoff = Backoff::default();
        let young = Duration::from_secs(1);
        let pauses: Vec<_> = (0..8).map(|_| backoff.after(young).as_millis()).collect();
        assert_eq!(pauses, [200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        assert_eq!(backoff.after(HEALTHY), FIRST);
        assert_eq!(backoff.after(young), FIRST * 2);
    }
}
