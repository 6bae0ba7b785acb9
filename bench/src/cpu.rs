//! What the kernel says of a process: CPU time, memory, open files.

use std::{fs, time::Duration};

use anyhow::{Context, anyhow, bail};
use nix::{
    sys::resource::{Resource, getrlimit, setrlimit},
    time::clock_getcpuclockid,
    unistd::Pid,
};

/// The unit of times in `/proc/PID/stat`, fixed in Linux's interface (`USER_HZ`) whatever the kernel itself uses.
const TICK: Duration = Duration::from_millis(10);

/// CPU time, user and system, of all threads of a process since it began.
pub(crate) fn of_process(pid: u32) -> anyhow::Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).with_context(|| format!("{path}: the server is gone"))?;
    ticks(&stat).map(|ticks| TICK * ticks).ok_or_else(|| anyhow!("{path}: no times in `{}`", stat.trim_end()))
}

/// The same to the nanosecond: for a process that works little.
pub(crate) fn of_process_exactly(pid: u32) -> anyhow::Result<Duration> {
    let clock = clock_getcpuclockid(Pid::from_raw(pid.cast_signed()));
    let now = clock.and_then(|clock| clock.now()).with_context(|| format!("process {pid} is gone"))?;
    Ok(now.into())
}

/// CPU time of a process and its children.
pub(crate) fn of_family(pid: u32) -> anyhow::Result<Duration> {
    let mut sum = of_process(pid)?;
    for child in children(pid)? {
        sum += of_process(child)?;
    }
    Ok(sum)
}

/// The processes that a process of one thread has started.
pub(crate) fn children(pid: u32) -> anyhow::Result<Vec<u32>> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let children = fs::read_to_string(&path).with_context(|| format!("{path}: the server is gone"))?;
    Ok(children.split_whitespace().filter_map(|child| child.parse().ok()).collect())
}

/// Fields 14 and 15, added. The second field is the program's name in parentheses and may hold anything.
fn ticks(stat: &str) -> Option<u32> {
    let (_, after_name) = stat.rsplit_once(") ")?;
    let mut fields = after_name.split(' ').skip(11);
    let mut next = || fields.next()?.parse::<u32>().ok();
    Some(next()? + next()?)
}

/// Resident memory of a process, in bytes.
pub(crate) fn resident_bytes(pid: u32) -> anyhow::Result<u64> {
    memory_bytes(pid, "VmRSS:")
}

/// Resident memory of a process that no file is behind, in bytes.
pub(crate) fn own_bytes(pid: u32) -> anyhow::Result<u64> {
    memory_bytes(pid, "RssAnon:")
}

fn memory_bytes(pid: u32, name: &str) -> anyhow::Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).with_context(|| format!("{path}: the process is gone"))?;
    memory(&status, name).ok_or_else(|| anyhow!("{path}: no {name}"))
}

fn memory(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib << 10)
}

/// Lets this process and its children open as many files as the system allows.
///
/// # Errors
/// That is fewer than `needed`.
pub(crate) fn raise_file_limit(needed: u64) -> anyhow::Result<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    if most < needed {
        bail!("a process may open {most} files and {needed} are needed; raise it with `ulimit -n`");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_any_name() {
        let rest = "S 1 2 3 0 -1 4194560 1079 0 0 0 150 25 7 8 20 0 1 0 12007 9 10";
        for name in ["sleep", "a b", ") 1 2 (", "a) S 9"] {
            assert_eq!(ticks(&format!("4711 ({name}) {rest}")), Some(175), "{name}");
        }
        assert_eq!(ticks("4711 (sleep) S 1 2"), None);
    }

    #[test]
    fn memory_is_in_bytes() {
        let status = "Name:\tx\nVmHWM:\t    9 kB\nVmRSS:\t    2048 kB\nRssAnon:\t    1024 kB\n";
        assert_eq!(memory(status, "VmRSS:"), Some(2 << 20));
        assert_eq!(memory(status, "RssAnon:"), Some(1 << 20));
        assert_eq!(memory("Name:\tx\n", "VmRSS:"), None);
    }

    #[test]
    fn a_process_that_works_uses_time() {
        let pid = std::process::id();
        let before = of_process(pid).unwrap();
        while of_process(pid).unwrap() == before {}
        assert!(of_family(pid).unwrap() > before);
        assert!(of_process_exactly(pid).unwrap() > before);
        assert!(resident_bytes(pid).unwrap() > own_bytes(pid).unwrap());
        assert!(own_bytes(pid).unwrap() > 100_000);
    }
}
