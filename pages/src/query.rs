//! What addresses ask for, and back.

use percent_encoding::percent_decode_str;
use switchboard_archive::{Period, Size, Theme};
use switchboard_fleet::report::Level;

use crate::{moment, scope::Scope, text::shown, url};

/// Something in an address that cannot be understood. Its words say what was expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadQuery(pub(crate) String);

impl std::fmt::Display for BadQuery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadQuery {}

/// The value of `key` in what stands behind an address's `?`; `None` if it is not there or empty.
pub fn value(raw: &str, key: &str) -> Option<String> {
    let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    raw.split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .find(|(name, value)| decode(name) == key && !value.is_empty())
        .map(|(_, value)| decode(value))
}

/// Refuses what stands behind an address's `?` if it has a key besides `keys`.
pub(crate) fn known(raw: &str, keys: &[&str]) -> Result<(), BadQuery> {
    let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    let names = raw.split('&').filter(|pair| !pair.is_empty());
    let mut names = names.map(|pair| decode(pair.split_once('=').map_or(pair, |(name, _)| name)));
    match names.find(|name| !keys.contains(&&**name)) {
        Some(name) => Err(BadQuery(format!("{} is none of {}", quoted(&name), keys.join(", ")))),
        None => Ok(()),
    }
}

/// Which of a gallery's charts are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shown {
    /// Averages.
    #[default]
    Averages,
    /// Peaks.
    Peaks,
    /// Both.
    Both,
}

impl Shown {
    pub(crate) const ALL: [Self; 3] = [Self::Averages, Self::Peaks, Self::Both];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Averages => "no",
            Self::Peaks => "yes",
            Self::Both => "both",
        }
    }

    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Averages => "averages",
            Self::Peaks => "peaks",
            Self::Both => "averages and peaks",
        }
    }
}

/// What `/charts` is asked for: `period=6h&size=m&peaks=no&worker=NAME`, or `server=NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GalleryQuery {
    /// The time covered; an hour unless said.
    pub period: Period,
    /// How large the pictures are; M unless said.
    pub size: Size,
    /// Averages unless said.
    pub shown: Shown,
    /// All instances unless said.
    pub scope: Scope,
}

impl Default for GalleryQuery {
    fn default() -> Self {
        Self { period: Period::Hour, size: Size::M, shown: Shown::default(), scope: Scope::All }
    }
}

impl GalleryQuery {
    /// Reads what stands behind the `?`.
    ///
    /// # Errors
    /// A value that is none of those known.
    pub fn parse(raw: &str) -> Result<Self, BadQuery> {
        let none = Self::default();
        Ok(Self {
            period: word(raw, "period", Period::ALL, Period::as_str)?.unwrap_or(none.period),
            size: word(raw, "size", Size::ALL, Size::as_str)?.unwrap_or(none.size),
            shown: word(raw, "peaks", &Shown::ALL, Shown::as_str)?.unwrap_or(none.shown),
            scope: scope(raw)?,
        })
    }

    /// The address that asks for it.
    pub fn address(&self) -> String {
        let (key, name) = self.scope.pair();
        let pairs = [
            ("period", self.period.as_str()),
            ("size", self.size.as_str()),
            ("peaks", self.shown.as_str()),
            (key, name),
        ];
        format!("/charts{}", url::query(&pairs))
    }
}

/// What a picture is asked for besides its name: `theme=light&worker=NAME&v=1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PictureQuery {
    /// Dark unless said, as the original.
    pub theme: Theme,
    /// All instances unless said.
    pub scope: Scope,
}

impl PictureQuery {
    /// Reads what stands behind the `?`.
    ///
    /// # Errors
    /// A value that is none of those known.
    pub fn parse(raw: &str) -> Result<Self, BadQuery> {
        let theme = word(raw, "theme", &[Theme::Dark, Theme::Light], theme_word)?;
        Ok(Self { theme: theme.unwrap_or(Theme::Dark), scope: scope(raw)? })
    }
}

pub(crate) fn theme_word(theme: Theme) -> &'static str {
    match theme {
        Theme::Dark => "dark",
        Theme::Light => "light",
    }
}

/// A time as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    pub(crate) text: String,
    /// Its first moment, ms since 1970.
    pub start_ms: u64,
    /// The first moment after it: of `19:03` that is `19:04`.
    pub end_ms: u64,
}

