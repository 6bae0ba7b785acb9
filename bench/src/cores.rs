//! Which core whose work is done on. Left to the scheduler, one program's callers share its core and another's have one of their
//! own, and then a time says more about who had to be woken where than about the programs.

use std::{fs, process};

use anyhow::{Context, bail};
use nix::{
    errno::Errno,
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};

use crate::cpu;

/// Who shares a core.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placing {
    /// This process, which has all callers, has one; all that it has started have another, as if on another machine.
    Apart,
    /// All have the same one.
    Together,
}

/// Keeps this process and all that it has started where they were placed; undone when dropped.
pub(crate) struct Placed {
    before: CpuSet,
}

impl Placing {
    /// Places everyone; `None` if there are too few cores for that.
    pub(crate) fn place(self) -> anyhow::Result<Option<Placed>> {
        let before =
            sched_getaffinity(Pid::from_raw(0)).context("the system does not say which cores there are")?;
        let cores: Vec<usize> =
            (0..CpuSet::count()).filter(|core| before.is_set(*core).unwrap_or(false)).collect();
        let (callers, servers) = match (self, cores.as_slice()) {
            (Self::Apart, [first, second, ..]) => (*first, *second),
            (Self::Together, [first, ..]) => (*first, *first),
            _ => return Ok(None),
        };
        let placed = Placed { before };
        placed.keep_to(&one(callers)?, &one(servers)?)?;
        Ok(Some(placed))
    }
}

impl Placed {
    fn keep_to(&self, callers: &CpuSet, servers: &CpuSet) -> anyhow::Result<()> {
        let own = process::id();
        keep(own, callers)?;
        let mut started = cpu::children(own)?;
        while let Some(server) = started.pop() {
            keep(server, servers)?;
            // Of one that has gone there are none.
            started.extend(cpu::children(server).unwrap_or_default());
        }
        Ok(())
    }
}

impl Drop for Placed {
    fn drop(&mut self) {
        // As far as that can be done.
        let _ = self.keep_to(&self.before, &self.before);
    }
}

fn one(core: usize) -> anyhow::Result<CpuSet> {
    let mut set = CpuSet::new();
    set.set(core)?;
    Ok(set)
}

/// Every thread of a process.
fn keep(pid: u32, set: &CpuSet) -> anyhow::Result<()> {
    // Whoever has gone meanwhile needs no place.
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Ok(()) };
    for thread in threads.flatten() {
        let name = thread.file_name();
        let thread = name.to_str().and_then(|name| name.parse().ok()).context("a thread without a number")?;
        match sched_setaffinity(Pid::from_raw(thread), set) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(error) => bail!("thread {thread} of process {pid} cannot be placed: {error}"),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_placed_comes_back() {
        let now = || sched_getaffinity(Pid::from_raw(0)).unwrap();
        let before = now();
        let placed = Placing::Together.place().unwrap().unwrap();
        assert_eq!((0..CpuSet::count()).filter(|core| now().is_set(*core).unwrap()).count(), 1);
        drop(placed);
        assert_eq!(now(), before);
    }
}
