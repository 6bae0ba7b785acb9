//! The command `password`: what a password becomes in the configuration.

use std::io::{self, BufRead, IsTerminal, Read};

use anyhow::{Context, ensure};
use switchboard_daemon::Outcome;

use crate::logins;

/// Most bytes of a line that is read.
const LINE_MAX: u64 = 4096;

/// Reads a password, twice and unseen from a person, one line from a program; prints its hash.
pub(crate) fn run() -> Outcome {
    let password = if io::stdin().is_terminal() { typed()? } else { line()? };
    print(&logins::hash(&password)?);
    Ok(())
}

fn typed() -> anyhow::Result<String> {
    let ask = |prompt| rpassword::prompt_password(prompt).context("the terminal cannot be read");
    let password = ask("Password: ")?;
    ensure!(ask("The same again: ")? == password, "these were two different passwords: try again");
    Ok(password)
}

fn line() -> anyhow::Result<String> {
    let mut line = String::new();
    io::stdin().lock().take(LINE_MAX).read_line(&mut line).context("standard input cannot be read")?;
    let end = line.trim_end_matches(['\n', '\r']).len();
    line.truncate(end);
    Ok(line)
}

#[allow(clippy::print_stdout, reason = "this is what the command is for")]
fn print(line: &str) {
    println!("{line}");
}