/// What `/log` is asked for: `worker=NAME&level=warning&text=late&from=2026-11-22T19:03&to=2026-11-22&before=ID`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogQuery {
    /// Whose lines.
    pub worker: Option<String>,
    /// Only lines that matter at least so much.
    pub least: Option<Level>,
    /// What a line contains.
    pub text: Option<String>,
    /// Lines from its `start_ms` on.
    pub from: Option<Point>,
    /// Lines before its `end_ms`.
    pub to: Option<Point>,
    /// Lines older than this one, as the journal names it.
    pub before: Option<String>,
}

impl LogQuery {
    /// Most characters that are searched for.
    pub const TEXT_MAX: usize = 300;

    /// Reads what stands behind the `?`.
    ///
    /// # Errors
    /// A level or a time that is none, a text too long.
    pub fn parse(raw: &str) -> Result<Self, BadQuery> {
        let text = value(raw, "text");
        if text.as_ref().is_some_and(|text| text.chars().count() > Self::TEXT_MAX) {
            return Err(BadQuery(format!("text: longer than {} characters", Self::TEXT_MAX)));
        }
        Ok(Self {
            worker: value(raw, "worker"),
            least: word(raw, "level", &LEVELS, level_word)?,
            text,
            from: point(raw, "from")?,
            to: point(raw, "to")?,
            before: value(raw, "before"),
        })
    }

    /// The address that asks for it.
    pub fn address(&self) -> String {
        let text = |value: &'_ Option<String>| value.clone().unwrap_or_default();
        let point =
            |value: &'_ Option<Point>| value.as_ref().map_or(String::new(), |point| point.text.clone());
        let pairs = [
            ("worker", &*text(&self.worker)),
            ("level", self.least.map_or("", level_word)),
            ("text", &*text(&self.text)),
            ("from", &*point(&self.from)),
            ("to", &*point(&self.to)),
            ("before", &*text(&self.before)),
        ];
        format!("/log{}", url::query(&pairs))
    }
}

pub(crate) const LEVELS: [Level; 4] = [Level::Info, Level::Success, Level::Warning, Level::Error];

pub(crate) fn level_word(level: Level) -> &'static str {
    match level {
        Level::Info => "info",
        Level::Success => "success",
        Level::Warning => "warning",
        Level::Error => "error",
    }
}

pub(crate) fn word<T: Copy>(
    raw: &str,
    key: &str,
    all: &[T],
    as_str: fn(T) -> &'static str,
) -> Result<Option<T>, BadQuery> {
    let Some(given) = value(raw, key) else { return Ok(None) };
    let found = all.iter().copied().find(|one| as_str(*one) == given);
    found.map(Some).ok_or_else(|| {
        let known: Vec<&str> = all.iter().map(|one| as_str(*one)).collect();
        BadQuery(format!("{key}: {} is none of {}", quoted(&given), known.join(", ")))
    })
}

fn scope(raw: &str) -> Result<Scope, BadQuery> {
    if let Some(name) = value(raw, "worker") {
        return Ok(Scope::Worker(name));
    }
    if let Some(name) = value(raw, "server") {
        return Ok(Scope::Server(name));
    }
    let of = value(raw, "of").unwrap_or_default();
    Scope::of_option(&of)
        .ok_or_else(|| BadQuery(format!("of: {} is neither server:NAME nor worker:NAME", quoted(&of))))
}

fn point(raw: &str, key: &str) -> Result<Option<Point>, BadQuery> {
    let Some(text) = value(raw, key) else { return Ok(None) };
    let Some((start_ms, span_ms)) = moment::parse(&text) else {
        let expected = "expected 2026-11-22, 2026-11-22T19:03 or 2026-11-22T19:03:07, in UTC";
        return Err(BadQuery(format!("{key}: {} is no time: {expected}", quoted(&text))));
    };
    Ok(Some(Point { text, start_ms, end_ms: start_ms + span_ms }))
}

pub(crate) fn quoted(text: &str) -> String {
    let start: String = text.chars().take(60).collect();
    format!("\"{}\"", shown(&start))
}

#[cfg(test)]
#[path = "query_tests.rs"]
mod tests;
