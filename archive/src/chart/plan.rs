//! A chart as librrd is told to draw it. Pure: a request and what archives there are in, elements out.

use std::path::{Path, PathBuf};

use rrd::{
    ConsolidationFn,
    error::InvalidArgument,
    ops::graph::{
        Color,
        elements::{
            Area, AreaColor, CDef, ColorWithLegend, Def, GPrint, GraphElement, Legend, Line, VDef, VRule,
            Value, VarName,
        },
        props::{self, GraphProps},
    },
};

use crate::{
    chart::{
        name::{Size, Source},
        request::{ChartRequest, Mark, MarkKind, Reason},
        style,
    },
    rrd_file,
};

/// A worker, and its archive relative to the folder or why it has none.
pub(crate) type Known = (String, Result<PathBuf, &'static str>);

/// Columns of the legend's numbers.
const COLUMN: usize = 9;

/// Everything librrd needs for a chart.
pub(crate) fn plan(
    request: &ChartRequest,
    workers: &[Known],
) -> Result<(GraphProps, Vec<GraphElement>), InvalidArgument> {
    let names = workers.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0).max(8);
    let name_width = names.min(if request.name.size == Size::L { 60 } else { 24 });
    let mut plan = Plan { request, name_width, elements: Vec::new(), lines: 0 };
    for (index, (_, archive)) in workers.iter().enumerate() {
        if let Ok(archive) = archive {
            plan.sources(index, archive)?;
        }
    }
    let drawn: Vec<_> = (0..workers.len()).filter(|index| workers[*index].1.is_ok()).collect();
    let Some(first) = drawn.first().copied() else { return Ok((plan.props(), Vec::new())) };
    plan.bands(first)?;
    plan.head(first)?;
    for (index, (worker, archive)) in workers.iter().enumerate() {
        match archive {
            Ok(_) => plan.worker(index, worker, index == first)?,
            Err(why) => plan.text(&format!("   {}  {why}", fitted(worker, name_width)))?,
        }
    }
    if drawn.len() > 1 {
        plan.together(&drawn)?;
    }
    plan.marks();
    plan.events(first)?;
    Ok((plan.props(), plan.elements))
}

struct Plan<'a> {
    request: &'a ChartRequest,
    name_width: usize,
    elements: Vec<GraphElement>,
    /// Lines of the legend.
    lines: u32,
}

