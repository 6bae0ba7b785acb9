//! The machine that numbers are from.

use std::{fs, thread};

/// One line: processor, cores, kernel, programs.
pub(crate) fn describe(nginx: Option<&str>) -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let build = if cfg!(debug_assertions) { ", debug build" } else { "" };
    format!(
        "{}, {cores} {}; Linux {}; Switchboard {}{build}; nginx {}",
        processor(&info).unwrap_or(std::env::consts::ARCH),
        if cores == 1 { "core" } else { "cores" },
        kernel.trim(),
        env!("CARGO_PKG_VERSION"),
        nginx.unwrap_or("absent"),
    )
}

fn processor(info: &str) -> Option<&str> {
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    line.split_once(':').map(|(_, name)| name.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_named() {
        assert_eq!(processor("processor\t: 0\nmodel name\t: Fast One: 3\n\n"), Some("Fast One: 3"));
        assert_eq!(processor(""), None);
    }
}
