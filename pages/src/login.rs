//! Who may switch says who they are.

use askama::Template;

use crate::frame::{Frame, Page, Place};

/// Name and password: `/login`.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "login.html")]
pub struct Login {
    /// What stands around it.
    pub frame: Frame,
    /// The address to go to afterwards, of this monitor: `/upstreams?...`. What is no such address is left out of the form.
    pub next: String,
    /// Why the last try failed.
    pub fault: Option<String>,
}

impl Page for Login {}

impl Login {
    pub(crate) fn place(&self) -> Place {
        Place::Elsewhere
    }

    /// Where to go afterwards: never to another site.
    pub(crate) fn next(&self) -> Option<&str> {
        let own = self.next.starts_with('/')
            && !self.next.starts_with("//")
            && !self.next.contains(['\\', '\r', '\n', '\t']);
        own.then_some(&*self.next)
    }
}
