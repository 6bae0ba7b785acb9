//! What is wrong with a configuration: every fault at once, each with its place.

use std::{fmt, path::PathBuf};

/// Where a value stands. Files come before the environment in every list of faults.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// A file; the line, from 1, is known for what is written there.
    File(PathBuf, Option<usize>),
    /// An environment variable.
    Variable(String),
}

/// How an origin that names a variable begins.
const VARIABLE: &str = "environment variable ";

impl Place {
    /// The place that [`Place`]'s display text names: values carry it as their origin through the layers.
    pub(super) fn from_origin(origin: &str) -> Self {
        if let Some(name) = origin.strip_prefix(VARIABLE) {
            return Self::Variable(name.into());
        }
        match origin.rsplit_once(':').map(|(file, line)| (file, line.parse())) {
            Some((file, Ok(line))) => Self::File(file.into(), Some(line)),
            _ => Self::File(origin.into(), None),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file, Some(line)) => write!(f, "{}:{line}", file.display()),
            Self::File(file, None) => write!(f, "{}", file.display()),
            Self::Variable(name) => write!(f, "{VARIABLE}{name}"),
        }
    }
}

/// One thing that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    place: Place,
    key: String,
    message: String,
}

impl Fault {
    pub(super) fn new(place: Place, key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { place, key: key.into(), message: message.into().replace(['\n', '\r'], " ") }
    }

    /// The file, or `environment variable NAME`.
    pub fn file(&self) -> String {
        match &self.place {
            Place::File(file, _) => file.display().to_string(),
            variable @ Place::Variable(_) => variable.to_string(),
        }
    }

    /// The line in that file, from 1; `None` if nothing is written there.
    pub fn line(&self) -> Option<usize> {
        match self.place {
            Place::File(_, line) => line,
            Place::Variable(_) => None,
        }
    }

    /// The key, dotted, such as `timeouts.agent`; empty if the fault is the file's.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What is wrong and what would be right, in one line.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

/// Every fault of a configuration, by file, then by line; never empty. Shown one a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// `Err` with these faults in order, each once, or `Ok` if there are none.
    pub fn none_of(mut faults: Vec<Fault>) -> Result<(), Self> {
        faults.sort();
        faults.dedup();
        if faults.is_empty() { Ok(()) } else { Err(Self(faults)) }
    }

    /// The faults in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Fault> {
        self.0.iter()
    }
}

impl IntoIterator for Faults {
    type Item = Fault;
    type IntoIter = std::vec::IntoIter<Fault>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Faults {
    type Item = &'a Fault;
    type IntoIter = std::slice::Iter<'a, Fault>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            fault.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_survives_its_text() {
        for place in [
            Place::File("conf/fleet.toml".into(), Some(12)),
            Place::File("C:odd.toml".into(), None),
            Place::File("with:7:colons".into(), Some(3)),
            Place::Variable("SWITCHBOARD__SERVER".into()),
        ] {
            assert_eq!(Place::from_origin(&place.to_string()), place);
        }
    }

    #[test]
    fn faults_stand_by_file_then_line_and_once() {
        let at = |file: &str, line| Fault::new(Place::File(file.into(), Some(line)), "key", "is\nwrong");
        let variable = Fault::new(Place::Variable("A".into()), "key", "is wrong");
        let faults = vec![variable, at("b", 1), at("a", 10), at("a", 9), at("a", 10)];
        let text = Faults::none_of(faults).unwrap_err().to_string();
        let expected = [
            "a:9: key: is wrong",
            "a:10: key: is wrong",
            "b:1: key: is wrong",
            "environment variable A: key: is wrong",
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
        assert_eq!(Faults::none_of(Vec::new()), Ok(()));
    }
}
