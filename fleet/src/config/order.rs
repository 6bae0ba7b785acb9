//! In which order customers get their IDs.

use serde::Deserialize;

/// In which order the IDs of a range are given to customers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Order {
    /// One after another, as the original service does.
    Sequential,
    /// In an order that cannot be foretold: a stranger who registers learns neither the next ID nor how many there are.
    Scattered,
}

impl TryFrom<String> for Order {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "sequential" => Ok(Self::Sequential),
            "scattered" => Ok(Self::Scattered),
            _ => Err(format!("expected \"sequential\" or \"scattered\", found {text:?}")),
        }
    }
}
