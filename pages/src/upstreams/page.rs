//! The backends of all fronts.

use askama::Template;
use switchboard_alert::letter::count;
use switchboard_fleet::front::{Backend, BackendState};

use super::{Format, FrontView, Show, Sort, UpstreamsQuery, columns, look};
use crate::{
    frame::{Frame, Page, Place},
    health::Health,
    text::list,
};

/// Most backends named in one sentence.
const NAMED_MAX: usize = 4;

/// The backends of all fronts: `/upstreams`.
#[derive(Debug, Clone, PartialEq, Template)]
#[template(path = "upstreams.html")]
pub struct Upstreams {
    /// What stands around it.
    pub frame: Frame,
    /// The fronts, in the order of the page.
    pub fronts: Vec<FrontView>,
    /// What was asked for.
    pub query: UpstreamsQuery,
    /// How often the page is made anew, in ms.
    pub refresh_ms: u32,
}

impl Page for Upstreams {}

impl Upstreams {
    pub(crate) fn place(&self) -> Place {
        Place::Backends
    }

    /// How often a browser without JavaScript loads the page, in s.
    pub(crate) fn reload_s(&self) -> u32 {
        reload_s(self.refresh_ms)
    }

    /// The fronts that are asked for.
    pub(crate) fn shown_fronts(&self) -> Vec<&FrontView> {
        let wanted =
            |view: &&FrontView| self.query.front.as_ref().is_none_or(|name| *name == view.table.front);
        self.fronts.iter().filter(wanted).collect()
    }

    pub(crate) fn summary(&self) -> Summary {
        Summary::of(&self.fronts, self.frame.now_ms)
    }

    /// The same page, sorted otherwise.
    pub(crate) fn sorted(&self, sort: Sort) -> String {
        UpstreamsQuery { sort, format: None, ..self.query.clone() }.address()
    }

    pub(crate) fn by(&self, column: &columns::Column) -> String {
        self.sorted(Sort::Column(column.key))
    }

    pub(crate) fn is_by(&self, column: &columns::Column) -> bool {
        self.query.sort == Sort::Column(column.key)
    }

    /// Which rows may be chosen, in words.
    pub(crate) fn shows(&self) -> [(&'static str, String, bool); 2] {
        let one = |show, words| {
            let query = UpstreamsQuery { show, format: None, ..self.query.clone() };
            (words, query.address(), self.query.show == show)
        };
        [one(Show::All, "All"), one(Show::Bad, "Only what is not well")]
    }

    /// The same for programs.
    pub(crate) fn formats(&self) -> [(&'static str, String); 3] {
        [("JSON", Format::Json), ("XML", Format::Xml), ("Prometheus", Format::Prometheus)].map(
            |(word, format)| {
                let query = UpstreamsQuery {
                    format: Some(format),
                    sort: Sort::Given,
                    show: Show::All,
                    ..self.query.clone()
                };
                (word, query.address())
            },
        )
    }

    pub(crate) fn is_narrowed(&self) -> bool {
        self.query.front.is_some() || self.query.u.is_some()
    }
}

/// As a page without JavaScript would else jump about all the time, not more often than this, in s.
const RELOAD_MIN_S: u32 = 5;

pub(crate) fn reload_s(refresh_ms: u32) -> u32 {
    refresh_ms.div_ceil(1000).max(RELOAD_MIN_S)
}

/// The sentences on top that say it all.
pub(crate) struct Summary {
    /// The worst first; at least one.
    pub(crate) sentences: Vec<String>,
    /// How it looks.
    pub(crate) worst: Health,
    /// For the window's title.
    pub(crate) short: String,
}

impl Summary {
    pub(crate) fn first(&self) -> &str {
        self.sentences.first().map_or("", String::as_str)
    }

    pub(crate) fn rest(&self) -> &[String] {
        self.sentences.get(1..).unwrap_or_default()
    }

    fn of(fronts: &[FrontView], now_ms: u64) -> Self {
        let (heard, silent): (Vec<&FrontView>, Vec<&FrontView>) =
            fronts.iter().partition(|view| !view.is_silent(&now_ms));
        let mut sentences = Vec::new();
        let mut worst = Health::Up;
        let mut say = |health, sentence: String| {
            sentences.push(sentence);
            worst = if worst == Health::Up || worst == Health::Overloaded { health } else { worst };
        };
        if fronts.is_empty() {
            say(Health::NeverHeard, "No front has sent its backends yet.".into());
        }
        let names = |views: Vec<&FrontView>| -> Vec<String> {
            views.iter().map(|view| view.table.front.clone()).collect()
        };
        let panicking = names(heard.iter().copied().filter(|view| view.table.panic.is_some()).collect());
        if !panicking.is_empty() {
            say(
                Health::Down,
                format!(
                    "Panic mode at {}: so many are bad that all get traffic.",
                    list(&panicking, NAMED_MAX)
                ),
            );
        }
        let dead = names(heard.iter().copied().filter(|view| view.table.nginx.pid.is_none()).collect());
        if !dead.is_empty() {
            say(Health::Down, format!("nginx does not run at {}.", list(&dead, NAMED_MAX)));
        }
        let all: Vec<&Backend> = heard
            .iter()
            .flat_map(|view| &view.table.upstreams)
            .flat_map(|upstream| &upstream.backends)
            .collect();
        let out = |state: BackendState| -> Vec<String> {
            all.iter()
                .filter(|backend| backend.state == state)
                .map(|backend| backend.address.clone())
                .collect()
        };
        for state in
            [BackendState::Ejected, BackendState::Unavailable, BackendState::Off, BackendState::Draining]
        {
            let found = out(state);
            if !found.is_empty() {
                let are = if found.len() == 1 { "is" } else { "are" };
                let health = if look::is_fault(&state) { Health::Down } else { Health::Overloaded };
                let all = count(all.len(), "backend", "backends");
                say(
                    health,
                    format!(
                        "{} of {all} {are} {}: {}.",
                        found.len(),
                        look::words(&state),
                        list(&found, NAMED_MAX)
                    ),
                );
            }
        }
        if !silent.is_empty() {
            let are = if silent.len() == 1 { "The controller" } else { "The controllers" };
            say(Health::Silent, format!("{are} of {} cannot be heard.", list(&names(silent), NAMED_MAX)));
        }
        let serving = all.iter().filter(|backend| backend.state.serves()).count();
        let short = format!("{serving} of {} up", all.len());
        if sentences.is_empty() {
            let fronts = count(fronts.len(), "front", "fronts");
            sentences.push(match all.len() {
                0 => format!("The configuration of {fronts} names no backend."),
                1 => format!("The backend of {fronts} is in service."),
                n if n == serving => format!("All {n} backends of {fronts} are in service."),
                n => format!("{serving} of {n} backends of {fronts} are in service; the others are off by configuration or have left."),
            });
        }
        Self { sentences, worst, short }
    }
}
