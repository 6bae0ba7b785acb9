//! What each case may take, as the file has it. Pure.

use std::{collections::BTreeMap, fmt::Write};

use anyhow::Context;
use serde::Deserialize;

/// By how much a case may grow, in percent, if the file does not say otherwise.
const GROWTH_PERCENT: f64 = 5.0;
/// What the file begins with.
const HEAD: &str = "# Instructions of one instance, outside the kernel, for each transaction, poll and hello: what `make instructions` found when
# these values were accepted, and by how much it may grow, in percent. They hold for one compiler, one libc and one processor's
# features. `make instructions ACCEPT=1` writes the values anew and keeps the percentages.
";

/// All cases of the file, by name.
#[derive(Debug, Clone, Default, Deserialize, PartialEq)]
#[serde(transparent)]
pub(crate) struct Bounds(BTreeMap<String, Bound>);

#[derive(Debug, Clone, Copy, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Bound {
    instructions: u64,
    growth_percent: f64,
}

impl Bounds {
    /// Reads the file's text.
    ///
    /// # Errors
    /// It is not what it should be; the error names line and key.
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        Ok(toml::from_str(text)?)
    }

    /// The text of the file.
    pub(crate) fn text(&self) -> String {
        let mut text = HEAD.to_owned();
        for (name, bound) in &self.0 {
            // Writing to a text does not fail.
            let _ = write!(
                text,
                "\n[{name}]\ninstructions = {}\ngrowth_percent = {:?}\n",
                bound.instructions, bound.growth_percent
            );
        }
        text
    }

    /// Takes what was counted as what may be; percentages stay, and cases that are no more go.
    pub(crate) fn accept(&mut self, counted: &[(&str, f64)]) {
        let bound = |name: &str| self.0.get(name).map_or(GROWTH_PERCENT, |bound| bound.growth_percent);
        let new = counted.iter().map(|(name, each)| {
            let bound = Bound { instructions: each.round() as u64, growth_percent: bound(name) };
            ((*name).to_owned(), bound)
        });
        self.0 = new.collect();
    }

    /// What is to be said of a case that takes `each` instructions.
    ///
    /// # Errors
    /// It takes more than it may, or the file does not know it.
    pub(crate) fn judge(&self, name: &str, each: f64) -> anyhow::Result<String> {
        let bound = self.0.get(name).with_context(|| format!("{name} is not in it"))?;
        let percent = (each / bound.instructions as f64 - 1.0) * 100.0;
        let said = format!("{name}: {each:.0} instead of {}, {percent:+.1} %", bound.instructions);
        if percent > bound.growth_percent {
            anyhow::bail!("{said}, and {:+} % are allowed", bound.growth_percent);
        }
        Ok(said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[a]\ninstructions = 1000\ngrowth_percent = 2.5\n";

    #[test]
    fn growth_is_allowed_to_its_bound_and_no_further() {
        let bounds = Bounds::parse(TEXT).unwrap();
        assert_eq!(bounds.judge("a", 1025.0).unwrap(), "a: 1025 instead of 1000, +2.5 %");
        assert_eq!(bounds.judge("a", 100.0).unwrap(), "a: 100 instead of 1000, -90.0 %");
        let error = bounds.judge("a", 1026.0).unwrap_err().to_string();
        assert_eq!(error, "a: 1026 instead of 1000, +2.6 %, and +2.5 % are allowed");
        assert!(bounds.judge("b", 1.0).is_err());
    }

    #[test]
    fn what_is_accepted_is_what_is_read() {
        let mut bounds = Bounds::parse(TEXT).unwrap();
        bounds.accept(&[("a", 1999.6), ("b", 7.0)]);
        assert_eq!(Bounds::parse(&bounds.text()).unwrap(), bounds);
        assert!(bounds.judge("a", 2050.0).is_ok() && bounds.judge("a", 2051.0).is_err());
        assert!(bounds.judge("b", 7.3).is_ok() && bounds.judge("b", 7.4).is_err());
    }

    #[test]
    fn the_file_knows_every_case() {
        let bounds = Bounds::parse(include_str!("../../instructions.toml")).unwrap();
        assert!(super::super::CASES.iter().all(|case| bounds.judge(case.name, 1.0).is_ok()));
    }

    #[test]
    fn a_wrong_file_is_refused_with_its_line() {
        let error = Bounds::parse("[a]\ninstructions = 1\ngrowth = 2\n").unwrap_err().to_string();
        assert!(error.contains("line 3") && error.contains("growth"), "{error}");
    }
}
