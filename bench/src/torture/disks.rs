//! Small disks that can be full: tmpfs mounts that nobody else sees.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, bail};

/// Room of a disk; a ledger needs a few KiB, and as much again while it is written.
const DISK_BYTES: u64 = 256 << 10;
/// Written at a time while a disk is filled: a page, which is what a tmpfs counts in.
const PIECE: [u8; 4096] = [0; 4096];
const BALLAST: &str = "ballast";

/// How `unshare` is asked for a mount namespace: as root, or as anyone.
const WAYS: [&[&str]; 2] = [
    &["--mount", "--propagation", "private", "--"],
    &["--user", "--map-root-user", "--mount", "--propagation", "private", "--"],
];

/// Starts this program anew in a mount namespace of its own. Comes back only if that cannot be done.
pub(crate) fn enter_namespace() {
    let allowed = |way: &&&[&str]| {
        let tried = Command::new("unshare").args(**way).arg("true").stderr(Stdio::null()).status();
        tried.is_ok_and(|status| status.success())
    };
    let Some(way) = WAYS.iter().find(allowed) else { return };
    let Ok(program) = std::env::current_exe() else { return };
    let error = Command::new("unshare")
        .args(*way)
        .arg(program)
        .args(std::env::args_os().skip(1))
        .arg("--inside")
        .exec();
    eprintln!("unshare cannot be run ({error})");
}

/// A disk; unmounted when dropped.
pub(crate) struct Disk {
    path: PathBuf,
    full: bool,
}

impl Disk {
    /// Mounts one at `path`, an empty folder, in this process's namespace.
    pub(crate) fn mount(path: &Path) -> anyhow::Result<Self> {
        let said = Command::new("mount")
            .args(["-t", "tmpfs", "-o"])
            .arg(format!("size={DISK_BYTES},mode=700"))
            .arg("switchboard-torture")
            .arg(path)
            .output()
            .context("mount cannot be run")?;
        if !said.status.success() {
            bail!("{}", String::from_utf8_lossy(&said.stderr).trim());
        }
        Ok(Self { path: path.into(), full: false })
    }

    /// Leaves no room, until [`Disk::free`].
    pub(crate) fn fill(&mut self) -> io::Result<()> {
        self.full = true;
        self.refill()
    }

    /// Takes what has become free since, if the disk is to be full.
    pub(crate) fn refill(&self) -> io::Result<()> {
        if !self.full {
            return Ok(());
        }
        let mut ballast = OpenOptions::new().create(true).append(true).open(self.path.join(BALLAST))?;
        loop {
            match ballast.write_all(&PIECE) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::StorageFull => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Makes room again.
    pub(crate) fn free(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.full) {
            fs::remove_file(self.path.join(BALLAST))?;
        }
        Ok(())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // If it does not go now, it goes with the namespace.
        let _ = Command::new("umount").arg("--lazy").arg(&self.path).status();
    }
}
