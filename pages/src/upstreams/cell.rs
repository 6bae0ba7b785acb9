//! What a table of backends says in a cell.

use switchboard_fleet::front::{Backend, Spread};

use super::columns::{
    Column,
    Value::{Bytes, Count, Failed, Mean, Part, Percent, Quantile, Rate, Trouble},
};
use crate::numbers::{bytes, short, thousands};

/// What is written in a cell, and the class it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) text: String,
    pub(crate) class: &'static str,
}

/// No words where there is nothing to say, so that what there is stands out.
const QUIET: &str = " zero";

impl Cell {
    fn new(text: impl Into<String>, class: &'static str) -> Self {
        Self { text: text.into(), class }
    }

    fn number(value: f64, text: impl Fn(f64) -> String, class: &'static str) -> Self {
        if value == 0.0 { Self::new("0", QUIET) } else { Self::new(text(value), class) }
    }

    fn none() -> Self {
        Self::new("–", QUIET)
    }
}

impl Column {
    /// Its cell in the row of `backend`.
    pub(crate) fn cell(&self, backend: &Backend) -> Cell {
        let counted = backend.counted;
        match self.value {
            Percent(of) => percent(of(backend)),
            Count(_) | Trouble(_) | Bytes(_) | Part(_) | Failed(_) | Rate(_) if !counted => Cell::none(),
            Quantile(of) => of(backend).map_or(Cell::none(), |ms| Cell::new(thousands(ms as f64), "")),
            Mean(of) => mean(of(backend).mean_ms),
            _ => self.written(self.number(backend).unwrap_or(0.0)),
        }
    }

    /// Its cell in the row of all `backends` together; what cannot be added up is left empty.
    pub(crate) fn sum(&self, backends: &[&Backend]) -> Cell {
        match self.value {
            Percent(_) | Quantile(_) => Cell::new("", ""),
            _ if !backends.iter().any(|backend| backend.counted) => Cell::none(),
            Mean(of) => mean(together(backends.iter().map(|backend| of(backend)))),
            Failed(of) => {
                let all: f64 = backends.iter().map(|backend| backend.per_second).sum();
                let failed: f64 = backends.iter().map(|backend| backend.per_second * of(backend)).sum();
                self.written(if all > 0.0 { failed / all } else { 0.0 })
            }
            _ => self.written(backends.iter().filter_map(|backend| self.number(backend)).sum()),
        }
    }

    fn written(&self, value: f64) -> Cell {
        match self.value {
            Trouble(_) => Cell::number(value, thousands, " some"),
            Bytes(_) => Cell::number(value, bytes, ""),
            Part(_) => Cell::number(value * 100.0, |value| format!("{} %", short(value)), ""),
            Failed(_) => Cell::number(value * 100.0, |value| format!("{} %", short(value)), " bad"),
            Rate(_) => Cell::number(value, short, ""),
            _ => Cell::number(value, thousands, ""),
        }
    }

    /// By what rows are sorted and added up; `None` where there is nothing.
    pub(crate) fn number(&self, backend: &Backend) -> Option<f64> {
        let number = match self.value {
            Count(of) | Trouble(of) | Bytes(of) => of(backend) as f64,
            Percent(of) => of(backend).into(),
            Part(of) | Failed(of) | Rate(of) => of(backend),
            Mean(of) => of(backend).mean_ms?,
            Quantile(of) => of(backend)? as f64,
        };
        Some(number).filter(|number| number.is_finite())
    }
}

fn percent(value: u32) -> Cell {
    let class = match value {
        100 => "",
        0 => QUIET,
        _ => " some",
    };
    Cell::new(format!("{value} %"), class)
}

fn mean(ms: Option<f64>) -> Cell {
    ms.filter(|ms| ms.is_finite()).map_or(Cell::none(), |ms| Cell::number(ms, short, ""))
}

/// The mean of all times of several.
fn together(spreads: impl Iterator<Item = Spread>) -> Option<f64> {
    let weighed = spreads.filter_map(|spread| Some((spread.mean_ms?, spread.count as f64)));
    let (sum, count) =
        weighed.fold((0.0, 0.0), |(sum, all), (mean, count)| (sum + mean * count, all + count));
    (count > 0.0).then(|| sum / count)
}
