//! What the kernel has in memory for its own, all processes together.

use std::fs;

use anyhow::{Context, anyhow};

/// The unit of numbers in `/proc/net/sockstat` and `net.ipv4.tcp_mem`.
pub(crate) const PAGE_BYTES: u64 = 4096;

const MEMINFO: &str = "/proc/meminfo";
const SOCKSTAT: &str = "/proc/net/sockstat";

/// Bytes in objects of the kernel: sockets, open files, what epoll waits for.
pub(crate) fn slab_bytes() -> anyhow::Result<u64> {
    meminfo("Slab:")
}

/// Bytes of memory that could be had now.
pub(crate) fn available_bytes() -> anyhow::Result<u64> {
    meminfo("MemAvailable:")
}

/// Bytes in the buffers of TCP sockets, on their way or not read yet.
pub(crate) fn tcp_bytes() -> anyhow::Result<u64> {
    let stat = fs::read_to_string(SOCKSTAT).context(SOCKSTAT)?;
    Ok(pages(&stat).with_context(|| format!("{SOCKSTAT}: no memory of TCP"))? * PAGE_BYTES)
}

fn meminfo(name: &str) -> anyhow::Result<u64> {
    let text = fs::read_to_string(MEMINFO).context(MEMINFO)?;
    kib(&text, name).map(|kib| kib << 10).ok_or_else(|| anyhow!("{MEMINFO}: no {name}"))
}

fn kib(meminfo: &str, name: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// The number after `mem` in the line of TCP.
fn pages(sockstat: &str) -> Option<u64> {
    let line = sockstat.lines().find_map(|line| line.strip_prefix("TCP:"))?;
    line.split_whitespace().skip_while(|word| *word != "mem").nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_says_is_read() {
        assert_eq!(kib("MemTotal:  24 kB\nSlab:     678984 kB\n", "Slab:"), Some(678_984));
        assert_eq!(kib("MemTotal:  24 kB\n", "Slab:"), None);
        let stat = "sockets: used 11\nTCP: inuse 1 orphan 0 tw 0 alloc 1 mem 7\nUDP: inuse 0 mem 0\n";
        assert_eq!(pages(stat), Some(7));
        assert_eq!(pages("UDP: inuse 0 mem 9\n"), None);
        assert!(available_bytes().unwrap() > slab_bytes().unwrap() / 100);
        tcp_bytes().unwrap();
    }
}
