//! A switch, before it is made and after.

use askama::{Template, filters::Safe};
use switchboard_fleet::front::{self, Capacity, Change, Refused};

use super::{FrontView, SwitchForm, view::address};
use crate::{
    frame::{Frame, Page, Place},
    health::{CROSS, TICK, TRIANGLE, shape},
    numbers::percent,
    text::shown,
    url,
};

/// What a switch would leave, and the button that makes it: `/upstreams/switch?...`.
#[derive(Debug, Clone, PartialEq, Template)]
#[template(path = "confirm.html")]
pub struct Confirm {
    /// What stands around it. Without [`Frame::admin`] the page has no button.
    pub frame: Frame,
    /// The front.
    pub front: FrontView,
    /// What is wanted.
    pub wish: SwitchForm,
    /// What that leaves of the upstream.
    pub capacity: Capacity,
}

impl Page for Confirm {}

impl Confirm {
    pub(crate) fn place(&self) -> Place {
        Place::Backends
    }

    /// What is wanted, as a sentence without its end: `Switch off 127.0.0.1:8081`.
    pub(crate) fn wanted(&self) -> String {
        let address = shown(&self.wish.place.backend);
        match self.wish.change {
            Change::On => format!("Switch on {address}"),
            Change::Drain => format!("Let {address} run dry"),
            Change::Off => format!("Switch off {address}"),
            Change::Weight { percent } => format!("Give {address} {percent} % of its weight"),
        }
    }

    /// What that means for those that use it.
    pub(crate) fn meaning(&self) -> &'static str {
        match self.wish.change {
            Change::On => "It serves, and is judged by how it does.",
            Change::Drain => {
                "It gets no new agents and apps; those that name it still reach it. What runs there ends in peace."
            }
            Change::Off => "It gets no new requests. What runs there ends in peace.",
            Change::Weight { .. } => "It keeps this part of its weight, and so of the requests.",
        }
    }

    /// `2 of 3 backends stay in service, 67 % of the weight`.
    pub(crate) fn left(&self) -> String {
        let Capacity { before, after, left } = self.capacity;
        let all = self.front.table.upstream(&self.wish.place.upstream);
        let all = all.map_or(0, |upstream| upstream.backends.len());
        match (before, after) {
            (0, 0) => "No backend is in service, and none will be.".into(),
            (_, 0) => "No backend stays in service: nobody is served any more.".into(),
            _ if after > before => {
                format!("{after} of {all} backends will be in service, {before} are now.")
            }
            _ => {
                let stay = if before == 1 { "backend stays" } else { "backends stay" };
                format!("{after} of {before} {stay} in service, {} of the weight.", percent(&left))
            }
        }
    }

    pub(crate) fn tone(&self) -> &'static str {
        match self.capacity {
            Capacity { after: 0, .. } => "bad",
            Capacity { left, .. } if left < 0.5 => "bad",
            Capacity { left, .. } if left < 1.0 => "warn",
            _ => "good",
        }
    }

    pub(crate) fn shape(&self) -> Safe<String> {
        shape(match self.tone() {
            "bad" => CROSS,
            "warn" => TRIANGLE,
            _ => TICK,
        })
    }

    pub(crate) fn until_ms(&self) -> Option<u64> {
        self.wish.until.at_ms(self.frame.now_ms)
    }

    /// Whether the switches changed since the wish was made.
    pub(crate) fn is_late(&self) -> bool {
        self.wish.seen.is_some_and(|seen| seen != self.front.table.version)
    }

    /// What the form carries: the wish, for the table that is shown here.
    pub(crate) fn fields(&self) -> Vec<(&'static str, String)> {
        SwitchForm { seen: Some(self.front.table.version), ..self.wish.clone() }.fields()
    }

    pub(crate) fn back(&self) -> String {
        self.front.address(&self.wish.place)
    }

    pub(crate) fn login_address(&self) -> String {
        format!("/login{}", url::query(&[("next", &*self.wish.address())]))
    }
}

/// What became of a switch: the answer to a POST of `/upstreams/switch`.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "outcome.html")]
pub struct Outcome {
    /// What stands around it.
    pub frame: Frame,
    /// The front's name.
    pub front: String,
    /// Which of its backends.
    pub at: front::Place,
    /// What the front says.
    pub outcome: Result<String, Refused>,
}

impl Page for Outcome {}

impl Outcome {
    pub(crate) fn place(&self) -> Place {
        Place::Backends
    }

    pub(crate) fn title(&self) -> &'static str {
        match &self.outcome {
            Ok(_) => "Done",
            Err(Refused::Changed) => "Not done: something changed",
            Err(_) => "Not done",
        }
    }

    pub(crate) fn said(&self) -> String {
        match &self.outcome {
            Ok(said) => shown(said),
            Err(refused) => shown(&refused.to_string()),
        }
    }

    pub(crate) fn tone(&self) -> &'static str {
        if self.outcome.is_ok() { "good" } else { "bad" }
    }

    pub(crate) fn shape(&self) -> Safe<String> {
        shape(if self.outcome.is_ok() { TICK } else { CROSS })
    }

    pub(crate) fn back(&self) -> String {
        address(&self.front, &self.at.upstream, &self.at.backend)
    }
}
