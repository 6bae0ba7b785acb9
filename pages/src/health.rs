//! How a worker is, in one word and one shape.

use askama::filters::Safe;

/// A worker that was not heard for so long is called silent, in ms, if it is not down by then: it reports every 3 s.
pub const SILENT_AFTER_MS: u64 = 15_000;

/// How a worker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Health {
    /// It reports.
    Up,
    /// It reports that it uses more CPU than it should.
    Overloaded,
    /// It has not reported for some seconds.
    Silent,
    /// It has not reported for minutes.
    Down,
    /// It said that it stops, and has not said anything since.
    Stopped,
    /// It is expected, and has never reported.
    NeverHeard,
    /// It reports, and nobody expects it.
    Unknown,
}

/// What is known of a worker that is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signs {
    /// When a report of it last came in, ms since 1970.
    pub heard_ms: Option<u64>,
    /// When it said that it stops, if that was the last thing it said.
    pub stopping_ms: Option<u64>,
    /// It uses more CPU than it should.
    pub overloaded: bool,
    /// Since when the monitor listens, ms since 1970: nobody is down who had no time to report.
    pub listening_ms: u64,
    /// A worker that was not heard for so long is down, in ms: as the rules of letters have it.
    pub down_after_ms: u64,
}

impl Health {
    /// How a worker with these signs is.
    pub fn of(signs: &Signs, now_ms: u64) -> Self {
        let Some(heard_ms) = signs.heard_ms else { return Self::NeverHeard };
        if signs.stopping_ms.is_some() {
            return Self::Stopped;
        }
        let silent_after_ms = SILENT_AFTER_MS.min(signs.down_after_ms);
        let age_ms = now_ms.saturating_sub(heard_ms);
        let waited_ms = now_ms.saturating_sub(heard_ms.max(signs.listening_ms));
        match (age_ms < silent_after_ms, signs.overloaded) {
            (true, false) => Self::Up,
            (true, true) => Self::Overloaded,
            (false, _) if waited_ms < signs.down_after_ms => Self::Silent,
            (false, _) => Self::Down,
        }
    }

    /// Whether it reports.
    pub fn is_up(self) -> bool {
        matches!(self, Self::Up | Self::Overloaded)
    }

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Overloaded => "overloaded",
            Self::Silent => "silent",
            Self::Down => "down",
            Self::Stopped => "stopped",
            Self::NeverHeard => "never heard of",
            Self::Unknown => "unknown",
        }
    }

    /// The class of its colour.
    pub(crate) fn tone(self) -> &'static str {
        match self {
            Self::Up => "good",
            Self::Overloaded | Self::Silent => "warn",
            Self::Down => "bad",
            Self::Stopped | Self::NeverHeard | Self::Unknown => "quiet",
        }
    }

    /// Its shape, beside which its words stand.
    pub(crate) fn shape(self) -> Safe<String> {
        shape(match self {
            Self::Up => DISC,
            Self::Overloaded => TRIANGLE,
            Self::Silent => HALF,
            Self::Down => CROSS,
            Self::Stopped => SQUARE,
            Self::NeverHeard => RING,
            Self::Unknown => QUESTION,
        })
    }
}

/// A shape in a text's line and colour.
pub(crate) fn shape(drawn: &str) -> Safe<String> {
    Safe(format!("<svg class=\"shape\" viewBox=\"0 0 16 16\" aria-hidden=\"true\">{drawn}</svg>"))
}

pub(crate) const DISC: &str = "<circle cx=\"8\" cy=\"8\" r=\"5.5\"/>";
pub(crate) const TRIANGLE: &str = "<path d=\"M8 1.8 15 14H1z\"/>";
pub(crate) const HALF: &str =
    "<circle cx=\"8\" cy=\"8\" r=\"5\" class=\"line\"/><path d=\"M8 3a5 5 0 0 0 0 10z\"/>";
pub(crate) const CROSS: &str = "<path d=\"M3 3l10 10M13 3 3 13\" class=\"line thick\"/>";
pub(crate) const SQUARE: &str = "<path d=\"M3 3h10v10H3z\"/>";
pub(crate) const RING: &str = "<circle cx=\"8\" cy=\"8\" r=\"5\" class=\"line\"/>";
pub(crate) const QUESTION: &str = "<path d=\"M4.6 5.4a3.4 3.4 0 1 1 4.9 3Q8 9.2 8 10.6\" class=\"line\"/><circle cx=\"8\" cy=\"13.6\" r=\"1.4\"/>";
pub(crate) const TICK: &str = "<path d=\"M2.5 8.5 6.5 12.5 13.5 4\" class=\"line thick\"/>";
pub(crate) const DOT: &str = "<circle cx=\"8\" cy=\"8\" r=\"2.5\"/>";
pub(crate) const PLAY: &str = "<path d=\"M4 2.5 14 8 4 13.5z\"/>";
pub(crate) const DRAIN: &str = "<path d=\"M8 2v11M3 8.5 8 13.5 13 8.5\" class=\"line thick\"/>";
pub(crate) const MINUS: &str = "<path d=\"M2.5 8h11\" class=\"line thick\"/>";
pub(crate) const BOLT: &str = "<path d=\"M9.5 1 3 9h4l-1 6 7-8.5H8.5z\"/>";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_and_what_they_mean() {
        let now_ms = 10_000_000;
        let well = Signs {
            heard_ms: Some(now_ms - 3000),
            stopping_ms: None,
            overloaded: false,
            listening_ms: 0,
            down_after_ms: 360_000,
        };
        let heard = |ago_ms| Signs { heard_ms: Some(now_ms - ago_ms), ..well };
        let table = [
            (well, Health::Up),
            (Signs { overloaded: true, ..well }, Health::Overloaded),
            (heard(14_999), Health::Up),
            (heard(15_000), Health::Silent),
            (heard(359_999), Health::Silent),
            (heard(360_000), Health::Down),
            (Signs { overloaded: true, ..heard(360_000) }, Health::Down),
            (Signs { listening_ms: now_ms - 1000, ..heard(9_000_000) }, Health::Silent),
            (Signs { down_after_ms: 6000, ..heard(5999) }, Health::Up),
            (Signs { down_after_ms: 6000, ..heard(6000) }, Health::Down),
            (Signs { stopping_ms: Some(1), ..heard(9_000_000) }, Health::Stopped),
            (Signs { heard_ms: None, ..well }, Health::NeverHeard),
            (Signs { heard_ms: Some(now_ms + 5000), ..well }, Health::Up),
        ];
        for (signs, health) in table {
            assert_eq!(Health::of(&signs, now_ms), health, "{signs:?}");
        }
    }
}
