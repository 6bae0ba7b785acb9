//! A front's table, as pages show it.

use switchboard_fleet::front::{Backend, Happened, Place, Table, Upstream};

use super::{UpstreamsQuery, row};
use crate::{health::SILENT_AFTER_MS, text::shown, url};

/// One front: what its controller sent last, and when that came.
#[derive(Debug, Clone, PartialEq)]
pub struct FrontView {
    /// What it sent.
    pub table: Table,
    /// When it came, ms since 1970.
    pub heard_ms: u64,
}

/// Most entries of what happened on the page of all fronts.
const HAPPENED_MAX: usize = 20;

impl FrontView {
    pub(crate) fn shown(&self) -> String {
        shown(&self.table.front)
    }

    /// Whether its controller has been silent for so long that its numbers are old.
    pub(crate) fn is_silent(&self, now_ms: &u64) -> bool {
        now_ms.saturating_sub(self.heard_ms) >= SILENT_AFTER_MS
    }

    /// What is wrong with it, or missing, a sentence each.
    pub(crate) fn wrong(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.table.nginx.pid.is_none() {
            wrong.push("nginx does not run: this front takes no requests.".into());
        } else if self.table.nginx.module.is_none() {
            wrong.push("The module is not in nginx: nothing is counted, a switch is a reload, and nobody is taken out by the rules of health.".into());
        }
        wrong.extend(self.table.wrong.iter().map(|sentence| shown(sentence)));
        wrong
    }

    /// What is known of nginx itself: a word and its value each.
    pub(crate) fn facts(&self) -> Vec<(&'static str, String)> {
        let nginx = &self.table.nginx;
        let process = nginx.pid.map_or("does not run".into(), |pid| format!("process {pid}"));
        let generation = nginx.generation.map_or("not known".into(), |number| format!("number {number}"));
        let module = nginx.module.as_ref().map_or("none".into(), |version| shown(version));
        let slots = self.table.slots.map(|slots| format!("{} of {}", slots.free, slots.all));
        let no_slots = if nginx.module.is_some() { "none" } else { "none without the module" };
        vec![
            ("nginx", process),
            ("Configuration", generation),
            ("Module", module),
            ("Free places", slots.unwrap_or_else(|| no_slots.into())),
        ]
    }

    /// The page of one of its backends.
    pub(crate) fn address(&self, place: &Place) -> String {
        address(&self.table.front, &place.upstream, &place.backend)
    }

    pub(crate) fn happened(&self) -> &[Happened] {
        &self.table.happened[..self.table.happened.len().min(HAPPENED_MAX)]
    }

    /// Its upstreams with the rows that are asked for.
    pub(crate) fn groups<'a>(&'a self, query: &UpstreamsQuery) -> Vec<Group<'a>> {
        let wanted = |upstream: &&Upstream| query.u.as_ref().is_none_or(|name| *name == upstream.name);
        self.table.upstreams.iter().filter(wanted).map(|upstream| Group::of(self, upstream, query)).collect()
    }
}

/// One upstream with the rows that are asked for.
pub(crate) struct Group<'a> {
    pub(crate) upstream: &'a Upstream,
    pub(crate) backends: Vec<&'a Backend>,
    front: &'a str,
}

impl<'a> Group<'a> {
    fn of(view: &'a FrontView, upstream: &'a Upstream, query: &UpstreamsQuery) -> Self {
        let wanted = upstream.backends.iter().filter(|backend| query.wants(&upstream.name, backend));
        let mut backends: Vec<&Backend> = wanted.collect();
        row::sort(&mut backends, query.sort);
        Self { upstream, backends, front: &view.table.front }
    }

    pub(crate) fn shown(&self) -> String {
        shown(&self.upstream.name)
    }

    /// Where it comes from, and what cannot be done with it.
    pub(crate) fn notes(&self) -> Vec<String> {
        let at = shown(&self.upstream.at);
        let at = if at.is_empty() { "the configuration".into() } else { at };
        let mut notes = vec![];
        if self.upstream.implicit {
            notes.push(format!("implicit: from a bare proxy_pass in {at}"));
        } else {
            notes.push(format!("from {at}"));
        }
        if !self.upstream.switchable {
            notes.push("cannot be switched: it has no zone, memory that all of nginx's workers share".into());
        }
        notes
    }

    /// `2 of 3 in service`.
    pub(crate) fn service(&self) -> String {
        let all = &self.upstream.backends;
        let serving = all.iter().filter(|backend| backend.state.serves()).count();
        format!("{serving} of {} in service", all.len())
    }

    /// The tone of that.
    pub(crate) fn tone(&self) -> &'static str {
        let all = &self.upstream.backends;
        match all.iter().filter(|backend| backend.state.serves()).count() {
            0 => "bad",
            serving if serving == all.len() => "quiet",
            _ => "warn",
        }
    }

    pub(crate) fn hidden(&self) -> usize {
        self.upstream.backends.len() - self.backends.len()
    }

    /// The cells of the row that adds all up: of all backends, also of those that are not shown.
    pub(crate) fn sums(&self) -> Vec<(&'static super::columns::Column, super::cell::Cell)> {
        let all: Vec<&Backend> = self.upstream.backends.iter().collect();
        super::columns::ALL.iter().map(|column| (column, column.sum(&all))).collect()
    }

    pub(crate) fn address(&self, backend: &Backend) -> String {
        address(self.front, &self.upstream.name, &backend.address)
    }
}

/// A backend's page.
pub(crate) fn address(front: &str, upstream: &str, backend: &str) -> String {
    format!("/upstreams{}", url::query(&[("front", front), ("u", upstream), ("b", backend)]))
}
