//! What is asked for: a chart, of whom, and what happened meanwhile.

use serde::{Deserialize, Serialize};

use crate::chart::name::{ChartName, Format, Size};

/// A chart to be drawn.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ChartRequest {
    /// Type, size, period and format.
    pub name: ChartName,
    /// The colours.
    pub theme: Theme,
    /// Whose lines, in this order: at most [`ChartRequest::WORKERS_MAX`].
    pub workers: Vec<String>,
    /// The end of the time shown, seconds since 1970; the full minute before it counts.
    pub until_s: i64,
    /// Spans in which something was wrong: at most [`ChartRequest::EVENTS_MAX`] within the period.
    pub bands: Vec<Band>,
    /// What began or ended: at most [`ChartRequest::EVENTS_MAX`] within the period.
    pub marks: Vec<Mark>,
}

impl ChartRequest {
    /// Most workers in one chart.
    pub const WORKERS_MAX: usize = 100;
    /// Most bands, and most marks, drawn: the latest.
    pub const EVENTS_MAX: usize = 100;

    /// A dark chart without bands and marks.
    pub fn new(name: ChartName, workers: Vec<String>, until_s: i64) -> Self {
        Self { name, theme: Theme::Dark, workers, until_s, bands: Vec::new(), marks: Vec::new() }
    }

    /// The same with what need not be drawn left out, so that charts that look alike are drawn once.
    pub(crate) fn trimmed(&self) -> Self {
        let mut request = self.clone();
        request.until_s = self.until_s - self.until_s.rem_euclid(60);
        let from_s = request.start_s();
        request
            .bands
            .retain(|band| band.to_s > from_s && band.from_s < request.until_s && band.from_s < band.to_s);
        for band in &mut request.bands {
            (band.from_s, band.to_s) = (band.from_s.max(from_s), band.to_s.min(request.until_s));
        }
        request.marks.retain(|mark| (from_s..=request.until_s).contains(&mark.at_s));
        request.bands.sort_by_key(|band| (band.from_s, band.to_s));
        request.marks.sort_by_key(|mark| mark.at_s);
        request.bands.drain(..request.bands.len().saturating_sub(Self::EVENTS_MAX));
        request.marks.drain(..request.marks.len().saturating_sub(Self::EVENTS_MAX));
        request
    }

    /// The same for numbers, for which size, format, colours, bands and marks do not matter.
    pub(crate) fn bare(&self) -> Self {
        let name = ChartName { size: Size::M, format: Format::Svg, ..self.name };
        Self { name, theme: Theme::Dark, bands: Vec::new(), marks: Vec::new(), ..self.clone() }
    }

    /// The beginning of the time shown.
    pub(crate) fn start_s(&self) -> i64 {
        self.until_s - self.name.period.seconds()
    }
}

/// The colours of a chart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Theme {
    /// Light on dark, as the original.
    Dark,
    /// Dark on light.
    Light,
}

/// A span of time that is shaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Band {
    /// Its beginning, seconds since 1970.
    pub from_s: i64,
    /// Its end.
    pub to_s: i64,
    /// What was wrong.
    pub reason: Reason,
}

/// Why a chart has a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Reason {
    /// The instance was down.
    InstanceDown,
    /// The monitor was down.
    MonitorDown,
    /// The clock was set.
    ClockJumped,
}

impl Reason {
    /// All there are.
    pub const ALL: &[Self] = &[Self::InstanceDown, Self::MonitorDown, Self::ClockJumped];

    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InstanceDown => "instance down",
            Self::MonitorDown => "monitor down",
            Self::ClockJumped => "clock jumped",
        }
    }
}

/// A moment that is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Mark {
    /// When, seconds since 1970.
    pub at_s: i64,
    /// What.
    pub kind: MarkKind,
}

/// What is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum MarkKind {
    /// An instance started.
    Start,
    /// An instance stopped.
    Stop,
}

impl MarkKind {
    /// All there are.
    pub const ALL: &[Self] = &[Self::Start, Self::Stop];

    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
        }
    }
}
