//! The right to answer on a line, wherever the answer comes from: an app's request is what a parked poll is answered with,
//! and an agent's reply is what the app is.

use std::{rc::Rc, task::Waker};

use bytes::BytesMut;

use crate::{
    hub::Answer,
    wire::{
        answer,
        line::{Back, Line},
    },
};

/// The say on a line. It goes back when this is dropped: unused if nothing was said, cut if an answer had begun and was not
/// finished, so that a part never passes for the whole.
pub(crate) struct Speaker(Rc<Line>);

impl Speaker {
    /// To be made by [`Line::lend`].
    pub(super) fn new(line: Rc<Line>) -> Self {
        Self(line)
    }

    /// The line that is spoken on.
    pub(crate) fn line(&self) -> &Line {
        &self.0
    }

    /// Begins an answer. `write` writes its head, all but the fields of the connection itself and the empty line.
    pub(crate) fn begin(&self, write: impl FnOnce(&mut BytesMut)) {
        self.0.begin();
        let mut unsent = self.0.unsent();
        write(&mut unsent);
        answer::end_head(&self.0, &mut unsent);
    }

    /// Remembers the task that speaks: it is woken if the line is given up.
    pub(super) fn speaks(&self, waker: &Waker) {
        self.0.spoken_by(waker);
    }

    /// The whole answer has been sent.
    pub(crate) fn finish(self) {
        self.0.come_back(Back::Whole, None);
    }

    /// Leaves it to the line to say `answer`. Nothing may have been said.
    pub(crate) fn decline(self, answer: Answer) {
        self.0.come_back(Back::Word, Some(answer));
    }
}

impl Drop for Speaker {
    fn drop(&mut self) {
        if self.0.is_lent() {
            self.0.come_back(if self.0.has_begun() { Back::Cut } else { Back::Unused }, None);
        }
    }
}
