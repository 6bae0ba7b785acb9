//! From an event to a letter.
//!
//! A letter has plain text and HTML that say the same, and perhaps one chart. It belongs to the thread of its incident: the same event
//! makes the same letter, with the same Message-ID, byte for byte.

mod compose;
mod html;
mod story;
mod text;
mod words;

pub use compose::{Letter, LetterError, Writer};
pub use story::{Story, Tone};
pub use words::{count, date, lasting, line, moment};
