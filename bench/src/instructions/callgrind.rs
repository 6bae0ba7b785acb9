//! An instance whose instructions callgrind counts.

use std::{fs, path::PathBuf, process::Command};

use anyhow::Context;
use tempfile::TempDir;

use super::profile::Profile;
use crate::{machine, serve::Instance};

/// The function at which callgrind writes down what it has counted, and begins anew.
const PART_ENDS: &str = "--dump-before=*serve::part_ends*";
/// Tells glibc to copy by vectors whatever the length. From 2 KiB on it copies by `rep movsb`, one instruction, which
/// valgrind counts again for each byte: a copied body would outweigh all else. Another libc does not look at it.
const COPY_BY_VECTORS: (&str, &str) = ("GLIBC_TUNABLES", "glibc.cpu.x86_rep_movsb_threshold=1073741824");

/// A running instance under callgrind; ended when dropped.
pub(crate) struct Watched {
    /// The instance; everything takes it some fifty times as long as it does by itself.
    pub(crate) instance: Instance,
    /// Parts that have ended.
    parts: usize,
    folder: TempDir,
}

impl Watched {
    /// Starts this program again as an instance, in valgrind.
    ///
    /// # Errors
    /// valgrind is not installed, or the instance does not start.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let valgrind = machine::find("valgrind")
            .context("valgrind is not installed; `scripts/setup.sh tests` installs it")?;
        let folder = tempfile::tempdir()?;
        let mut command = Command::new(valgrind);
        command
            .env(COPY_BY_VECTORS.0, COPY_BY_VECTORS.1)
            .args(["--tool=callgrind", "--compress-strings=no", "--compress-pos=no", PART_ENDS])
            .arg(format!("--callgrind-out-file={}", folder.path().join("out").display()))
            .arg(format!("--log-file={}", folder.path().join("log").display()))
            .arg(std::env::current_exe()?);
        let instance = Instance::start_by(command)
            .context("an instance in valgrind; does `valgrind --tool=callgrind true` work here?")?;
        Ok(Self { instance, parts: 0, folder })
    }

    /// Ends a part, and gives what was counted in it.
    pub(crate) fn end_part(&mut self) -> anyhow::Result<Profile> {
        self.instance.end_part()?;
        self.parts += 1;
        let file: PathBuf = self.folder.path().join(format!("out.{}", self.parts));
        let text = fs::read_to_string(&file).with_context(|| {
            format!("{}: callgrind wrote nothing; is the program stripped of its names?", file.display())
        })?;
        Profile::parse(&text)
    }
}
