//! Two fronts of one server, on two machines.
//!
//! The first has the instances beside it and answers (`share`); the second asks it every second (`follow`), and takes instances and
//! certificate from it. What operators switch goes both ways: what both say is laid together (`merge`), so that it does not matter at
//! which front somebody switches, nor which of them was away. What they say to each other, and how it is sealed, is in `talk`; what
//! the second keeps for the time without the first, in `learnt` and `pair`; how it begins, in `prepare`. What the controller makes of it:
//! `wire` answers and asks, `learning` is about instances and the certificate, `words` about switches.
//!
//! Pure are `merge` and the types of `talk`.

mod error;
mod follow;
mod learning;
mod learnt;
mod merge;
mod pair;
mod prepare;
mod share;
mod talk;
mod wire;
mod words;

use tokio::sync::oneshot;

pub use error::SecondError;
pub(crate) use follow::{Line, run as follow};
pub(crate) use merge::{Thing, later_than};
pub(crate) use prepare::begin;
pub use prepare::{followed, prepare};
pub(crate) use share::Share;
pub(crate) use wire::Second;

use talk::{Answer, Question};

/// What the tasks of this module want of the controller.
pub(crate) enum Ask {
    /// Another front asks.
    Question(Box<Question>, oneshot::Sender<Answer>),
    /// The other front is to be asked.
    Next(oneshot::Sender<Question>),
    /// This was answered; or why nothing was. Replied is whether there is news to tell at once.
    Answered(Result<Box<Answer>, String>, oneshot::Sender<bool>),
}
