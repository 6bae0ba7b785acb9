//! Whose numbers a chart shows.

use switchboard_archive::ChartRequest;

use crate::text::shown;

/// Whose lines are in a chart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Scope {
    /// Those of all instances.
    #[default]
    All,
    /// Those of a server's instances.
    Server(String),
    /// That of one instance.
    Worker(String),
}

impl Scope {
    /// Most instances in one chart.
    pub const WORKERS_MAX: usize = ChartRequest::WORKERS_MAX;

    /// What a select's option sends as `of`: empty, `server:NAME` or `worker:NAME`.
    pub(crate) fn option(&self) -> String {
        match self {
            Self::All => String::new(),
            Self::Server(name) => format!("server:{name}"),
            Self::Worker(name) => format!("worker:{name}"),
        }
    }

    pub(crate) fn of_option(text: &str) -> Option<Self> {
        match text.split_once(':') {
            None if text.is_empty() => Some(Self::All),
            Some(("server", name)) if !name.is_empty() => Some(Self::Server(name.into())),
            Some(("worker", name)) if !name.is_empty() => Some(Self::Worker(name.into())),
            _ => None,
        }
    }

    /// How it stands in an address: key and value, both empty for all.
    pub(crate) fn pair(&self) -> (&'static str, &str) {
        match self {
            Self::All => ("", ""),
            Self::Server(name) => ("server", name),
            Self::Worker(name) => ("worker", name),
        }
    }

    /// In words.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::All => "all instances".into(),
            Self::Server(name) => format!("all instances of {}", shown(name)),
            Self::Worker(name) => shown(name),
        }
    }
}
