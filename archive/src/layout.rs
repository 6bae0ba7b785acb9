//! The layout of an archive: the sources and round robins of the original service.

use std::{collections::HashMap, time::Duration};

use rrd::{
    ConsolidationFn,
    error::{InvalidArgument, RrdError},
    ops::{
        create::{Archive, DataSource, DataSourceName},
        info::InfoValue,
        update::Datum,
    },
};
use switchboard_fleet::report::Sample;

/// Seconds between two samples.
pub(crate) const STEP_S: i64 = 60;
/// Seconds after which a source without a sample is unknown.
pub(crate) const HEARTBEAT_S: u32 = 120;
/// Rows, and steps in each, of the round robins: one of averages and one of maxima for each.
pub(crate) const ROUNDS: [(u32, u32); 5] = [(720, 1), (1440, 5), (168, 60), (60, 1440), (12, 43_200)];

/// What librrd makes of the numbers it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Counted since the last sample.
    Absolute,
    /// Counted for ever, from 0 with each start.
    Derive,
    /// As it is.
    Gauge,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Absolute => "ABSOLUTE",
            Self::Derive => "DERIVE",
            Self::Gauge => "GAUGE",
        }
    }
}

/// The sources, in the order of the original.
const SOURCES: [(&str, Kind); 9] = [
    ("agents_u", Kind::Absolute),
    ("t_unique", Kind::Absolute),
    ("t_started", Kind::Absolute),
    ("t_completed", Kind::Absolute),
    ("t_failed", Kind::Absolute),
    ("bytes", Kind::Absolute),
    ("duration", Kind::Absolute),
    ("cpu", Kind::Derive),
    ("duration_avg", Kind::Gauge),
];

/// The names of the sources, in the order of [`values`].
pub(crate) const NAMES: [&str; 9] = {
    let mut names = [""; 9];
    let mut i = 0;
    while i < 9 {
        names[i] = SOURCES[i].0;
        i += 1;
    }
    names
};

/// A sample's values in the order of [`NAMES`]; all unknown without one.
pub(crate) fn values(sample: Option<&Sample>) -> [Datum; 9] {
    let Some(s) = sample else { return [Datum::Unspecified; 9] };
    let duration_avg =
        if s.duration_avg.is_finite() { Datum::Float(s.duration_avg) } else { Datum::Unspecified };
    let counted =
        [s.agents_u, s.t_unique, s.t_started, s.t_completed, s.t_failed, s.bytes, s.duration, s.cpu];
    let mut values = [duration_avg; 9];
    for (value, count) in values.iter_mut().zip(counted) {
        *value = Datum::Int(count);
    }
    values
}

/// The sources for librrd.
pub(crate) fn sources() -> Result<Vec<DataSource>, InvalidArgument> {
    let one = |(name, kind): &(&str, Kind)| {
        let name = DataSourceName::new(*name)?;
        Ok(match kind {
            Kind::Absolute => DataSource::absolute(&name, HEARTBEAT_S, None, None),
            Kind::Derive => DataSource::derive(&name, HEARTBEAT_S, Some(0), None),
            Kind::Gauge => DataSource::gauge(&name, HEARTBEAT_S, None, None),
        })
    };
    SOURCES.iter().map(one).collect()
}

/// The round robins for librrd.
pub(crate) fn rounds() -> Result<Vec<Archive>, InvalidArgument> {
    let both = [ConsolidationFn::Avg, ConsolidationFn::Max];
    both.iter().flat_map(|cf| ROUNDS.map(|(rows, steps)| Archive::new(*cf, 0.5, steps, rows))).collect()
}

/// The step for librrd.
pub(crate) const fn step() -> Duration {
    Duration::from_secs(STEP_S.unsigned_abs())
}

/// What `rrdtool info` says of a file.
pub(crate) type Info = HashMap<String, InfoValue>;

/// The first thing in which an archive differs from what is expected here. The order of sources and round robins does not
/// matter: they are written and read by name.
pub(crate) fn difference(info: &Info) -> Option<String> {
    let step = count(info, "step");
    if step != Some(STEP_S.unsigned_abs()) {
        return Some(format!("its step is {} s, expected {STEP_S} s", shown(step)));
    }
    SOURCES
        .iter()
        .find_map(|source| source_difference(info, source))
        .or_else(|| more_sources(info))
        .or_else(|| rounds_difference(info))
}

fn source_difference(info: &Info, (name, kind): &(&str, Kind)) -> Option<String> {
    let found = match info.get(&format!("ds[{name}].type")) {
        Some(InfoValue::String(found)) => found,
        _ => return Some(format!("the source {name} is missing")),
    };
    if found != kind.name() {
        return Some(format!("the source {name} is {found}, expected {}", kind.name()));
    }
    let heartbeat = count(info, &format!("ds[{name}].minimal_heartbeat"));
    if heartbeat != Some(HEARTBEAT_S.into()) {
        return Some(format!(
            "the source {name} has a heartbeat of {} s, expected {HEARTBEAT_S} s",
            shown(heartbeat)
        ));
    }
    let lowest = info.get(&format!("ds[{name}].min"));
    if *kind == Kind::Derive && !matches!(lowest, Some(InfoValue::Value(lowest)) if *lowest == 0.0) {
        return Some(format!("the source {name} has another minimum than 0"));
    }
    None
}

fn more_sources(info: &Info) -> Option<String> {
    let mut names = info.keys().filter_map(|key| key.strip_prefix("ds[")?.strip_suffix("].type"));
    names
        .find(|name| !NAMES.contains(name))
        .map(|name| format!("it has a source {name} that is not known here"))
}

fn rounds_difference(info: &Info) -> Option<String> {
    let mut found: Vec<(String, u64, u64)> = Vec::new();
    while let Some(InfoValue::String(cf)) = info.get(&format!("rra[{}].cf", found.len())) {
        let of = |what: &str| count(info, &format!("rra[{}].{what}", found.len())).unwrap_or(0);
        found.push((cf.clone(), of("rows"), of("pdp_per_row")));
    }
    let expected: Vec<_> = ["AVERAGE", "MAX"]
        .iter()
        .flat_map(|cf| ROUNDS.map(|(rows, steps)| (String::from(*cf), u64::from(rows), u64::from(steps))))
        .collect();
    let missing = expected.iter().find(|round| !found.contains(round));
    if let Some((cf, rows, steps)) = missing {
        return Some(format!("the round robin {cf} of {rows} rows of {steps} steps is missing"));
    }
    (found.len() != expected.len())
        .then(|| format!("it has {} round robins, expected {}", found.len(), expected.len()))
}

/// A whole number of `info`.
pub(crate) fn count(info: &Info, key: &str) -> Option<u64> {
    match info.get(key)? {
        InfoValue::Count(count) => Some(*count),
        InfoValue::Int(count) => u64::try_from(*count).ok(),
        _ => None,
    }
}

fn shown(count: Option<u64>) -> String {
    count.map_or("unknown".into(), |count| count.to_string())
}

/// Our own constants are well-formed, so this is never seen.
pub(crate) fn malformed(error: &InvalidArgument) -> RrdError {
    RrdError::Internal(error.to_string())
}
