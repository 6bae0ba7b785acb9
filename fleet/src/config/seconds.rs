//! Times in the configuration.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error};

/// A time given in seconds, fractions allowed: from 0 up to a year.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seconds(Duration);

impl Seconds {
    /// The longest time taken, a year.
    pub const MAX: f64 = 31_536_000.0;

    /// A whole number of seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// As the standard library's type.
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl From<Duration> for Seconds {
    fn from(time: Duration) -> Self {
        Self(time)
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let seconds = f64::deserialize(from)?;
        if (0.0..=Self::MAX).contains(&seconds) {
            return Ok(Self(Duration::from_secs_f64(seconds)));
        }
        Err(D::Error::custom(format!("{seconds} is no time in seconds: expected 0 to {}", Self::MAX)))
    }
}
