//! What callgrind writes, read. Pure.
//!
//! The text is that of `--compress-strings=no --compress-pos=no`: names in full and lines that are numbers. A cost belongs to the
//! function named last and to the file named last: not the function's own file where another function was inlined.

use std::collections::HashMap;

use anyhow::{Context, bail};

/// A function's number in a profile.
pub(crate) type Number = usize;

/// Instructions of one run, by function.
#[derive(Debug, Default)]
pub(crate) struct Profile {
    /// By their numbers.
    pub(crate) functions: Vec<Function>,
    numbers: HashMap<String, Number>,
}

/// One function, all its copies together.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Function {
    /// As it is in the program.
    pub(crate) name: String,
    /// The source file where it is written; empty if it has never run by itself.
    pub(crate) file: String,
    /// Instructions of its own, by the source file they come from.
    pub(crate) own: HashMap<String, u64>,
    /// Instructions of what it calls and of all that follows from it, by the file of the call and whom it calls.
    pub(crate) calls: HashMap<(String, Number), u64>,
}

impl Profile {
    /// Reads one file's text.
    ///
    /// # Errors
    /// It is not of this form; the error names the line.
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        let mut profile = Self::default();
        let mut reader = Reader::default();
        for (index, line) in text.lines().enumerate() {
            let done = reader.take(&mut profile, line);
            done.with_context(|| format!("callgrind's line {}: `{line}`", index + 1))?;
        }
        if profile.total() == 0 {
            bail!("callgrind has counted nothing");
        }
        Ok(profile)
    }

    /// All instructions.
    pub(crate) fn total(&self) -> u64 {
        self.functions.iter().flat_map(|function| function.own.values()).sum()
    }

    fn number(&mut self, name: &str) -> Number {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = self.functions.len();
        self.functions.push(Function { name: name.to_owned(), ..Function::default() });
        self.numbers.insert(name.to_owned(), number);
        number
    }
}

/// Where in the text the reader is.
#[derive(Debug, Default)]
struct Reader {
    file: String,
    function: Option<Number>,
    called: Option<Number>,
    /// The next line is what the call cost.
    is_call: bool,
}

impl Reader {
    fn take(&mut self, profile: &mut Profile, line: &str) -> anyhow::Result<()> {
        if line.starts_with(|first: char| first.is_ascii_digit()) {
            return self.cost(profile, line);
        }
        match line.split_once('=') {
            Some(("fl" | "fi" | "fe", file)) => file.clone_into(&mut self.file),
            Some(("fn", name)) => self.begin(profile, name),
            Some(("cfn", name)) => self.called = Some(profile.number(name)),
            Some(("calls", _)) => self.is_call = true,
            // Objects, the files of called functions, and the head.
            _ => {}
        }
        Ok(())
    }

    fn begin(&mut self, profile: &mut Profile, name: &str) {
        let number = profile.number(name);
        self.function = Some(number);
        if let Some(function) = profile.functions.get_mut(number) {
            self.file.clone_into(&mut function.file);
        }
    }

    fn cost(&mut self, profile: &mut Profile, line: &str) -> anyhow::Result<()> {
        // A line's number and what it cost, which is left out if it is 0.
        let cost = line.split(' ').nth(1).unwrap_or("0").parse::<u64>().context("no cost")?;
        let number = self.function.context("a cost before any function")?;
        let function = profile.functions.get_mut(number).context("a function without a number")?;
        if std::mem::take(&mut self.is_call) {
            let called = self.called.take().context("a call of nobody")?;
            *function.calls.entry((self.file.clone(), called)).or_default() += cost;
        } else {
            *function.own.entry(self.file.clone()).or_default() += cost;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# callgrind format
version: 1
positions: line
events: Ir
summary: 160

ob=/usr/bin/program
fl=/src/main.rs
fn=main
10 20
cob=/lib/libc.so
cfi=/src/copy.c
cfn=memcpy
calls=3 50
12 90
fi=/src/inlined.rs
7 30
fe=/src/main.rs
13 20
fn=idle
1

fl=/src/copy.c
fn=memcpy
50 90
";

    #[test]
    fn costs_belong_to_functions_and_files() {
        let profile = Profile::parse(TEXT).unwrap();
        assert_eq!(profile.total(), 160);
        let names: Vec<_> = profile.functions.iter().map(|f| f.name.as_str()).collect();
        assert_eq!(names, ["main", "memcpy", "idle"]);
        let main = &profile.functions[0];
        assert_eq!((main.file.as_str(), profile.functions[1].file.as_str()), ("/src/main.rs", "/src/copy.c"));
        let own = [("/src/main.rs".to_owned(), 40), ("/src/inlined.rs".to_owned(), 30)];
        assert_eq!(main.own, own.into_iter().collect());
        assert_eq!(main.calls, [(("/src/main.rs".to_owned(), 1), 90)].into_iter().collect());
    }

    #[test]
    fn what_is_not_understood_is_said_with_its_line() {
        let error = Profile::parse("fn=main\n10 x\n").unwrap_err();
        assert!(format!("{error:#}").contains("line 2"), "{error:#}");
        assert!(Profile::parse("10 20\n").is_err());
        assert!(Profile::parse("fn=main\n").is_err());
    }
}
