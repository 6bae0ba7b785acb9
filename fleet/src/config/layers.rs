//! The layers of a configuration as they are read: files and the environment, every value with its origin.

use std::{
    ffi::OsString,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use config::{ConfigError, Map, Source, Value, ValueKind};
use toml::de::{DeTable, DeValue};

use super::{
    faults::{Fault, Place},
    path::KeyPath,
};

/// How the variables that overlay the files begin.
const PREFIX: &str = "SWITCHBOARD__";
/// Most faults told of one file's syntax, one a line: what follows the first is often its consequence.
const SYNTAX_FAULTS_MAX: usize = 5;

/// The values of one layer: a table.
#[derive(Debug, Clone)]
pub(super) struct Layer(pub(super) Value);

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        self.0.clone().into_table()
    }
}

/// The file beside `fleet.toml` that is laid over it for the instance at `port`.
pub(super) fn instance_file(fleet: &Path, port: u16) -> PathBuf {
    fleet.with_file_name("instance").join(format!("{port}.toml"))
}

/// Reads a file. An absent one is `None` if it may be absent.
pub(super) fn read_file(path: &Path, optional: bool) -> Result<Option<Layer>, Vec<Fault>> {
    let fault = |message: String| vec![Fault::new(Place::File(path.into(), None), "", message)];
    match fs::read_to_string(path) {
        Ok(text) => parse(path, &text).map(|value| Some(Layer(value))),
        Err(error) if error.kind() == ErrorKind::NotFound && optional => Ok(None),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(fault(
            "there is no such file; begin with a copy of conf/fleet.toml, or name another by --config FILE"
                .into(),
        )),
        Err(error) => Err(fault(format!("cannot be read: {error}"))),
    }
}

/// Reads TOML; every error of the syntax is a fault.
fn parse(path: &Path, text: &str) -> Result<Value, Vec<Fault>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let place = |offset: usize| {
        let before = text.as_bytes().get(..offset).unwrap_or_default();
        Place::File(path.into(), Some(before.iter().filter(|byte| **byte == b'\n').count() + 1))
    };
    if errors.is_empty() {
        let origin = |offset| place(offset).to_string();
        return Ok(Value::new(None, from_table(table.into_inner(), &origin)));
    }
    let fault = |error: toml::de::Error| {
        let place = place(error.span().map_or(0, |span| span.start));
        Fault::new(place, "", format!("not TOML: {}", error.message()))
    };
    let mut faults: Vec<Fault> = errors.into_iter().map(fault).collect();
    faults.sort_by_key(Fault::line);
    faults.dedup_by_key(|fault| fault.line());
    faults.truncate(SYNTAX_FAULTS_MAX);
    Err(faults)
}

fn from_table(table: DeTable<'_>, origin: &impl Fn(usize) -> String) -> ValueKind {
    let mut values = Map::new();
    for (key, value) in table {
        let at = origin(key.span().start);
        values.insert(
            key.into_inner().into_owned(),
            Value::new(Some(&at), from_value(value.into_inner(), origin)),
        );
    }
    ValueKind::Table(values)
}

fn from_value(value: DeValue<'_>, origin: &impl Fn(usize) -> String) -> ValueKind {
    match value {
        DeValue::String(text) => ValueKind::String(text.into_owned()),
        DeValue::Boolean(value) => ValueKind::Boolean(value),
        // A number too large for its type goes on as one that no key for whole numbers takes.
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| float(number.as_str()), ValueKind::I64),
        DeValue::Float(number) => float(number.as_str()),
        DeValue::Datetime(time) => ValueKind::String(time.to_string()),
        DeValue::Array(items) => {
            let item = |item: toml::Spanned<DeValue<'_>>| {
                let at = origin(item.span().start);
                Value::new(Some(&at), from_value(item.into_inner(), origin))
            };
            ValueKind::Array(items.into_iter().map(item).collect())
        }
        DeValue::Table(table) => from_table(table, origin),
    }
}

fn float(text: &str) -> ValueKind {
    ValueKind::Float(text.parse().unwrap_or(f64::NAN))
}

/// The layer of the environment: `SWITCHBOARD__SECTION__KEY`, as text that is read as its key's type asks.
pub(super) fn read_variables(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> (Layer, Vec<Fault>) {
    let mut root = Value::new(None, ValueKind::Table(Map::new()));
    let mut faults = Vec::new();
    let mut variables: Vec<_> = variables
        .into_iter()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, _)| name.starts_with(PREFIX))
        .collect();
    variables.sort();
    for (name, value) in variables {
        let key = key_of(&name[PREFIX.len()..]);
        let place = Place::Variable(name);
        match value.into_string() {
            Ok(text) => {
                KeyPath::from(key.as_str()).insert(&mut root, Value::new(Some(&place.to_string()), text))
            }
            Err(_) => faults.push(Fault::new(place, key, "not UTF-8")),
        }
    }
    (Layer(root), faults)
}

/// Keys are in lower case but for the chart sizes.
fn key_of(name: &str) -> String {
    let key = name.to_lowercase().replace("__", ".");
    match key.strip_prefix("monitor.charts.") {
        Some(size) => format!("monitor.charts.{}", size.to_uppercase()),
        None => key,
    }
}
