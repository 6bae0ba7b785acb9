//! A body from one line to another, piece by piece as it comes. A reader that takes nothing stops the writer: nothing more
//! is read while something is unsent.

mod intake;
mod outlet;
mod pieces;
#[cfg(test)]
mod tests;

use std::{cell::Cell, rc::Rc};

use crate::{
    refusal::Refusal,
    wire::{line::Line, pipe::Pipe, speaker::Speaker, turns::Turn},
};

pub(crate) use pieces::poll_carry;

/// What is read at a time while all lines hold as much as they may.
const PIECE_MIN: usize = 4096;

/// From so many bytes on a body goes by way of a pipe: below, what the pipe costs is more than what it saves.
const PIPED_MIN: u64 = 256 << 10;

/// How a body's passage ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Passage {
    /// The reader has been sent the last byte.
    Whole,
    /// The reader went before any byte was taken: the body can go to another.
    Unread,
    /// The reader went in the middle.
    ReaderLeft,
    /// The sender broke off, or sent what is no body.
    SenderLeft,
    /// The body is longer than allowed.
    TooLong,
}

/// A body as it comes in on a line.
pub(crate) struct Intake {
    line: Rc<Line>,
    /// Bytes that may still come.
    allowed: u64,
    /// Whether any data has been taken.
    begun: bool,
    /// By way of this, while it is worth it.
    pipe: Option<Pipe>,
    /// Its turn to go on, or its place in the line of those who wait for theirs.
    turn: Turn,
    /// Whether it stands in that line at all.
    takes_turns: bool,
    /// Whether the reader did not take all of what it was sent last.
    blocked: bool,
}

/// A body as it goes out on a line.
pub(crate) struct Outlet {
    pub(crate) speaker: Speaker,
    chunked: bool,
    ended: Cell<bool>,
    /// Counts the bytes of all bodies.
    counter: Rc<Cell<u64>>,
}

impl Passage {
    /// What the sender is told of a passage that it has spoilt.
    pub(crate) fn refusal(&self) -> Refusal {
        match self {
            Self::TooLong => too_long(),
            _ => Refusal::bad("the body broke off, or is malformed").closing(),
        }
    }
}

/// 413.
pub(crate) fn too_long() -> Refusal {
    Refusal::new(http::StatusCode::PAYLOAD_TOO_LARGE, "the body is longer than allowed").closing()
}
