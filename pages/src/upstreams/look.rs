//! How a backend's state looks: a word, a shape, a colour.

use askama::filters::Safe;
use switchboard_fleet::front::{Backend, BackendState};

use crate::health::{BOLT, CROSS, DISC, DRAIN, HALF, MINUS, RING, SQUARE, shape};

/// In words.
pub(crate) fn words(state: &BackendState) -> &'static str {
    match state {
        BackendState::Up => "up",
        BackendState::SlowStart => "slow start",
        BackendState::Ejected => "ejected",
        BackendState::Unavailable => "unavailable",
        BackendState::Draining => "draining",
        BackendState::Off => "off",
        BackendState::Down => "down by configuration",
        BackendState::Left => "left",
    }
}

/// What the word means, for whoever asks.
pub(crate) fn meaning(state: &BackendState) -> &'static str {
    match state {
        BackendState::Up => "In full service.",
        BackendState::SlowStart => "New, or back: its share grows.",
        BackendState::Ejected => "Taken out by the rules of health.",
        BackendState::Unavailable => "nginx itself has taken it out for a while (max_fails).",
        BackendState::Draining => "An operator lets it run dry: no new agents and apps.",
        BackendState::Off => "An operator switched it off.",
        BackendState::Down => "nginx's configuration has it off (down).",
        BackendState::Left => "It said that it leaves, or it is no instance any more.",
    }
}

/// The class of its colour.
pub(crate) fn tone(state: &BackendState) -> &'static str {
    match state {
        BackendState::Up => "good",
        BackendState::SlowStart | BackendState::Draining | BackendState::Off => "warn",
        BackendState::Ejected | BackendState::Unavailable => "bad",
        BackendState::Down | BackendState::Left => "quiet",
    }
}

/// Its shape, beside which its words stand.
pub(crate) fn drawn(state: &BackendState) -> Safe<String> {
    shape(match state {
        BackendState::Up => DISC,
        BackendState::SlowStart => HALF,
        BackendState::Ejected => CROSS,
        BackendState::Unavailable => BOLT,
        BackendState::Draining => DRAIN,
        BackendState::Off => SQUARE,
        BackendState::Down => MINUS,
        BackendState::Left => RING,
    })
}

/// The worst first.
pub(crate) fn rank(state: BackendState) -> usize {
    match state {
        BackendState::Ejected => 0,
        BackendState::Unavailable => 1,
        BackendState::Off => 2,
        BackendState::Draining => 3,
        BackendState::SlowStart => 4,
        BackendState::Down => 5,
        BackendState::Left => 6,
        BackendState::Up => 7,
    }
}

/// Whether it is out though nobody wanted that.
pub(crate) fn is_fault(state: &BackendState) -> bool {
    matches!(state, BackendState::Ejected | BackendState::Unavailable)
}

/// Whether somebody who looks for trouble wants to see it.
pub(crate) fn is_bad(backend: &Backend) -> bool {
    backend.state != BackendState::Up
        || backend.failed > 0.0
        || backend.check.as_ref().is_some_and(|check| check.fault.is_some())
}
