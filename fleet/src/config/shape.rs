//! Fits a tree of values into [`Config`]: finds every unknown key and every value that does not fit its key.
//!
//! Values of a file must be of the key's type: nothing is rounded and no text is taken for a number. A variable's
//! text is read as the key's type asks, lists separated by commas.

use std::cell::RefCell;

use config::{Value, ValueKind};
use serde::de::{self, Deserialize};

use super::{Config, node::Node, path::KeyPath};

/// More faults than this are not looked for in one layer.
const FAULTS_MAX: usize = 1000;

/// Something that does not fit.
#[derive(Debug, Clone)]
pub(super) struct Finding {
    /// The key.
    pub(super) path: KeyPath,
    /// Where it stands, if it does.
    pub(super) origin: Option<String>,
    /// What is wrong.
    pub(super) message: String,
    /// A key that must be there is not: no fault of a single layer, as another may have it.
    pub(super) missing: bool,
}

/// Takes out of `root` what does not fit, and says what that was, until the rest is a configuration.
///
/// A missing value is filled in with a stand-in, so that the search goes on.
pub(super) fn fit(root: &mut Value) -> (Option<Config>, Vec<Finding>) {
    let mut findings: Vec<Finding> = Vec::new();
    while findings.len() < FAULTS_MAX {
        let unknown = RefCell::new(Vec::new());
        let node = Node { value: root.clone(), path: KeyPath::default(), unknown: &unknown };
        let outcome = Config::deserialize(node);
        for finding in unknown.into_inner() {
            finding.path.remove(root);
            findings.push(finding);
        }
        let finding = match outcome {
            Ok(config) => return (Some(config), findings),
            Err(Mismatch { at: Some(finding), .. }) => finding,
            Err(Mismatch { at: None, .. }) => break,
        };
        if finding.missing {
            finding.path.insert(root, Value::new(None, ValueKind::Nil));
        } else {
            finding.path.remove(root);
        }
        // What was taken out as wrong is not missing besides.
        let known = |f: &Finding| f.path == finding.path;
        if !(finding.missing && findings.iter().any(known)) {
            findings.push(finding);
        }
    }
    (None, findings)
}

/// Why a value does not fit; `at` is filled in on the way up, by the first that knows.
#[derive(Debug)]
pub(super) struct Mismatch {
    message: String,
    missing: Option<&'static str>,
    at: Option<Finding>,
}

impl Mismatch {
    pub(super) fn at(mut self, path: &KeyPath, origin: Option<&str>) -> Self {
        if self.at.is_none() {
            let path = self.missing.map_or_else(|| path.clone(), |field| path.key(field));
            self.at = Some(Finding {
                path,
                origin: origin.map(Into::into),
                message: std::mem::take(&mut self.message),
                missing: self.missing.is_some(),
            });
        }
        self
    }

    pub(super) fn plain(message: String) -> Self {
        Self { message, missing: None, at: None }
    }
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Mismatch {}

impl de::Error for Mismatch {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self::plain(message.to_string())
    }

    fn invalid_type(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let expected = match expected.to_string().as_str() {
            "u16" => "a whole number from 0 to 65535".into(),
            "u32" => "a whole number from 0 to 4294967295".into(),
            "u64" | "usize" => "a whole number, 0 or more".into(),
            "f64" => "a number".into(),
            "a boolean" => "true or false".into(),
            "a sequence" => "a list".into(),
            "a map" => "a table".into(),
            "path string" => "a path in quotes".into(),
            "a string" => "text in quotes".into(),
            other if other.starts_with("struct ") => "a table".into(),
            other => other.to_owned(),
        };
        let found = match found {
            de::Unexpected::Str(text) => format!("{text:?}"),
            de::Unexpected::Signed(number) => number.to_string(),
            de::Unexpected::Unsigned(number) => number.to_string(),
            de::Unexpected::Float(number) => number.to_string(),
            de::Unexpected::Bool(value) => value.to_string(),
            de::Unexpected::Seq => "a list".into(),
            de::Unexpected::Map => "a table".into(),
            other => other.to_string(),
        };
        Self::plain(format!("expected {expected}, found {found}"))
    }

    fn invalid_value(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn missing_field(field: &'static str) -> Self {
        Self {
            message: "missing: the table is not complete without it".into(),
            missing: Some(field),
            at: None,
        }
    }
}
