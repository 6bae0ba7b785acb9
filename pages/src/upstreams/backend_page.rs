//! One backend: all that is known of it, and its switches.

use askama::Template;
use switchboard_fleet::front::{self, Backend, Happened, Heat, Upstream};

use super::{FrontView, Until, cell::Cell, columns, columns::Column, page::reload_s};
use crate::{
    frame::{Frame, Page, Place},
    text::shown,
    url,
};

/// One backend: `/upstreams?front=NAME&u=UPSTREAM&b=ADDRESS`.
#[derive(Debug, Clone, PartialEq, Template)]
#[template(path = "backend.html")]
pub struct BackendPage {
    /// What stands around it. With [`Frame::admin`] the page has switches.
    pub frame: Frame,
    /// Its front.
    pub front: FrontView,
    /// Which of the front's backends; if there is none, the page says so.
    pub place: front::Place,
    /// How often the page is made anew, in ms.
    pub refresh_ms: u32,
}

impl Page for BackendPage {}

impl BackendPage {
    pub(crate) fn place(&self) -> Place {
        Place::Backends
    }

    pub(crate) fn reload_s(&self) -> u32 {
        reload_s(self.refresh_ms)
    }

    /// Whether a browser without JavaScript may load it anew: not under the hands of somebody who fills in a form.
    pub(crate) fn reloads(&self) -> bool {
        self.frame.admin.is_none()
    }

    /// It and its upstream, if it is there.
    pub(crate) fn found(&self) -> Option<(&Upstream, &Backend)> {
        Some((self.front.table.upstream(&self.place.upstream)?, self.front.table.backend(&self.place)?))
    }

    pub(crate) fn address(&self) -> String {
        shown(&self.place.backend)
    }

    pub(crate) fn upstream(&self) -> String {
        shown(&self.place.upstream)
    }

    pub(crate) fn front_address(&self) -> String {
        format!("/upstreams{}", url::query(&[("front", &*self.front.table.front)]))
    }

    pub(crate) fn upstream_address(&self) -> String {
        let pairs = [("front", &*self.front.table.front), ("u", &*self.place.upstream)];
        format!("/upstreams{}", url::query(&pairs))
    }

    pub(crate) fn login_address(&self) -> String {
        format!("/login{}", url::query(&[("next", &*self.front.address(&self.place))]))
    }

    /// Its numbers by groups.
    pub(crate) fn numbers(&self, backend: &Backend) -> Vec<(&'static str, Vec<(&'static Column, Cell)>)> {
        let cells = |group| {
            let columns = columns::ALL.iter().filter(move |column| column.group == group);
            columns.map(|column| (column, column.cell(backend))).collect()
        };
        columns::groups().into_iter().map(|(group, _)| (group, cells(group))).collect()
    }

    pub(crate) fn heat(&self) -> Option<&Heat> {
        self.front.table.heat.iter().find(|heat| heat.place == self.place && !heat.columns.is_empty())
    }

    pub(crate) fn happened(&self) -> Vec<&Happened> {
        let own = |one: &&Happened| one.place.as_ref().is_none_or(|place| *place == self.place);
        self.front.table.happened.iter().filter(own).collect()
    }

    pub(crate) fn choices(&self) -> [(&'static str, &'static str, Until); 4] {
        Until::CHOICES
    }

    /// The weight that the form proposes.
    pub(crate) fn proposed(&self, backend: &Backend) -> u32 {
        backend.weight.clamp(1, 100)
    }
}
