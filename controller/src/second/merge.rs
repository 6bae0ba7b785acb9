//! What was said last about each instance, at whichever front. Pure.
//!
//! Each of the two things that an operator sets, the switch and the weight, is a word with its time. Of two words the later one
//! counts, and of two of the same time the greater one by its content; "as usual again" is a word too. So it does not matter in which
//! order words come, how often, or by which way: who has heard the same words knows the same.
//!
//! Whoever speaks knows the word before, and is later than that, whatever the clock says ([`later_than`]). Times from the future are
//! capped, so that a clock that was wrong once does not win for ever.

use std::{cmp::Ordering, collections::BTreeMap};

use serde::{Deserialize, Serialize};
use switchboard_fleet::front::{Order, Switched};
use switchboard_nginx::Switch;

use crate::switches::{Mark, Setting};

/// How far the clocks of two fronts may differ, in ms: what comes from further away is not taken.
pub(crate) const SKEW_MAX_MS: u64 = 30_000;
/// How far a front's own words may be ahead of its clock, in ms.
const OWN_AHEAD_MS: u64 = 30_000;
/// And another's: its words may be ahead of its clock, and its clock of this one.
const OTHERS_AHEAD_MS: u64 = OWN_AHEAD_MS + SKEW_MAX_MS;
/// Most instances about which words are exchanged.
pub(crate) const PORTS_MAX: usize = 2000;
/// The longest that a switch may last, in ms, with room for the clocks.
const UNTIL_MAX_MS: u64 = 367 * 24 * 3600 * 1000;

/// The words about all instances, by port.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Book(pub(crate) BTreeMap<u16, Setting>);

/// A thing that words are about.
pub(crate) trait Thing: Copy {
    /// Decides between words of the same time; 0 is left for "as usual".
    fn rank(self) -> u32;
    /// Whether an operator could have said it.
    fn can_be(self) -> bool;
}

impl Thing for Switch {
    fn rank(self) -> u32 {
        match self {
            Self::On => 1,
            Self::Drain => 2,
            Self::Off => 3,
        }
    }

    fn can_be(self) -> bool {
        true
    }
}

impl Thing for u32 {
    fn rank(self) -> u32 {
        self.saturating_add(1)
    }

    fn can_be(self) -> bool {
        (1..100).contains(&self)
    }
}

impl<T: Thing> Mark<T> {
    /// Which of two words counts.
    fn order(&self, other: &Self) -> Ordering {
        let key = |word: &Self| (word.by.at_ms, word.is.map_or(0, T::rank), word.by.until_ms);
        let text = |word: &Self| (word.by.who.clone(), word.by.why.clone());
        key(self).cmp(&key(other)).then_with(|| text(self).cmp(&text(other)))
    }

    /// Whether somebody could have said it.
    fn can_be(&self, now_ms: u64) -> bool {
        let is_text = |text: &str| text.len() <= Order::WORDS_MAX && !text.contains(char::is_control);
        let until = self.by.until_ms.is_none_or(|until_ms| until_ms <= now_ms.saturating_add(UNTIL_MAX_MS));
        is_text(&self.by.who) && is_text(&self.by.why) && until && self.is.is_none_or(T::can_be)
    }

    /// The word that follows of itself when the time of this one is over: the same at every front.
    pub(crate) fn over(&self, now_ms: u64) -> Option<Self> {
        let until_ms = self.by.until_ms.filter(|until_ms| *until_ms <= now_ms && self.is.is_some())?;
        let at_ms = later_than(until_ms, Some(&self.by));
        let why = "the time for it is over".into();
        Some(Self { is: None, by: Switched { who: self.by.who.clone(), why, at_ms, until_ms: None } })
    }

    fn cap(&mut self, latest_ms: u64) {
        self.by.at_ms = self.by.at_ms.min(latest_ms);
    }
}

/// The time of a new word: `now_ms`, or right after the word before if that is later.
pub(crate) fn later_than(now_ms: u64, before: Option<&Switched>) -> u64 {
    before.map_or(now_ms, |before| now_ms.max(before.at_ms.saturating_add(1)))
}

fn join<T: Thing>(mine: &mut Option<Mark<T>>, other: Option<Mark<T>>) {
    let Some(other) = other else { return };
    if mine.as_ref().is_none_or(|mine| mine.order(&other) == Ordering::Less) {
        *mine = Some(other);
    }
}

fn cap<T: Thing>(word: &mut Option<Mark<T>>, latest_ms: u64) {
    word.iter_mut().for_each(|word| word.cap(latest_ms));
}

impl Setting {
    fn join(&mut self, other: Self) {
        join(&mut self.state, other.state);
        join(&mut self.weight, other.weight);
    }

    fn cap(&mut self, latest_ms: u64) {
        cap(&mut self.state, latest_ms);
        cap(&mut self.weight, latest_ms);
    }

    fn sift(&mut self, now_ms: u64) {
        self.state.take_if(|word| !word.can_be(now_ms));
        self.weight.take_if(|word| !word.can_be(now_ms));
    }
}

impl Book {
    /// What both know.
    pub(crate) fn join(&mut self, other: Self) {
        for (port, words) in other.0 {
            self.0.entry(port).or_default().join(words);
        }
    }

    /// Own words, before they are told: those of a clock that was wrong are brought back.
    pub(crate) fn own(mut self, now_ms: u64) -> Self {
        self.0.values_mut().for_each(|words| words.cap(now_ms.saturating_add(OWN_AHEAD_MS)));
        self
    }

    /// Setting from elsewhere, as far as they can be meant.
    pub(crate) fn heard(mut self, now_ms: u64) -> Self {
        for words in self.0.values_mut() {
            words.sift(now_ms);
            words.cap(now_ms.saturating_add(OTHERS_AHEAD_MS));
        }
        self.0.retain(|port, words| *port > 0 && *words != Setting::default());
        while self.0.len() > PORTS_MAX {
            self.0.pop_last();
        }
        self
    }
}

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;
