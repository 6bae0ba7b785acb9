//! What `/upstreams` is asked for.

use switchboard_fleet::front::Backend;

use super::{columns, look};
use crate::{
    query::{BadQuery, known, quoted, value, word},
    url,
};

/// What `/upstreams` is asked for: `front=NAME&u=UPSTREAM&b=ADDRESS&format=json&sort=requests&show=bad`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UpstreamsQuery {
    /// Only this front.
    pub front: Option<String>,
    /// Only this upstream.
    pub u: Option<String>,
    /// Only this backend of it.
    pub b: Option<String>,
    /// The answer's form; what the caller accepts unless said.
    pub format: Option<Format>,
    /// The rows' order.
    pub sort: Sort,
    /// Which rows there are.
    pub show: Show,
}

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A page.
    Html,
    /// JSON.
    Json,
    /// XML.
    Xml,
    /// The text that Prometheus reads.
    Prometheus,
}

impl Format {
    const ALL: [Self; 4] = [Self::Html, Self::Json, Self::Xml, Self::Prometheus];

    /// Its word in an address.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Html => "html",
            Self::Json => "json",
            Self::Xml => "xml",
            Self::Prometheus => "prometheus",
        }
    }

    /// Its `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Html => "text/html; charset=utf-8",
            Self::Json => "application/json",
            Self::Xml => "application/xml; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// The order of backends in a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sort {
    /// As nginx has them.
    #[default]
    Given,
    /// By address.
    Address,
    /// The worst first.
    State,
    /// By the column of this key, the most first.
    Column(&'static str),
}

impl Sort {
    fn of_word(given: &str) -> Option<Self> {
        match given {
            "given" => Some(Self::Given),
            "address" => Some(Self::Address),
            "state" => Some(Self::State),
            key => columns::keys().find(|known| *known == key).map(Self::Column),
        }
    }

    /// Its word in an address.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Given => "given",
            Self::Address => "address",
            Self::State => "state",
            Self::Column(key) => key,
        }
    }
}

/// Which backends are in a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Show {
    /// All.
    #[default]
    All,
    /// Those with which something is wrong, or that do not serve.
    Bad,
}

impl Show {
    const ALL: [Self; 2] = [Self::All, Self::Bad];

    /// Its word in an address.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Bad => "bad",
        }
    }
}

const KEYS: [&str; 6] = ["front", "u", "b", "format", "sort", "show"];

impl UpstreamsQuery {
    /// Reads what stands behind the `?`.
    ///
    /// # Errors
    /// A key or a value that is none of those known, or a backend without its upstream.
    pub fn parse(raw: &str) -> Result<Self, BadQuery> {
        known(raw, &KEYS)?;
        let sort = value(raw, "sort").map_or(Ok(Sort::Given), |given| {
            Sort::of_word(&given).ok_or_else(|| {
                let all: Vec<&str> =
                    ["given", "address", "state"].into_iter().chain(columns::keys()).collect();
                BadQuery(format!("sort: {} is none of {}", quoted(&given), all.join(", ")))
            })
        })?;
        let query = Self {
            front: value(raw, "front"),
            u: value(raw, "u"),
            b: value(raw, "b"),
            format: word(raw, "format", &Format::ALL, Format::as_str)?,
            sort,
            show: word(raw, "show", &Show::ALL, Show::as_str)?.unwrap_or_default(),
        };
        if query.b.is_some() && query.u.is_none() {
            return Err(BadQuery(
                "b: a backend is named together with its upstream, as u=UPSTREAM&b=ADDRESS".into(),
            ));
        }
        Ok(query)
    }

    /// The address that asks for it.
    pub fn address(&self) -> String {
        let text = |value: &'_ Option<String>| value.clone().unwrap_or_default();
        let pairs = [
            ("front", &*text(&self.front)),
            ("u", &*text(&self.u)),
            ("b", &*text(&self.b)),
            ("format", self.format.map_or("", Format::as_str)),
            ("sort", if self.sort == Sort::Given { "" } else { self.sort.as_str() }),
            ("show", if self.show == Show::All { "" } else { self.show.as_str() }),
        ];
        format!("/upstreams{}", url::query(&pairs))
    }

    /// Whether a row is wanted.
    pub(crate) fn wants(&self, upstream: &str, backend: &Backend) -> bool {
        self.u.as_ref().is_none_or(|name| name == upstream)
            && self.b.as_ref().is_none_or(|address| *address == backend.address)
            && (self.show == Show::All || look::is_bad(backend))
    }
}

#[cfg(test)]
#[path = "query_tests.rs"]
mod tests;
