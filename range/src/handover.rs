//! What one master hands to the next, and its text.
//!
//! ```text
//! switchboard-handover v1
//! epoch 2
//! generation 912
//! whole 26018363 80000000
//! to us.example.net/8081
//! 26019363 80000000
//! sha256 09ab…
//! ```

use switchboard_fleet::InstanceName;

use crate::{
    rules::{Holdings, IdRange},
    text,
};

const HEADER: &str = "switchboard-handover v1";
const TO: &str = "to ";

/// What is left of the fleet's range, on its way to a new master.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handover {
    /// The epoch that begins with it.
    pub epoch: u64,
    /// The generation of the sealed ledger, from which the new one goes on.
    pub generation: u64,
    /// The fleet's whole range, given or not.
    pub whole: IdRange,
    /// What is left of it.
    pub holdings: Holdings,
    /// The new master, to which it goes and to no other.
    pub to: InstanceName,
}

impl Handover {
    /// Most bytes that a handover has as a text: what the most ranges need.
    pub const BYTES_MAX: usize = 64 * 1024;

    /// The text, with a checksum.
    pub fn encode(&self) -> String {
        let mut text = format!("{HEADER}\n");
        text::line(&mut text, text::EPOCH, self.epoch);
        text::line(&mut text, text::GENERATION, self.generation);
        text::line(&mut text, text::WHOLE, text::numbers(self.whole));
        text::line(&mut text, TO, &self.to);
        text::ranges(&mut text, &self.holdings);
        text::sealed(text)
    }

    /// Reads a text.
    ///
    /// # Errors
    /// In a few words, what is wrong with it.
    pub fn decode(text: &str) -> Result<Self, &'static str> {
        if text.len() > Self::BYTES_MAX {
            return Err("the text is too long");
        }
        let mut lines = text::Lines::new(text::unsealed(text)?);
        lines.next(HEADER).filter(|rest| rest.is_empty()).ok_or("not a handover of this version")?;
        let epoch = lines.next(text::EPOCH).and_then(text::count).ok_or("the epoch is no number")?;
        let generation = lines.next(text::GENERATION).and_then(text::count);
        let generation = generation.ok_or("the generation is no number")?;
        let whole = lines.next(text::WHOLE).and_then(text::range).ok_or("the whole range is no range")?;
        let to = lines.next(TO).and_then(|to| to.parse().ok()).ok_or("the new master is no SERVER/PORT")?;
        let holdings = lines.ranges()?;
        lines.end()?;
        if text::span(&holdings)
            .is_some_and(|held| held.first() < whole.first() || held.last() > whole.last())
        {
            return Err("a range is outside the whole");
        }
        Ok(Self { epoch, generation, whole, holdings, to })
    }
}

#[cfg(test)]
#[path = "handover_tests.rs"]
mod tests;
