//! Where a value hangs in the tree of a configuration.

use std::fmt;

use config::{Map, Value, ValueKind};

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Item(usize),
}

/// The way from the root to a value. Its text is the dotted key; items of a list go by the list's key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct KeyPath(Vec<Step>);

impl KeyPath {
    /// The value under `key` of the table here.
    pub(super) fn key(&self, key: impl Into<String>) -> Self {
        let mut path = self.clone();
        path.0.push(Step::Key(key.into()));
        path
    }

    /// An item of the list here.
    pub(super) fn item(&self, index: usize) -> Self {
        let mut path = self.clone();
        path.0.push(Step::Item(index));
        path
    }

    /// Whether one of the two holds the other, or both are the same key.
    pub(super) fn meets(&self, other: &Self) -> bool {
        self.keys().zip(other.keys()).all(|(a, b)| a == b)
    }

    fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|step| match step {
            Step::Key(key) => Some(key.as_str()),
            Step::Item(_) => None,
        })
    }

    /// The origin of the value here, or of the nearest that holds it and knows its own.
    pub(super) fn origin<'v>(&self, root: &'v Value) -> Option<&'v str> {
        let mut found = None;
        let mut value = root;
        for step in &self.0 {
            let next = match (step, &value.kind) {
                (Step::Key(key), ValueKind::Table(table)) => table.get(key),
                (Step::Item(index), ValueKind::Array(items)) => items.get(*index),
                _ => None,
            };
            let Some(next) = next else { break };
            found = some_origin(next).or(found);
            value = next;
        }
        found
    }

    /// Takes the value out; in a list the later ones move up.
    pub(super) fn remove(&self, root: &mut Value) {
        let Some((last, way)) = self.0.split_last() else { return };
        let Some(parent) = walk(root, way) else { return };
        match (last, &mut parent.kind) {
            (Step::Key(key), ValueKind::Table(table)) => drop(table.remove(key)),
            (Step::Item(index), ValueKind::Array(items)) if *index < items.len() => {
                drop(items.remove(*index))
            }
            // A variable's list is text until it is read.
            (Step::Item(index), ValueKind::String(text)) => {
                let kept: Vec<_> = text.split(',').enumerate().filter(|(i, _)| i != index).collect();
                *text = kept.into_iter().map(|(_, piece)| piece).collect::<Vec<_>>().join(",");
            }
            _ => {}
        }
    }

    /// Puts a value here, making the tables on the way.
    pub(super) fn insert(&self, root: &mut Value, value: Value) {
        let mut here = root;
        for key in self.keys() {
            if !matches!(here.kind, ValueKind::Table(_)) {
                here.kind = ValueKind::Table(Map::new());
            }
            let ValueKind::Table(table) = &mut here.kind else { return };
            here = table.entry(key.into()).or_default();
        }
        *here = value;
    }
}

fn walk<'v>(root: &'v mut Value, way: &[Step]) -> Option<&'v mut Value> {
    way.iter().try_fold(root, |value, step| match (step, &mut value.kind) {
        (Step::Key(key), ValueKind::Table(table)) => table.get_mut(key),
        (Step::Item(index), ValueKind::Array(items)) => items.get_mut(*index),
        _ => None,
    })
}

/// The value's origin; merging takes a table's own away, so that one of its values speaks for it.
fn some_origin(value: &Value) -> Option<&str> {
    value.origin().or_else(|| match &value.kind {
        ValueKind::Table(table) => table.values().find_map(some_origin),
        _ => None,
    })
}

impl From<&str> for KeyPath {
    fn from(dotted: &str) -> Self {
        Self(dotted.split('.').map(|key| Step::Key(key.into())).collect())
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, key) in self.keys().enumerate() {
            write!(f, "{}{}", if index > 0 { "." } else { "" }, key.escape_debug())?;
        }
        Ok(())
    }
}
