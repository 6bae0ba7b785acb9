//! What the caller saw of a backend since it last said so.

use serde::{Deserialize, Serialize};

/// Why a request failed, or an active check did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// Nobody listens there.
    Refused,
    /// The connection was not made in time.
    ConnectTimeout,
    /// It did not take the request in time.
    WriteTimeout,
    /// It did not answer in time.
    ReadTimeout,
    /// The answer, or the connection, broke off.
    Cut,
    /// It answered 500.
    #[serde(rename = "500")]
    Status500,
    /// It answered 502.
    #[serde(rename = "502")]
    Status502,
    /// It answered 503.
    #[serde(rename = "503")]
    Status503,
    /// It answered 504.
    #[serde(rename = "504")]
    Status504,
    /// Anything else, such as an answer that is no HTTP.
    Other,
}

impl Cause {
    /// All of them, in the order of the enum.
    pub const ALL: [Self; 10] = [
        Self::Refused,
        Self::ConnectTimeout,
        Self::WriteTimeout,
        Self::ReadTimeout,
        Self::Cut,
        Self::Status500,
        Self::Status502,
        Self::Status503,
        Self::Status504,
        Self::Other,
    ];
}

/// Failed requests by cause; each request has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Failures([u32; Cause::ALL.len()]);

impl Failures {
    /// So many of each cause.
    pub fn of(counts: &[(Cause, u32)]) -> Self {
        let mut failures = Self::default();
        for (cause, count) in counts {
            failures.add(*cause, *count);
        }
        failures
    }

    /// How many failed by `cause`.
    pub fn get(&self, cause: Cause) -> u32 {
        self.0[cause as usize]
    }

    /// `count` more failed by `cause`.
    pub fn add(&mut self, cause: Cause, count: u32) {
        let slot = &mut self.0[cause as usize];
        *slot = slot.saturating_add(count);
    }

    /// How many failed.
    pub fn total(&self) -> u32 {
        self.0.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// The causes and how often each, without those that never occurred.
    pub fn by_cause(&self) -> impl Iterator<Item = (Cause, u32)> + '_ {
        Cause::ALL.into_iter().map(|cause| (cause, self.get(cause))).filter(|(_, count)| *count > 0)
    }
}

/// Requests that came to their end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// All of them. If it is less than the failures, it counts as so many.
    pub requests: u32,
    /// Those that failed.
    pub failures: Failures,
}

impl Counts {
    /// Both together.
    pub(crate) fn add(&mut self, other: &Self) {
        self.requests = self.requests.saturating_add(other.requests);
        for (sum, count) in self.failures.0.iter_mut().zip(&other.failures.0) {
            *sum = sum.saturating_add(*count);
        }
    }

    /// The same with only the failures of `causes`; the others are answers like any.
    pub(crate) fn limited_to(&self, causes: &[Cause]) -> Self {
        let requests = self.requests.max(self.failures.total());
        let mut failures = Failures::default();
        for (cause, count) in self.failures.by_cause().filter(|(cause, _)| causes.contains(cause)) {
            failures.add(cause, count);
        }
        Self { requests, failures }
    }
}

/// What came of one active check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// The answer was as it should be.
    Good {
        /// How long it took, in ms; too long is not good, see [`Limits::check_max_ms`](crate::Limits::check_max_ms).
        ms: u32,
    },
    /// It was not, or there was none.
    Bad(Cause),
}

/// What was seen of one backend. There may be several for one backend in a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observed<'a> {
    /// Its name; one that is not known is passed over.
    pub backend: &'a str,
    /// Requests that ended since the last look.
    pub counts: Counts,
    /// An active check that ended since the last look.
    pub check: Option<Check>,
}

impl<'a> Observed<'a> {
    /// Only requests.
    pub fn counts(backend: &'a str, counts: Counts) -> Self {
        Self { backend, counts, check: None }
    }

    /// Only a check.
    pub fn check(backend: &'a str, check: Check) -> Self {
        Self { backend, counts: Counts::default(), check: Some(check) }
    }
}
