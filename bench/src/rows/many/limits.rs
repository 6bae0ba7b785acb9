//! Whether this machine lets so many connections be, so that a run that cannot succeed says at once what to raise.

use std::{fs, path::Path, str::FromStr};

use anyhow::{Context, bail};

use crate::{
    cpu,
    effort::Many,
    figures::{Figure, Unit},
    herd::{CONNECTING_MAX, SOURCES},
    kernel::{self, PAGE_BYTES},
};

/// Files of an instance, or of the process of its agents, besides one for each agent.
const FILES_SPARE_EACH: u64 = 1_000;
/// Files of the whole system besides the two of each connection.
const FILES_SPARE: u64 = 20_000;
/// Memory for one agent: its instance's, its own, and what the kernel has at both ends of its connection.
const AGENT_BYTES: u64 = 26 << 10;
/// Bytes in flight, or received and not read, for which there is to be room besides what sockets hold already.
const IN_FLIGHT_BYTES: u64 = 64 << 20;

/// Looks at every limit that could be in the way. The instances run and have greeted each other.
///
/// # Errors
/// One is: which, how much is needed, and how it is raised.
pub(super) fn check(plan: &Many) -> anyhow::Result<()> {
    let agents = plan.instances as u64 * plan.agents_each;
    cpu::raise_file_limit(plan.agents_each + FILES_SPARE_EACH)?;
    let [open, _, most] = numbers::<u64, 3>("/proc/sys/fs/file-nr")?;
    at_least("fs.file-max", most, open + 2 * agents + FILES_SPARE)?;
    let [backlog] = numbers("/proc/sys/net/core/somaxconn")?;
    at_least("net.core.somaxconn", backlog, 2 * CONNECTING_MAX as u64)?;
    let [first, last] = numbers::<u64, 2>("/proc/sys/net/ipv4/ip_local_port_range")?;
    let needed = 2 * plan.agents_each.div_ceil(SOURCES);
    at_least("the ports in net.ipv4.ip_local_port_range", (last + 1).saturating_sub(first), needed)?;
    let [_, _, pages] = numbers::<u64, 3>("/proc/sys/net/ipv4/tcp_mem")?;
    at_least("the last number of net.ipv4.tcp_mem", pages, IN_FLIGHT_BYTES / PAGE_BYTES)?;
    check_tracking(agents)?;
    let (there, needed) = (kernel::available_bytes()?, agents * AGENT_BYTES);
    if there < needed {
        let text = |bytes: u64| Figure(bytes as f64, Unit::KibiBytes);
        bail!("{agents} agents need about {} of memory, and {} are free", text(needed), text(there));
    }
    Ok(())
}

/// Connections may be tracked, as for a firewall. That those over loopback are is seen by the instances': they keep some open.
fn check_tracking(agents: u64) -> anyhow::Result<()> {
    const COUNT: &str = "/proc/sys/net/netfilter/nf_conntrack_count";
    if !Path::new(COUNT).exists() {
        return Ok(());
    }
    let [tracked] = numbers::<u64, 1>(COUNT)?;
    let [most] = numbers("/proc/sys/net/netfilter/nf_conntrack_max")?;
    if tracked == 0 { Ok(()) } else { at_least("net.netfilter.nf_conntrack_max", most, tracked + 2 * agents) }
}

fn at_least(name: &str, is: u64, needed: u64) -> anyhow::Result<()> {
    if is < needed {
        bail!("{name}: {is}, and {needed} are needed; raise it with `sysctl -w`");
    }
    Ok(())
}

/// The first numbers of a file.
fn numbers<N: FromStr, const COUNT: usize>(path: &str) -> anyhow::Result<[N; COUNT]> {
    let text = fs::read_to_string(path).with_context(|| path.to_owned())?;
    parse(&text).with_context(|| format!("{path}: not {COUNT} numbers: `{}`", text.trim_end()))
}

fn parse<N: FromStr, const COUNT: usize>(text: &str) -> Option<[N; COUNT]> {
    let numbers: Vec<_> =
        text.split_whitespace().take(COUNT).map_while(|number| number.parse().ok()).collect();
    numbers.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read() {
        assert_eq!(parse("287901\t383868\t575802\n"), Some([287_901u64, 383_868, 575_802]));
        assert_eq!(parse::<u64, 2>("1\n"), None);
        assert_eq!(parse::<u64, 1>("x\n"), None);
    }

    #[test]
    fn who_is_in_the_way_is_named() {
        assert!(at_least("net.core.somaxconn", 128, 128).is_ok());
        let said = at_least("net.core.somaxconn", 64, 128).unwrap_err().to_string();
        assert_eq!(said, "net.core.somaxconn: 64, and 128 are needed; raise it with `sysctl -w`");
    }
}
