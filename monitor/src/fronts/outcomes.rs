//! What became of the last orders, for the page that says so: a page that is loaded again must not give the order again.

use std::collections::VecDeque;

use switchboard_fleet::front::{Place, Refused};

use super::NotDone;

/// Most that are remembered.
const REMEMBERED_MAX: usize = 200;

/// What became of an order.
#[derive(Debug, Clone)]
pub(crate) struct Ordered {
    /// The order's name.
    pub(crate) id: String,
    /// The front.
    pub(crate) front: String,
    /// Which of its backends.
    pub(crate) place: Place,
    /// What the front says, or that it says nothing.
    pub(crate) outcome: Result<Result<String, Refused>, NotDone>,
}

/// The last ones.
#[derive(Debug, Default)]
pub(super) struct Outcomes(VecDeque<Ordered>);

impl Outcomes {
    pub(super) fn remember(&mut self, ordered: Ordered) {
        if self.0.len() >= REMEMBERED_MAX {
            self.0.pop_front();
        }
        self.0.push_back(ordered);
    }

    pub(super) fn of(&self, id: &str) -> Option<Ordered> {
        self.0.iter().find(|ordered| ordered.id == id).cloned()
    }
}
