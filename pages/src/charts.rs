//! Charts with their numbers, and the gallery.

use askama::Template;
use switchboard_archive::{
    ChartKind, ChartName, Format, MarkKind, Period, Reason, Row, Size, Source, Table, Theme,
};

use crate::{
    frame::{Frame, Page, Place},
    numbers,
    query::{GalleryQuery, Shown, theme_word},
    scope::Scope,
    text::shown,
    url,
};

/// A chart on a page.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// What it shows.
    pub kind: ChartKind,
    /// The time covered.
    pub period: Period,
    /// How large it is.
    pub size: Size,
    /// Whose lines.
    pub scope: Scope,
    /// Changes whenever there is something new to draw, so that a picture may be kept until then.
    pub version: u64,
    /// Its numbers.
    pub table: Option<Table>,
    /// Why there is no picture, if so.
    pub fault: Option<String>,
}

impl Chart {
    pub(crate) fn id(&self) -> String {
        self.kind.to_string()
    }

    pub(crate) fn title(&self) -> String {
        self.kind.title()
    }

    /// The picture's address in a format and theme.
    pub(crate) fn picture(&self, format: Format, theme: Theme) -> String {
        let name = ChartName { kind: self.kind, size: self.size, period: self.period, format };
        let (key, scope) = self.scope.pair();
        let version = self.version.to_string();
        format!("/{name}{}", url::query(&[("theme", theme_word(theme)), (key, scope), ("v", &version)]))
    }

    pub(crate) fn dark(&self) -> String {
        self.picture(Format::Svg, Theme::Dark)
    }

    pub(crate) fn light(&self) -> String {
        self.picture(Format::Svg, Theme::Light)
    }

    /// The picture as a file to keep.
    pub(crate) fn png(&self) -> String {
        self.picture(Format::Png, Theme::Light)
    }

    /// The name of that file.
    pub(crate) fn file(&self) -> String {
        ChartName { kind: self.kind, size: self.size, period: self.period, format: Format::Png }.to_string()
    }

    /// The picture's width without what its frame adds.
    pub(crate) fn width(&self) -> u32 {
        self.size.pixels().0
    }

    /// The gallery that shows the same of the same, larger.
    pub(crate) fn gallery(&self) -> String {
        let shown = if self.kind.peaks { Shown::Peaks } else { Shown::Averages };
        let query = GalleryQuery { period: self.period, size: Size::M, shown, scope: self.scope.clone() };
        format!("{}#{}", query.address(), self.id())
    }

    pub(crate) fn covers(&self) -> String {
        format!("{}, {}", last(self.period), self.scope.words())
    }

    /// What somebody hears who does not see the picture.
    pub(crate) fn alt(&self) -> String {
        let what = format!("Chart: {}, {}.", self.title(), self.covers());
        let highest = self.table.as_ref().and_then(|table| {
            let known = table.rows.iter().filter(|row| row.max.is_some());
            let row = known.max_by(|a, b| a.max.unwrap_or(0.0).total_cmp(&b.max.unwrap_or(0.0)))?;
            Some(format!(" Highest: {}, {}.", numbers::of_unit(table.unit, row.max), shown(&row.worker)))
        });
        format!("{what}{}", highest.unwrap_or_else(|| " Nothing is known of this time.".into()))
    }

    pub(crate) fn caption(&self) -> String {
        let unit = numbers::unit_words(self.kind.unit());
        format!("{}, {unit}, {}", self.title(), last(self.period))
    }

    pub(crate) fn has_sum(&self) -> bool {
        matches!(self.kind.source, Source::Bytes | Source::Completed)
    }

    pub(crate) fn number(&self, value: &Option<f64>) -> String {
        // Bits per second stand in the caption, so that the table is not too wide.
        numbers::of_unit(self.kind.unit(), *value).trim_end_matches("bit/s").trim_end().into()
    }

    pub(crate) fn sum(&self, row: &Row) -> String {
        self.sum_words(row.sum)
    }

