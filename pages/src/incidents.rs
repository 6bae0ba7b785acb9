//! Incidents: the list, and each on a page of its own, in the words of its letters.

use std::collections::BTreeSet;

use askama::Template;
use switchboard_alert::{
    letter::{Story, Tone, count, lasting},
    rules::{Change, Event, Member},
};

use crate::{
    frame::{Frame, Page, Place},
    text::shown,
    url,
};

/// An incident in a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Incident {
    /// Its newest step.
    pub last: Event,
    /// Whether it is still open.
    pub open: bool,
    /// The letters written of it.
    pub letters: u32,
}

impl Incident {
    pub(crate) fn story(&self) -> Story {
        Story::of(&self.last)
    }

    pub(crate) fn address(&self) -> String {
        url::incident(&self.last.incident)
    }

    pub(crate) fn lasted(&self, now_ms: &u64) -> String {
        lasted(&self.last, self.open, *now_ms)
    }

    pub(crate) fn letters_words(&self) -> String {
        match self.letters {
            0 => "no letter".into(),
            some => count(usize::try_from(some).unwrap_or(usize::MAX), "letter", "letters"),
        }
    }
}

/// All incidents: `/incidents`.
#[derive(Debug, Clone, PartialEq, Template)]
#[template(path = "incidents.html")]
pub struct Incidents {
    /// What stands around it.
    pub frame: Frame,
    /// Those that are open; none on further pages.
    pub open: Vec<Incident>,
    /// Those that are over, the latest first.
    pub past: Vec<Incident>,
    /// What `before` asks for the next page, if there is one.
    pub older: Option<String>,
    /// Whether this is the first page.
    pub first: bool,
}

impl Page for Incidents {}

impl Incidents {
    pub(crate) fn place(&self) -> Place {
        Place::Incidents
    }

    pub(crate) fn older_address(&self, before: &str) -> String {
        format!("/incidents{}", url::query(&[("before", before)]))
    }
}

/// One incident: `/incidents/ID`.
#[derive(Debug, Clone, PartialEq, Template)]
#[template(path = "incident.html")]
pub struct IncidentPage {
    /// What stands around it.
    pub frame: Frame,
    /// Its steps, the oldest first; at least one.
    pub steps: Vec<Event>,
    /// Whether it is still open.
    pub open: bool,
    /// The workers concerned now.
    pub members: Vec<Member>,
    /// Letters of it that have not been sent yet, by number.
    pub unsent: BTreeSet<u32>,
    /// Whether anybody reads letters: `alert.to` and `alert.smtp` are set.
    pub has_readers: bool,
}

impl Page for IncidentPage {}

impl IncidentPage {
    pub(crate) fn place(&self) -> Place {
        Place::Incidents
    }

    pub(crate) fn id(&self) -> String {
        self.steps.last().map_or(String::new(), |step| shown(&step.incident))
    }

    /// The words of the newest step.
    pub(crate) fn story(&self) -> Option<Story> {
        self.steps.last().map(Story::of)
    }

    pub(crate) fn stories(&self) -> Vec<(&Event, Story)> {
        self.steps.iter().rev().map(|step| (step, Story::of(step))).collect()
    }

    pub(crate) fn opened_ms(&self) -> u64 {
        self.steps.last().map_or(0, |step| step.opened_ms)
    }

    pub(crate) fn lasted(&self) -> String {
        self.steps.last().map_or(String::new(), |step| lasted(step, self.open, self.frame.now_ms))
    }

    /// Which letter told a step, and whether it is on its way.
    pub(crate) fn letter(&self, step: &Event) -> String {
        let Some(number) = step.letter else { return "Recorded, no letter.".into() };
        // People count from one.
        let which = format!("Letter {}", u64::from(number) + 1);
        if !self.has_readers {
            return format!("{which}: not written, as alert.to or alert.smtp in fleet.toml is empty.");
        }
        if self.unsent.contains(&number) {
            format!("{which}: waits to be sent.")
        } else {
            format!("{which}: sent.")
        }
    }

    pub(crate) fn thread(&self) -> String {
        let letters = self.steps.iter().filter(|step| step.letter.is_some()).count();
        if letters == 0 { "no letter".into() } else { count(letters, "letter", "letters") }
    }
}

/// How long an incident lasted, or lasts.
fn lasted(last: &Event, open: bool, now_ms: u64) -> String {
    match (&last.change, open) {
        (Change::Recovered { lasted_ms } | Change::Ended { lasted_ms }, false) => lasting(*lasted_ms),
        (_, false) => lasting(last.at_ms.saturating_sub(last.opened_ms)),
        (_, true) => lasting(now_ms.saturating_sub(last.opened_ms)),
    }
}

/// The class of a label.
pub(crate) fn tone(tone: &Tone) -> &'static str {
    match tone {
        Tone::Bad => "bad",
        Tone::Warning => "warn",
        Tone::Good => "good",
    }
}
