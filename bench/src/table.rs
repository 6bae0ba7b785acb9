//! The table, in Markdown.

use std::fmt;

use crate::figures::{Figure, Series, Unit};

/// What is written where there is nothing to say.
const NOTHING: &str = "–";

/// A run's result.
#[derive(Debug)]
pub(crate) struct Table {
    machine: String,
    /// In the order in which they are shown.
    pub(crate) lines: Vec<Line>,
}

/// One measurement. Texts are ready to be shown; empty where there is nothing to say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Line {
    what: String,
    ours: String,
    span: String,
    goal: String,
    other: String,
    ratio: String,
}

/// A goal that is a ratio.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bound {
    /// Of what should be much.
    AtLeast(f64),
    /// Of what should be little.
    AtMost(f64),
}

impl Line {
    /// What Switchboard did, the turns' median, or nothing if there was no turn.
    pub(crate) fn new(what: impl Into<String>, ours: &Series, unit: Unit) -> Self {
        let text = |value| Figure(value, unit).to_string();
        let span = ours.span().filter(|(least, most)| least < most);
        Self {
            what: what.into(),
            ours: ours.median().map(text).unwrap_or_default(),
            span: span.map(|(least, most)| format!("{} to {}", text(least), text(most))).unwrap_or_default(),
            ..Self::default()
        }
    }

    /// The same of something that needs more words than a figure.
    pub(crate) fn told(what: impl Into<String>, ours: String) -> Self {
        Self { what: what.into(), ours, ..Self::default() }
    }

    /// What is to be reached.
    pub(crate) fn goal(mut self, goal: f64, unit: Unit) -> Self {
        self.goal = Figure(goal, unit).to_string();
        self
    }

    /// How it is to stand to what it is compared with, in the same run.
    pub(crate) fn goal_ratio(mut self, goal: Bound) -> Self {
        self.goal = match goal {
            Bound::AtLeast(ratio) => format!("ratio ≥ {ratio:.2}"),
            Bound::AtMost(ratio) => format!("ratio ≤ {ratio:.2}"),
        };
        self
    }

    /// What nginx or another program did in the same run, and how Switchboard stands to it: the median of the turns' ratios, which
    /// what else happens on the machine disturbs less than either figure.
    pub(crate) fn beside(mut self, ours: &Series, other: &Series, unit: Unit) -> Self {
        if let (Some(figure), Some(ratio)) = (other.median(), ours.ratios(other).median()) {
            self.other = Figure(figure, unit).to_string();
            self.ratio = format!("{ratio:.2}");
        }
        self
    }
}

impl Table {
    /// An empty table of numbers from `machine`.
    pub(crate) fn new(machine: String) -> Self {
        Self { machine, lines: Vec::new() }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.machine)?;
        writeln!(f, "| measured | Switchboard | least to most | goal | to compare | ratio |")?;
        write!(f, "|---|---|---|---|---|---|")?;
        for line in &self.lines {
            write!(f, "\n| {} ", line.what)?;
            for text in [&line.ours, &line.span, &line.goal, &line.other, &line.ratio] {
                write!(f, "| {} ", if text.is_empty() { NOTHING } else { text })?;
            }
            write!(f, "|")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(samples: &[f64]) -> Series {
        let mut series = Series::default();
        samples.iter().for_each(|sample| series.push(*sample));
        series
    }

    #[test]
    fn a_line_shows_medians() {
        let ours = series(&[15.0, 10.0, 30.0]);
        let mut table = Table::new("a machine".into());
        let line = Line::new("calls", &ours, Unit::PerSecond).goal(20.0, Unit::PerSecond);
        table.lines.push(line.clone().beside(&ours, &series(&[60.0, 20.0, 10.0]), Unit::PerSecond));
        table.lines.push(line.beside(&ours, &series(&[]), Unit::PerSecond));
        let text = table.to_string();
        let shown: Vec<_> = text.lines().skip(4).collect();
        assert_eq!(
            shown,
            [
                "| calls | 15/s | 10/s to 30/s | 20/s | 20/s | 0.50 |",
                "| calls | 15/s | 10/s to 30/s | 20/s | – | – |"
            ]
        );
    }

    #[test]
    fn a_goal_may_be_a_ratio() {
        let line = Line::new("calls", &series(&[1.0]), Unit::Count);
        assert_eq!(line.clone().goal_ratio(Bound::AtLeast(1.0)).goal, "ratio ≥ 1.00");
        assert_eq!(line.goal_ratio(Bound::AtMost(2.0)).goal, "ratio ≤ 2.00");
    }
}
