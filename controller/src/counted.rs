//! What was counted between two looks. Pure.

use switchboard_health::{Cause, Counts, Failures};

use crate::seen::SeenBackend;

/// Causes, and where the module counts them.
const CAUSES: [Cause; 11] = [
    Cause::Refused,
    Cause::ConnectTimeout,
    Cause::ReadTimeout,
    Cause::WriteTimeout,
    Cause::Cut,
    Cause::Cut,
    Cause::Other,
    Cause::Status500,
    Cause::Status502,
    Cause::Status503,
    Cause::Status504,
];

/// A backend's counters at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Counters {
    requests: u64,
    answered: u64,
    failures: u64,
    sum_ms: u64,
    causes: [u64; CAUSES.len()],
    buckets: Vec<u64>,
}

/// What came between two moments.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Delta {
    /// Requests that began.
    pub(crate) begun: u64,
    /// Requests that failed.
    pub(crate) failed: u64,
    /// Requests that came to their end, with what speaks against the backend.
    pub(crate) counts: Counts,
    /// Response times by bucket.
    pub(crate) buckets: Vec<u64>,
    /// Their sum, ms.
    pub(crate) sum_ms: u64,
}

impl Counters {
    /// As the module shows them.
    pub(crate) fn of(backend: &SeenBackend) -> Self {
        let statuses = &backend.responses;
        Self {
            requests: backend.requests,
            answered: backend.answered,
            failures: backend.failures,
            sum_ms: backend.response.sum_ms,
            causes: [
                backend.connect_errors,
                backend.connect_timeouts,
                backend.read_timeouts,
                backend.write_timeouts,
                backend.no_answer,
                backend.cut,
                backend.bad_answer,
                statuses.internal_error,
                statuses.bad_gateway,
                statuses.unavailable,
                statuses.gateway_timeout,
            ],
            buckets: backend.response.buckets.clone(),
        }
    }

    /// What came since `before`. `None` if any counter is smaller now: nginx has begun anew, or another backend has the record.
    pub(crate) fn since(&self, before: &Self) -> Option<Delta> {
        let mut failures = Failures::default();
        let mut ended = self.answered.checked_sub(before.answered)?;
        for (at, cause) in CAUSES.into_iter().enumerate() {
            let count = self.causes[at].checked_sub(before.causes[at])?;
            failures.add(cause, narrow(count));
            let is_status =
                matches!(cause, Cause::Status500 | Cause::Status502 | Cause::Status503 | Cause::Status504);
            // An answer 502 is an answer: it has been counted.
            ended += if is_status { 0 } else { count };
        }
        if self.buckets.len() < before.buckets.len() {
            return None;
        }
        let then = before.buckets.iter().copied().chain(std::iter::repeat(0));
        let buckets: Option<Vec<u64>> =
            self.buckets.iter().zip(then).map(|(now, then)| now.checked_sub(then)).collect();
        Some(Delta {
            begun: self.requests.checked_sub(before.requests)?,
            failed: self.failures.checked_sub(before.failures)?,
            counts: Counts { requests: narrow(ended), failures },
            buckets: buckets?,
            sum_ms: self.sum_ms.checked_sub(before.sum_ms)?,
        })
    }
}

fn narrow(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn backend() -> impl Strategy<Value = SeenBackend> {
        (prop::collection::vec(0u64..1000, 8), prop::collection::vec(0u64..50, 0..22)).prop_map(
            |(counts, buckets)| {
                let mut backend = SeenBackend {
                    answered: counts[0],
                    connect_errors: counts[1],
                    read_timeouts: counts[2],
                    no_answer: counts[3],
                    cut: counts[4],
                    bad_answer: counts[5],
                    ..SeenBackend::default()
                };
                backend.requests = counts[..6].iter().sum::<u64>() + counts[6];
                backend.responses.bad_gateway = counts[7].min(counts[0]);
                backend.failures = counts[1..6].iter().sum::<u64>() + backend.responses.bad_gateway;
                backend.response.buckets = buckets;
                backend
            },
        )
    }

    fn sum(a: &SeenBackend, b: &SeenBackend) -> SeenBackend {
        let mut both = a.clone();
        both.requests += b.requests;
        both.answered += b.answered;
        both.connect_errors += b.connect_errors;
        both.read_timeouts += b.read_timeouts;
        both.no_answer += b.no_answer;
        both.cut += b.cut;
        both.bad_answer += b.bad_answer;
        both.failures += b.failures;
        both.responses.bad_gateway += b.responses.bad_gateway;
        let length = a.response.buckets.len().max(b.response.buckets.len());
        both.response.buckets.resize(length, 0);
        for (sum, more) in both.response.buckets.iter_mut().zip(&b.response.buckets) {
            *sum += more;
        }
        both
    }

    proptest! {
        #[test]
        fn what_was_added_is_what_is_seen(before in backend(), more in backend()) {
            let after = Counters::of(&sum(&before, &more));
            let delta = after.since(&Counters::of(&before)).unwrap();
            let alone = Counters::of(&more).since(&Counters::default()).unwrap();
            prop_assert_eq!((delta.begun, delta.failed), (alone.begun, alone.failed));
            prop_assert_eq!(delta.counts, alone.counts);
            prop_assert_eq!(delta.counts.failures.get(Cause::Cut) as u64, more.no_answer + more.cut);
            prop_assert!(delta.counts.failures.total() <= delta.counts.requests);
            prop_assert_eq!(delta.buckets.iter().sum::<u64>(), more.response.buckets.iter().sum::<u64>());
        }

        #[test]
        fn counters_that_went_back_say_nothing(before in backend(), after in backend()) {
            let (old, new) = (Counters::of(&before), Counters::of(&after));
            let went_back = before.answered > after.answered || before.failures > after.failures;
            if went_back {
                prop_assert_eq!(new.since(&old), None);
            }
            prop_assert_eq!(new.since(&new).map(|delta| delta.begun + delta.failed), Some(0));
        }
    }
}
