//! The numbers of a chart as a table. Pure, apart from its input.

use serde::{Deserialize, Serialize};

use crate::chart::name::{ChartKind, Source, Unit};

/// The numbers of a chart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// The unit of `min` to `last`.
    pub unit: Unit,
    /// A row for each worker, in the order asked for.
    pub rows: Vec<Row>,
}

/// The numbers of one worker; `None` where nothing is known.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Row {
    /// Whose.
    pub worker: String,
    /// The least.
    pub min: Option<f64>,
    /// The mean over the time of which something is known.
    pub mean: Option<f64>,
    /// The greatest.
    pub max: Option<f64>,
    /// The latest known.
    pub last: Option<f64>,
    /// Bytes of the period for `bytes`, transactions of it for `t_completed`.
    pub sum: Option<f64>,
}

/// What is fetched for one row: rates per second as the archive has them, NaN where unknown.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fetched {
    /// The source that is shown, of averages or of maxima.
    pub(crate) shown: Vec<f64>,
    /// For the mean duration: transactions completed.
    pub(crate) completed: Vec<f64>,
    /// Averages of the source that is added up, and seconds between two.
    pub(crate) summed: Vec<f64>,
    pub(crate) step_s: f64,
}

/// The source shown by a kind of chart.
pub(crate) fn source(kind: ChartKind) -> &'static str {
    match (kind.source, kind.peaks) {
        (Source::Duration, true) => "duration_avg",
        (source, _) => source.as_str(),
    }
}

/// A row from what was fetched.
pub(crate) fn row(kind: ChartKind, worker: String, fetched: &Fetched) -> Row {
    let is_mean = kind.source == Source::Duration && !kind.peaks;
    let factor = match kind.source {
        Source::Cpu => 0.0001,
        Source::Bytes => 8.0,
        Source::Agents | Source::Completed | Source::Unique => 60.0,
        Source::Duration => 0.001,
    };
    let values: Vec<f64> = if is_mean {
        let pairs = fetched.shown.iter().zip(&fetched.completed).filter(|(_, completed)| **completed > 0.0);
        pairs.map(|(shown, completed)| shown * factor / completed).filter(|value| value.is_finite()).collect()
    } else {
        fetched.shown.iter().map(|value| value * factor).filter(|value| value.is_finite()).collect()
    };
    let mean = if is_mean {
        known_sum(&fetched.shown)
            .zip(known_sum(&fetched.completed))
            .map(|(shown, completed)| shown * factor / completed)
    } else {
        known_sum(&values).map(|sum| sum / values.len() as f64)
    };
    Row {
        worker,
        min: values.iter().copied().reduce(f64::min),
        mean: mean.filter(|mean| mean.is_finite()),
        max: values.iter().copied().reduce(f64::max),
        last: values.last().copied(),
        sum: known_sum(&fetched.summed).map(|sum| sum * fetched.step_s),
    }
}

fn known_sum(values: &[f64]) -> Option<f64> {
    values.iter().copied().filter(|value| value.is_finite()).reduce(|sum, value| sum + value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_each_kind() {
        let nan = f64::NAN;
        let kind = |source, peaks| ChartKind { source, peaks };
        let bytes = Fetched {
            shown: vec![nan, 10.0, 30.0, nan],
            summed: vec![nan, 10.0, 30.0, nan],
            step_s: 60.0,
            ..Fetched::default()
        };
        let found = row(kind(Source::Bytes, false), "a".into(), &bytes);
        let expected = Row {
            worker: "a".into(),
            min: Some(80.0),
            mean: Some(160.0),
            max: Some(240.0),
            last: Some(240.0),
            sum: Some(2400.0),
        };
        assert_eq!(found, expected);
        let duration = Fetched {
            shown: vec![1000.0, 6000.0, 0.0],
            completed: vec![1.0, 3.0, 0.0],
            ..Fetched::default()
        };
        let found = row(kind(Source::Duration, false), "a".into(), &duration);
        assert_eq!(
            (found.min, found.mean, found.max, found.last),
            (Some(1.0), Some(1.75), Some(2.0), Some(2.0))
        );
        assert_eq!(
            row(kind(Source::Cpu, true), "a".into(), &Fetched::default()),
            Row { worker: "a".into(), ..Row::default() }
        );
    }
}
