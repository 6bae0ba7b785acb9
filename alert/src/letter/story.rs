//! What a letter says, before it is text or HTML. Pages say it in the same words.

use switchboard_fleet::report::WorkerKind;

use super::words::{count, lasting, line, moment};
use crate::rules::{Change, Event, Facts, Kind, Member};

/// Most workers named in one letter.
const ROWS_MAX: usize = 50;
/// Most characters of a name.
const NAME_MAX: usize = 100;
/// Most characters of what is said of one worker.
const DETAIL_MAX: usize = 300;
/// Most characters of what a worker says itself: several sentences.
const OWN_WORDS_MAX: usize = 2000;

/// A letter's content, each text one line without control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Story {
    /// The word in brackets.
    pub label: &'static str,
    /// How the label looks.
    pub tone: Tone,
    /// The subject without the label.
    pub title: String,
    /// What has changed.
    pub sentences: Vec<String>,
    /// Workers: name, how it is.
    pub rows: Vec<(String, String)>,
    /// What else there is to know.
    pub notes: Vec<String>,
}

/// How the label looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Something is broken.
    Bad,
    /// Something needs a look.
    Warning,
    /// Something is over.
    Good,
}

impl Story {
    /// The words for `event`.
    pub fn of(event: &Event) -> Self {
        let (label, tone) = label(event);
        let place = place(event);
        let title = match &event.change {
            Change::Recovered { lasted_ms } => {
                format!("{place}: {} after {}", over(event.kind), lasting(*lasted_ms))
            }
            Change::Ended { lasted_ms } => {
                format!("{place}: no longer watched after {}", lasting(*lasted_ms))
            }
            Change::Unstable { .. } => format!("{place}: {} comes and goes", noun(event.kind)),
            Change::Reminder => {
                let since = lasting(event.at_ms.saturating_sub(event.opened_ms));
                format!("{place}: {}, for {since}", extent(event))
            }
            Change::Opened | Change::Updated { .. } => format!("{place}: {}", extent(event)),
        };
        let all = &event.facts.members;
        let rows = all.iter().take(ROWS_MAX).map(|member| row(event, member)).collect();
        let mut story = Self { label, tone, title, sentences: sentences(event), rows, notes: notes(event) };
        if all.len() > ROWS_MAX {
            story.notes.insert(0, format!("And {} more.", all.len() - ROWS_MAX));
        }
        story
    }
}

fn label(event: &Event) -> (&'static str, Tone) {
    match (&event.change, event.kind) {
        (Change::Recovered { .. }, _) => ("RECOVERED", Tone::Good),
        (Change::Ended { .. }, _) => ("ENDED", Tone::Good),
        (Change::Unstable { .. }, _) => ("UNSTABLE", Tone::Bad),
        (_, Kind::Down) => ("DOWN", Tone::Bad),
        (_, Kind::Overload) => ("OVERLOAD", Tone::Warning),
        (_, Kind::Trouble) => ("TROUBLE", Tone::Warning),
        (_, Kind::Archive) => ("ARCHIVE", Tone::Warning),
        (_, Kind::Panic) => ("PANIC", Tone::Bad),
        (_, Kind::Unheard) => ("UNHEARD", Tone::Bad),
    }
}

fn place(event: &Event) -> String {
    if event.server.is_empty() { "the fleet".into() } else { line(&event.server, NAME_MAX) }
}

fn over(kind: Kind) -> &'static str {
    match kind {
        Kind::Down => "all is up again",
        Kind::Overload => "no longer overloaded",
        Kind::Trouble => "no more trouble",
        Kind::Archive => "archives work again",
        Kind::Panic => "no more panics",
        Kind::Unheard => "reports come in again",
    }
}

fn noun(kind: Kind) -> &'static str {
    match kind {
        Kind::Down => "being down",
        Kind::Overload => "overload",
        Kind::Trouble => "trouble",
        Kind::Archive => "trouble with archives",
        Kind::Panic => "panicking",
        Kind::Unheard => "silence",
    }
}

/// How much is concerned, for the subject.
fn extent(event: &Event) -> String {
    let facts = &event.facts;
    match event.kind {
        Kind::Down => down(facts),
        Kind::Overload => {
            format!("{} of {} running", facts.members.len(), count(facts.running, "instance", "instances"))
        }
        Kind::Trouble => {
            format!("something is wrong with {}", some(&facts.members.iter().collect::<Vec<_>>(), "programs"))
        }
        Kind::Archive => count(facts.members.len(), "archive out of order", "archives out of order"),
        Kind::Panic => count(facts.members.len(), "worker has panicked", "workers have panicked"),
        Kind::Unheard => {
            let silent = count(facts.members.len(), "worker is silent", "workers are silent");
            if facts.reach.own { silent } else { format!("{silent}, the monitor does not answer itself") }
        }
    }
}

