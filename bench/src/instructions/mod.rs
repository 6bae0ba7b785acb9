//! How many instructions an instance needs for a transaction, a poll, a hello: a figure that does not depend on how fast
//! the machine is or what else it does, and so can be held to a bound.
//!
//! callgrind counts what the instance does outside the kernel. System calls count as the one instruction that makes them: a change
//! that makes more of them is not seen here, but by `make bench`. valgrind's processor lacks some instructions that most have, those for
//! SHA-256 among them. It counts `rep movsb`, by which glibc copies 2 KiB and more, once for each byte: so glibc is told to copy by
//! vectors here, which is about ten instructions for each 128 bytes. Two runs differ by less than 1 %: by when several events are found
//! at once, and by what happens by the clock.
//!
//! | module | what happens there |
//! |---|---|
//! | `cases` | what is counted |
//! | `callgrind` | the instance, and who counts |
//! | `profile` | what callgrind wrote; pure |
//! | `stages` | which function belongs to which stage: to be edited |
//! | `share` | from functions to stages; pure |
//! | `bounds` | what each case may take; pure |

mod bounds;
mod callgrind;
mod cases;
mod profile;
mod share;
mod stages;

use std::{fmt, fs, io, path::Path};

use anyhow::{Context, bail};

use self::{bounds::Bounds, cases::CASES, stages::STAGES};
use crate::figures::grouped;

/// What was counted.
#[derive(Debug)]
pub(crate) struct Counted(Vec<Each>);

/// Instructions of one case, for each time that it was done.
#[derive(Debug)]
struct Each {
    name: &'static str,
    /// By stage, and the rest as the last one.
    stages: Vec<f64>,
    total: f64,
}

/// Counts all cases.
pub(crate) async fn count() -> anyhow::Result<Counted> {
    let mut counted = Vec::new();
    for case in &CASES {
        let profile = case.count().await.with_context(|| format!("case {}", case.name))?;
        let times = case.count as f64;
        let stages = share::by_stage(&profile, STAGES).into_iter().map(|sum| sum / times).collect();
        counted.push(Each { name: case.name, stages, total: profile.total() as f64 / times });
    }
    Ok(Counted(counted))
}

/// Compares with what the file at `path` allows, or, with `accept`, writes there that this is allowed.
///
/// # Errors
/// A case takes more than it may; all that do are named.
#[allow(clippy::print_stdout, reason = "the answer is what this is for")]
pub(crate) fn compare(counted: &Counted, path: &Path, accept: bool) -> anyhow::Result<()> {
    let file = || path.display().to_string();
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && accept => String::new(),
        read => read.with_context(|| {
            format!("{}: what is allowed cannot be read; `make instructions ACCEPT=1` writes it", file())
        })?,
    };
    let mut bounds = Bounds::parse(&text).with_context(file)?;
    let said = counted.0.iter().map(|each| bounds.judge(each.name, each.total));
    let (good, bad): (Vec<_>, Vec<_>) = said.partition(Result::is_ok);
    let said: Vec<String> = good.into_iter().flatten().collect();
    println!("{}", said.join("\n"));
    if accept {
        bounds.accept(&counted.0.iter().map(|each| (each.name, each.total)).collect::<Vec<_>>());
        return fs::write(path, bounds.text()).with_context(|| format!("{}: cannot be written", file()));
    }
    let bad: Vec<String> = bad.into_iter().filter_map(Result::err).map(|error| error.to_string()).collect();
    if !bad.is_empty() {
        bail!(
            "more instructions than {} allows: {}; if that is meant, or compiler, libc or processor are others than they were, \
             `make instructions ACCEPT=1` writes the new values",
            file(),
            bad.join("; ")
        );
    }
    Ok(())
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |f: &mut fmt::Formatter<'_>, what: &str, figure: &dyn Fn(&Each) -> f64| {
            write!(f, "\n| {what} ")?;
            self.0.iter().try_for_each(|each| write!(f, "| {} ", grouped(figure(each).round() as u64)))?;
            write!(f, "|")
        };
        write!(f, "| instructions outside the kernel, for each |")?;
        self.0.iter().try_for_each(|each| write!(f, " {} |", each.name))?;
        write!(f, "\n|---|{}", "---|".repeat(self.0.len()))?;
        let names = STAGES.iter().map(|stage| stage.name).chain(["the rest"]);
        for (place, name) in names.enumerate() {
            line(f, name, &|each| each.stages.get(place).copied().unwrap_or_default())?;
        }
        line(f, "all", &|each| each.total)?;
        writeln!(f)
    }
}
