//! Where a database is.

use std::fmt;

use serde::{Deserialize, Deserializer, de::Error};

/// The URL of a PostgreSQL database, which may hold a password: its text is only given on purpose.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    /// The whole URL, for a driver.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatabaseUrl(..)")
    }
}

impl<'de> Deserialize<'de> for DatabaseUrl {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Self(text));
        }
        // The text itself may be a secret.
        Err(D::Error::custom("no database: expected postgres://USER:PASSWORD@HOST/DATABASE"))
    }
}