fn down(facts: &Facts) -> String {
    let gone = facts.members.iter().filter(|m| m.kind == WorkerKind::Instance).count();
    let mut parts = Vec::new();
    if facts.whole && gone == facts.instances {
        parts.push(format!("the whole server ({})", count(gone, "instance", "instances")));
    } else if gone > 0 {
        parts.push(format!("{gone} of {}", count(facts.instances, "instance", "instances")));
    }
    let others: Vec<&Member> = facts.members.iter().filter(|m| m.kind != WorkerKind::Instance).collect();
    if !others.is_empty() {
        parts.push(some(&others, "other programs"));
    }
    parts.join(" and ")
}

/// The one there is, or how many.
fn some(members: &[&Member], many: &str) -> String {
    match members {
        [one] if one.kind == WorkerKind::Front => "the front".into(),
        [one] if one.kind == WorkerKind::Controller => "the controller".into(),
        [one] => line(&one.name, NAME_MAX),
        more => format!("{} {many}", more.len()),
    }
}

fn row(event: &Event, member: &Member) -> (String, String) {
    let for_ms = event.at_ms.saturating_sub(member.since_ms);
    let detail_max = if event.kind == Kind::Trouble { OWN_WORDS_MAX } else { DETAIL_MAX };
    let detail = line(&member.detail, detail_max);
    let at = moment(member.since_ms);
    let words = match event.kind {
        Kind::Panic => format!("{detail}, at {at}"),
        _ => format!("{detail}, for {} (since {at})", lasting(for_ms)),
    };
    (line(&member.name, NAME_MAX), words)
}

fn names(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(ROWS_MAX).map(|name| line(name, NAME_MAX)).collect();
    let more = names.len().saturating_sub(ROWS_MAX);
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}

fn sentences(event: &Event) -> Vec<String> {
    let facts = &event.facts;
    let mut said = Vec::new();
    match &event.change {
        Change::Updated { joined, left } => {
            if !joined.is_empty() {
                said.push(format!("New: {}.", names(joined)));
            }
            if !left.is_empty() {
                said.push(format!("No longer: {}.", names(left)));
            }
        }
        Change::Reminder => said.push("This still lasts.".into()),
        Change::Unstable { changes } => said.push(format!(
            "At least {changes} changes within an hour. Nothing more is written about this until there was none for half an hour."
        )),
        Change::Recovered { lasted_ms } | Change::Ended { lasted_ms } => {
            let ended = event.opened_ms.saturating_add(*lasted_ms);
            said.push(format!("It lasted from {} to {}.", moment(event.opened_ms), moment(ended)));
        }
        Change::Opened => {}
    }
    if event.kind == Kind::Unheard && !facts.members.is_empty() {
        said.push(reach(facts).into());
    }
    if event.kind == Kind::Trouble && !facts.members.is_empty() {
        let whose = if facts.members.len() == 1 { "its own words" } else { "their own words" };
        said.push(format!("In {whose}:"));
    }
    said
}

/// What the monitor found out about itself.
fn reach(facts: &Facts) -> &'static str {
    match (facts.reach.own, facts.reach.others) {
        (false, _) => {
            "The monitor's own listener does not answer, not even over loopback: the fault is most likely here, and the fleet may be well."
        }
        (true, Some(false)) => {
            "The fronts of the other servers do not answer either: this server is most likely cut off from the network, and the fleet may be well."
        }
        (true, Some(true)) => {
            "Fronts of other servers answer, so the network is there: reports do not come through, or the instances are down everywhere."
        }
        (true, None) => "The monitor's own listener answers.",
    }
}

fn notes(event: &Event) -> Vec<String> {
    let facts = &event.facts;
    let mut notes = Vec::new();
    if facts.instances > 0 {
        let all = count(facts.instances, "instance", "instances");
        let on = if event.server.is_empty() {
            format!(" on {}", count(facts.servers, "server", "servers"))
        } else {
            String::new()
        };
        notes.push(format!("{} of {all}{on} are heard of.", facts.running));
    }
    if !facts.overloaded.is_empty() {
        notes.push(format!("Overloaded: {}.", names(&facts.overloaded)));
    }
    if facts.silenced > 0 {
        let workers = count(facts.silenced, "worker", "workers");
        notes.push(format!("Not counted: {workers} silenced for planned work."));
    }
    notes
}