impl Plan<'_> {
    fn props(&self) -> GraphProps {
        let name = self.request.name;
        let (width, height) = name.size.pixels();
        let legend = if self.has_legend() {
            (f64::from(self.lines) * style::LEGEND_LINE_PX).ceil() as u32 + 6
        } else {
            0
        };
        let is_cpu = name.kind.source == Source::Cpu;
        let title = match name.size {
            Size::S => format!("{}, {}", name.kind.title(), name.period.as_str()),
            _ => format!("{}, {}", name.kind.title(), name.period.words()),
        };
        let plain = name.kind.source != Source::Bytes;
        GraphProps {
            time_range: props::TimeRange {
                start: Some(rrd_file::time(self.request.start_s())),
                end: Some(rrd_file::time(self.request.until_s)),
                step_seconds: None,
            },
            labels: props::Labels {
                title: Some(title),
                vertical_label: Some(name.kind.unit().as_str().into()),
            },
            size: props::Size {
                width: Some(width),
                height: Some(height + legend),
                full_size_mode: true,
                only_graph: false,
            },
            limits: props::Limits {
                lower_limit: Some(0.0),
                upper_limit: is_cpu.then_some(100.0),
                rigid: is_cpu,
                ..Default::default()
            },
            y_axis: props::YAxis {
                // Seconds are small: librrd would give them one digit and so the same label to several lines.
                format: (name.kind.source == Source::Duration).then(|| "%.3lf".into()),
                units_exponent: plain.then(|| props::UnitsExponent::new(0).ok()).flatten(),
                ..Default::default()
            },
            legend: props::Legend { no_legend: !self.has_legend(), ..Default::default() },
            misc: style::props(self.request.theme, name.size),
            ..GraphProps::default()
        }
    }

    fn has_legend(&self) -> bool {
        self.request.name.size != Size::S
    }

    /// The numbers of a worker: `v` is what is drawn, `a` what is added up for the legend.
    fn sources(&mut self, index: usize, archive: &Path) -> Result<(), InvalidArgument> {
        let kind = self.request.name.kind;
        let cf = if kind.peaks { ConsolidationFn::Max } else { ConsolidationFn::Avg };
        let drawn = match (kind.source, kind.peaks) {
            (Source::Duration, false) => {
                self.def(&format!("d{index}"), archive, "duration", cf)?;
                self.def(&format!("t{index}"), archive, "t_completed", cf)?;
                mean(&format!("d{index}"), &format!("t{index}"))
            }
            (source, _) => {
                let (ds, factor) = match source {
                    Source::Cpu => ("cpu", "0.0001"),
                    Source::Bytes => ("bytes", "8"),
                    Source::Agents => ("agents_u", "60"),
                    Source::Completed => ("t_completed", "60"),
                    Source::Unique => ("t_unique", "60"),
                    Source::Duration => ("duration_avg", "0.001"),
                };
                self.def(&format!("r{index}"), archive, ds, cf)?;
                format!("r{index},{factor},*")
            }
        };
        self.cdef(&format!("v{index}"), drawn)?;
        if let Some((ds, _)) = summed(kind.source) {
            self.def(&format!("a{index}"), archive, ds, ConsolidationFn::Avg)?;
        }
        Ok(())
    }

    /// Shades, behind everything: as long as time has no numbers of its own, those of one worker lend it theirs.
    fn bands(&mut self, first: usize) -> Result<(), InvalidArgument> {
        for (number, reason) in Reason::ALL.iter().enumerate() {
            let spans = self.request.bands.iter().filter(|band| band.reason == *reason);
            let spans = spans.map(|band| format!("TIME,{},GE,TIME,{},LE,*", band.from_s, band.to_s));
            let Some(within) = spans.reduce(|one, other| format!("{one},{other},+")) else { continue };
            self.cdef(&format!("band{number}"), format!("v{first},POP,{within},INF,UNKN,IF"))?;
            self.area(&format!("band{number}"), style::band(*reason), None, false)?;
        }
        Ok(())
    }

    /// The line above the columns of the legend.
    fn head(&mut self, first: usize) -> Result<(), InvalidArgument> {
        self.vdef("some", format!("v{first},LAST"))?;
        // In pieces like the lines below, as librrd leaves a gap between two.
        self.piece(&" ".repeat(self.name_width + 2), "")?;
        let sum = summed(self.request.name.kind.source).map(|(_, word)| word);
        let words = ["min", "max", "last"].into_iter().chain(sum);
        let last = words.clone().count() - 1;
        for (index, word) in words.enumerate() {
            self.piece(&format!("{word:>COLUMN$}"), if index == last { "\\l" } else { "" })?;
        }
        self.lines += 1;
        Ok(())
    }

    fn worker(&mut self, index: usize, worker: &str, is_first: bool) -> Result<(), InvalidArgument> {
        let color = style::line(self.request.theme, index);
        let legend = fitted(worker, self.name_width);
        let value = format!("v{index}");
        if self.request.name.kind.source == Source::Agents {
            self.area(&value, color, Some(legend), !is_first)?;
            // An edge between two areas, at the height that the areas have come to.
            self.cdef(&format!("edge{index}"), format!("{value},0,*"))?;
            self.line(&format!("edge{index}"), 1.0, (style::ground(self.request.theme), None), None, true)?;
        } else {
            self.line(&value, 1.5, (color, Some(legend)), style::dashes(index), false)?;
        }
        self.numbers(&value, &format!("a{index}"))
    }

    /// All workers together.
    fn together(&mut self, drawn: &[usize]) -> Result<(), InvalidArgument> {
        let sum = |prefix: &str| {
            let names = drawn.iter().map(|index| format!("{prefix}{index}"));
            names.reduce(|all, one| format!("{all},{one},ADDNAN")).unwrap_or_default()
        };
        let kind = self.request.name.kind;
        let (legend, all) = match (kind.source, kind.peaks) {
            (Source::Cpu | Source::Agents, _) => return Ok(()),
            (Source::Bytes | Source::Completed | Source::Unique, _) => ("TOTALS", sum("v")),
            (Source::Duration, true) => {
                let names: Vec<_> = drawn.iter().map(|index| format!("v{index}")).collect();
                ("AVERAGE", format!("{},{},AVG", names.join(","), names.len()))
            }
            (Source::Duration, false) => {
                self.cdef("dall", sum("d"))?;
                self.cdef("tall", sum("t"))?;
                ("AVERAGE", mean("dall", "tall"))
            }
        };
        self.cdef("all", all)?;
        if summed(kind.source).is_some() {
            self.cdef("aall", sum("a"))?;
        }
        let color = style::total(self.request.theme);
        let legend = fitted(legend, self.name_width);
        self.line("all", 2.0, (color, Some(legend)), None, false)?;
        self.numbers("all", "aall")
    }

    /// The numbers that end a line of the legend.
    fn numbers(&mut self, value: &str, raw: &str) -> Result<(), InvalidArgument> {
        let format = match self.request.name.kind.source {
            Source::Bytes => "%8.1lf%s",
            Source::Duration => "%9.3lf",
            _ => "%9.1lf",
        };
        let sum = summed(self.request.name.kind.source);
        for (index, function) in ["MINIMUM", "MAXIMUM", "LAST"].iter().enumerate() {
            let name = format!("{value}_{index}");
            self.vdef(&name, format!("{value},{function}"))?;
            let end = if index == 2 && sum.is_none() { "\\l" } else { "" };
            self.elements
                .push(GPrint { var_name: name.try_into()?, format: format!("{format}{end}") }.into());
        }
        if let Some((ds, _)) = sum {
            let name = format!("{raw}_sum");
            self.vdef(&name, format!("{raw},TOTAL"))?;
            let format = if ds == "bytes" { "%7.1lf%sB\\l" } else { "%9.0lf\\l" };
            self.elements.push(GPrint { var_name: name.try_into()?, format: format.into() }.into());
        }
        self.lines += 1;
        Ok(())
    }

    fn marks(&mut self) {
        for Mark { at_s, kind } in &self.request.marks {
            let (color, dashes) = style::mark(self.request.theme, *kind);
            let value = Value::Timestamp(rrd_file::time(*at_s));
            self.elements.push(VRule { value, color, legend: None, dashes: Some(dashes) }.into());
        }
    }

    /// The line of the legend that says what shades and marks mean.
    fn events(&mut self, first: usize) -> Result<(), InvalidArgument> {
        let bands: Vec<_> = Reason::ALL
            .iter()
            .filter(|reason| self.request.bands.iter().any(|band| band.reason == **reason))
            .collect();
        let marks: Vec<_> = MarkKind::ALL
            .iter()
            .filter(|kind| self.request.marks.iter().any(|mark| mark.kind == **kind))
            .collect();
        if bands.is_empty() && marks.is_empty() {
            return Ok(());
        }
        self.cdef("nothing", format!("v{first},POP,UNKN"))?;
        for reason in bands {
            self.area("nothing", style::band(*reason), Some(format!("{}  ", reason.as_str())), false)?;
        }
        for kind in marks {
            let (color, dashes) = style::mark(self.request.theme, *kind);
            self.line("nothing", 1.0, (color, Some(format!("{}  ", kind.as_str()))), Some(dashes), false)?;
        }
        self.text("")
    }

    /// A line of plain text in the legend.
    fn text(&mut self, text: &str) -> Result<(), InvalidArgument> {
        self.lines += 1;
        self.piece(text, "\\l")
    }

    /// Plain text in the legend: a time's format without a time, as the binding lets only formats end a line.
    fn piece(&mut self, text: &str, end: &str) -> Result<(), InvalidArgument> {
        let text = text.replace('\\', " ").replace('%', "%%").replace(':', "\\:");
        let text = if text.is_empty() { " ".into() } else { text };
        self.elements
            .push(GPrint { var_name: "some".try_into()?, format: format!("{text}{end}:strftime") }.into());
        Ok(())
    }

    fn def(
        &mut self,
        name: &str,
        archive: &Path,
        ds: &str,
        cf: ConsolidationFn,
    ) -> Result<(), InvalidArgument> {
        self.elements.push(
            Def {
                var_name: name.try_into()?,
                rrd: archive.into(),
                ds_name: ds.into(),
                consolidation_fn: cf,
                step: None,
                start: None,
                end: None,
                reduce: None,
            }
            .into(),
        );
        Ok(())
    }

    fn cdef(&mut self, name: &str, rpn: String) -> Result<(), InvalidArgument> {
        self.elements.push(CDef { var_name: name.try_into()?, rpn }.into());
        Ok(())
    }

    fn vdef(&mut self, name: &str, rpn: String) -> Result<(), InvalidArgument> {
        self.elements.push(VDef { var_name: name.try_into()?, rpn }.into());
        Ok(())
    }

    fn area(
        &mut self,
        value: &str,
        color: Color,
        legend: Option<String>,
        stack: bool,
    ) -> Result<(), InvalidArgument> {
        let color = Some(ColorWithLegend { color: AreaColor::Color(color), legend: legend.map(Legend::new) });
        let value = VarName::try_from(value)?;
        self.elements.push(Area { value, color, stack, skip_scale: false }.into());
        Ok(())
    }

    fn line(
        &mut self,
        value: &str,
        width: f64,
        (color, legend): (Color, Option<String>),
        dashes: Option<rrd::ops::graph::elements::Dashes>,
        stack: bool,
    ) -> Result<(), InvalidArgument> {
        // Without a legend, a stacked line needs an empty one.
        let legend = if stack { Some(legend.unwrap_or_default()) } else { legend };
        let color = Some(ColorWithLegend { color, legend: legend.map(Legend::new) });
        let value = VarName::try_from(value)?;
        self.elements.push(Line { width, value, color, stack, skip_scale: false, dashes }.into());
        Ok(())
    }
}

/// Milliseconds in all and transactions as seconds each; unknown without a transaction.
fn mean(duration: &str, completed: &str) -> String {
    format!("{completed},0,GT,{duration},0.001,*,{completed},/,UNKN,IF")
}

/// What is added up over the period, and its name in the legend.
pub(crate) fn summed(source: Source) -> Option<(&'static str, &'static str)> {
    match source {
        Source::Bytes => Some(("bytes", "traffic")),
        Source::Completed => Some(("t_completed", "count")),
        _ => None,
    }
}

/// A name as wide as its column: too long a one loses its middle, as its end tells instances apart. Nothing in it can end a line.
fn fitted(name: &str, width: usize) -> String {
    let clean: Vec<char> = name.chars().map(|c| if c.is_control() || c == '\\' { '?' } else { c }).collect();
    if clean.len() <= width {
        return format!("{:width$}", clean.iter().collect::<String>());
    }
    let head = (width - 1) / 2;
    let tail = width - 1 - head;
    clean[..head].iter().chain(&['…']).chain(&clean[clean.len() - tail..]).collect()
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