    /// The sum of all rows, if it says more than one of them.
    pub(crate) fn together(&self) -> Option<String> {
        let rows = &self.table.as_ref()?.rows;
        let sum = rows.iter().filter_map(|row| row.sum).reduce(|sum, more| sum + more);
        (self.has_sum() && rows.len() > 1 && sum.is_some()).then(|| self.sum_words(sum))
    }

    fn sum_words(&self, sum: Option<f64>) -> String {
        match (self.kind.source, sum.filter(|sum| sum.is_finite())) {
            (_, None) => "–".into(),
            (Source::Bytes, Some(sum)) => numbers::bytes(sum),
            (_, Some(sum)) => numbers::thousands(sum),
        }
    }
}

/// `last hour`.
pub(crate) fn last(period: Period) -> String {
    let words = period.words();
    format!("last {}", words.strip_prefix("1 ").unwrap_or(words))
}

/// The gallery of charts.
#[derive(Debug, Clone, PartialEq, Template)]
#[template(path = "charts.html")]
pub struct Gallery {
    /// What stands around it.
    pub frame: Frame,
    /// What was asked for.
    pub query: GalleryQuery,
    /// The periods that are one click away.
    pub quick: Vec<Period>,
    /// The servers that can be chosen.
    pub servers: Vec<String>,
    /// The instances that can be chosen.
    pub instances: Vec<String>,
    /// Instances asked for that are not in the charts, as a chart has room for [`Scope::WORKERS_MAX`].
    pub hidden: usize,
    /// The end of the time shown, ms since 1970.
    pub until_ms: u64,
    /// The charts.
    pub charts: Vec<Chart>,
}

impl Page for Gallery {}

impl Gallery {
    /// The kinds of charts to fill it with.
    pub fn kinds(query: &GalleryQuery) -> impl Iterator<Item = ChartKind> {
        let shown = query.shown;
        ChartKind::all().filter(move |kind| match shown {
            Shown::Averages => !kind.peaks,
            Shown::Peaks => kind.peaks,
            Shown::Both => true,
        })
    }

    pub(crate) fn place(&self) -> Place {
        Place::Charts
    }

    pub(crate) fn heading(&self) -> String {
        format!("Charts of the {}", last(self.query.period))
    }

    /// The same gallery over another time.
    pub(crate) fn over(&self, period: &Period) -> String {
        GalleryQuery { period: *period, ..self.query.clone() }.address()
    }

    /// What is said when not all fit in.
    pub(crate) fn crowded(&self) -> Option<String> {
        let all = self.hidden + Scope::WORKERS_MAX;
        (self.hidden > 0).then(|| {
            format!(
                "These are the first {} of {all} instances: choose a server or an instance to see others.",
                Scope::WORKERS_MAX
            )
        })
    }

    pub(crate) fn since_ms(&self) -> u64 {
        let seconds = u64::try_from(self.query.period.seconds()).unwrap_or(0);
        self.until_ms.saturating_sub(seconds * 1000)
    }

    pub(crate) fn is_all(&self) -> bool {
        self.query.scope == Scope::All
    }

    pub(crate) fn is_chosen(&self, scope: &Scope) -> bool {
        self.query.scope == *scope
    }

    /// Whether what was asked for is not among what can be chosen.
    pub(crate) fn is_stray(&self) -> bool {
        match &self.query.scope {
            Scope::All => false,
            Scope::Server(name) => !self.servers.contains(name),
            Scope::Worker(name) => !self.instances.contains(name),
        }
    }

    pub(crate) fn sizes(&self) -> [(Size, &'static str); 3] {
        [(Size::S, "small"), (Size::M, "medium"), (Size::L, "large")]
    }

    pub(crate) fn reasons(&self) -> [(&'static str, Reason); 3] {
        [("fault", Reason::InstanceDown), ("away", Reason::MonitorDown), ("clock", Reason::ClockJumped)]
    }

    pub(crate) fn marks(&self) -> [(&'static str, MarkKind); 2] {
        [("start", MarkKind::Start), ("stop", MarkKind::Stop)]
    }
}
