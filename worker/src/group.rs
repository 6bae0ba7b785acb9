//! A process and all that come of it, as `/proc` tells.

use std::fs;

use nix::unistd::{SysconfVar, sysconf};

use crate::vitals::rss_bytes;

/// Most processes of a group that are looked at.
const PROCESSES_MAX: usize = 1000;
/// What a second of `/proc` has, should the system not tell.
const TICKS: u64 = 100;

/// How a group is.
#[derive(Debug, Default)]
pub(crate) struct Group {
    /// Resident memory of all its processes; what they share counts for each.
    pub(crate) rss_bytes: u64,
    /// CPU time of all of them, and of those that have ended and that a living one has waited for, in microseconds.
    pub(crate) cpu_us: u64,
    /// Seconds since the first of them started.
    pub(crate) uptime_s: u64,
}

/// The group that `leader` began; `None` if it does not run.
pub(crate) fn look(leader: u32) -> Option<Group> {
    if leader == 0 {
        return None;
    }
    let ticks = ticks_per_second();
    let first = stat(leader)?;
    let mut group = Group {
        uptime_s: machine_uptime_s().saturating_sub(first.started / ticks),
        rss_bytes: rss_bytes(&leader.to_string()),
        cpu_us: 0,
    };
    let mut cpu = first.cpu;
    let mut all = children(leader);
    let mut next = 0;
    while next < all.len().min(PROCESSES_MAX) {
        let pid = all[next];
        next += 1;
        // It may have ended since: then its time is its parent's by now, or will be.
        let Some(stat) = stat(pid) else { continue };
        cpu += stat.cpu;
        group.rss_bytes += rss_bytes(&pid.to_string());
        all.extend(children(pid));
    }
    group.cpu_us = cpu * 1_000_000 / ticks;
    Some(group)
}

fn ticks_per_second() -> u64 {
    let told = sysconf(SysconfVar::CLK_TCK).ok().flatten();
    told.and_then(|ticks| u64::try_from(ticks).ok()).filter(|ticks| *ticks > 0).unwrap_or(TICKS)
}

fn machine_uptime_s() -> u64 {
    let text = fs::read_to_string("/proc/uptime").unwrap_or_default();
    text.split(['.', ' ']).next().and_then(|seconds| seconds.parse().ok()).unwrap_or_default()
}

/// Of every thread, as each has its own.
fn children(pid: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

/// A process's own figures, in ticks.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    /// CPU time, with that of the children it has waited for.
    cpu: u64,
    /// When it started, since the machine did.
    started: u64,
}

fn stat(pid: u32) -> Option<Stat> {
    parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The fields after the name, which may hold anything, begin with the third.
fn parse(text: &str) -> Option<Stat> {
    let fields: Vec<&str> = text.rsplit_once(") ")?.1.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    Some(Stat { cpu: field(14)? + field(15)? + field(16)? + field(17)?, started: field(22)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::{BufRead, BufReader, Write},
        process::{Command, Stdio},
    };

    #[test]
    fn a_line_of_proc() {
        let text =
            "12 (a ) 1 b) S 1 12 12 0 -1 4194560 1 2 3 4 100 20 3 4 20 0 1 0 777 1000 9 18446744073709551615";
        assert_eq!(parse(text), Some(Stat { cpu: 127, started: 777 }));
        assert_eq!(parse("12 (a) S 1"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn a_group_is_all_that_come_of_a_process_also_when_they_end() {
        // A shell that waits for us, and one of its own that uses time.
        let script = "bash -c 'echo ready; while :; do :; done' & child=$!
                      read line; kill $child; wait $child; echo over; read line";
        let mut shell = Command::new("bash");
        let shell = shell.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut shell = shell.spawn().unwrap();
        let mut said = BufReader::new(shell.stdout.take().unwrap()).lines();
        assert_eq!(said.next().unwrap().unwrap(), "ready");
        let pid = shell.id();
        let mut last = 0;
        // The child's time alone: the shell only waits.
        while last < 100_000 {
            let group = look(pid).unwrap();
            assert!(group.cpu_us >= last, "{group:?}");
            assert!(group.rss_bytes > rss_bytes(&pid.to_string()), "{group:?}");
            last = group.cpu_us;
        }
        let stdin = shell.stdin.as_mut().unwrap();
        stdin.write_all(b"end\n").unwrap();
        assert_eq!(said.next().unwrap().unwrap(), "over");
        assert!(children(pid).is_empty());
        let after = look(pid).unwrap();
        assert!(after.cpu_us >= last, "{after:?} after {last}");
        stdin.write_all(b"end\n").unwrap();
        shell.wait().unwrap();
        assert!(look(pid).is_none() && look(0).is_none());
    }
}
