//! The machine that numbers are from, and the programs on it.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, thread};

/// Where Debian keeps servers, which is not in every user's `PATH`.
const USUAL_FOLDERS: [&str; 2] = ["/usr/sbin", "/usr/local/sbin"];

/// Where a program is installed, if it is.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(USUAL_FOLDERS.map(PathBuf::from));
    let runs = |file: &PathBuf| {
        fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    folders.map(|folder| folder.join(program)).find(runs)
}

/// One line: processor, cores, kernel, and programs with their versions, if they are there.
pub(crate) fn describe(programs: &[(&str, Option<String>)]) -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let build = if cfg!(debug_assertions) { ", debug build" } else { "" };
    let line = format!(
        "{}, {cores} {}; Linux {}; Switchboard {}{build}",
        processor(&info).unwrap_or(std::env::consts::ARCH),
        if cores == 1 { "core" } else { "cores" },
        kernel.trim(),
        env!("CARGO_PKG_VERSION"),
    );
    let program = |(name, version): &(_, Option<String>)| {
        format!("; {name} {}", version.as_deref().unwrap_or("absent"))
    };
    line + &programs.iter().map(program).collect::<String>()
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
