//! What all pages have in common.

use crate::assets::{Asset, ICON, SCRIPT, STYLE};

/// To be sent with every page as `Content-Security-Policy`.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; img-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// What stands around each page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The server that the monitor runs on.
    pub server: String,
    /// The monitor's version.
    pub version: String,
    /// The time, ms since 1970.
    pub now_ms: u64,
    /// Incidents that are open.
    pub open_incidents: usize,
    /// Who is logged in, if anybody.
    pub admin: Option<Admin>,
}

/// Somebody who is logged in and may switch backends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// The name.
    pub name: String,
    /// What a form of this login has to bring back, so that no other site can send one.
    pub csrf: String,
}

/// A page that is filled.
pub trait Page: askama::Template {
    /// Its text.
    fn html(&self) -> String {
        // No part of a page fails to be written; if one does, this says so.
        self.render().unwrap_or_else(|_| BROKEN.into())
    }
}

const BROKEN: &str = "<!DOCTYPE html><html lang=\"en\"><title>Not written</title><p>This page could not be written: a fault of the monitor.</p></html>";

/// The links on top, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Overview,
    Charts,
    Backends,
    Incidents,
    Log,
    Elsewhere,
}

impl Place {
    pub(crate) const LINKS: [(Self, &'static str, &'static str); 5] = [
        (Self::Overview, "/", "Overview"),
        (Self::Charts, "/charts", "Charts"),
        (Self::Backends, "/upstreams", "Backends"),
        (Self::Incidents, "/incidents", "Incidents"),
        (Self::Log, "/log", "Log"),
    ];
}

/// What pages take from [`Frame`] and embedded files.
impl Frame {
    pub(crate) fn style(&self) -> String {
        Asset::address(STYLE)
    }

    pub(crate) fn script(&self) -> String {
        Asset::address(SCRIPT)
    }

    pub(crate) fn icon(&self) -> String {
        Asset::address(ICON)
    }

    pub(crate) fn links(&self) -> [(Place, &'static str, &'static str); 5] {
        Place::LINKS
    }
}
