//! Who may depend on whom, as ARCHITECTURE.md draws it, and files that it names.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{collections::BTreeSet, fs, path::Path};

/// What each crate may use of this workspace.
const ALLOWED: [(&str, &[&str]); 16] = [
    ("fleet", &[]),
    ("range", &["fleet"]),
    ("instance", &["fleet", "range", "worker"]),
    ("client", &["fleet"]),
    ("nginx", &["fleet"]),
    ("health", &[]),
    ("daemon", &["fleet", "worker"]),
    ("controller", &["fleet", "health", "nginx", "worker", "daemon"]),
    ("worker", &["fleet"]),
    ("archive", &["fleet"]),
    ("alert", &["fleet"]),
    ("journal", &["fleet"]),
    ("pages", &["fleet", "archive", "alert"]),
    ("monitor", &["fleet", "worker", "journal", "archive", "alert", "pages", "daemon"]),
    ("bench", &["fleet", "range", "instance", "nginx", "worker", "journal", "archive"]),
    (".", &["fleet", "range", "instance", "client", "nginx", "controller", "worker", "daemon"]),
];

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The crates of this workspace that a manifest's `[dependencies]` name.
fn used(manifest: &str) -> BTreeSet<String> {
    let text = read(manifest);
    let section = text.split("\n[dependencies]\n").nth(1).unwrap_or_default();
    let section = section.split("\n[").next().unwrap_or_default();
    section
        .lines()
        .filter_map(|line| line.strip_prefix("switchboard-"))
        .map(|rest| rest.split(['.', ' ', '=']).next().unwrap().to_owned())
        .collect()
}

#[test]
fn nobody_depends_on_more_than_drawn() {
    for (name, allowed) in ALLOWED {
        let used = used(&format!("{name}/Cargo.toml"));
        let allowed: BTreeSet<String> = allowed.iter().map(|name| (*name).to_owned()).collect();
        assert!(used.is_subset(&allowed), "{name} uses {used:?}");
    }
}

#[test]
fn pure_files_have_no_socket_task_clock_or_file() {
    for file in [
        "exchange",
        "transactions",
        "directory",
        "peers",
        "verdict",
        "wire/head",
        "wire/body",
        "wire/field",
        "wire/name",
        "wire/standing",
        "route",
        "announcement",
        "news",
    ] {
        let text = read(&format!("instance/src/{file}.rs"));
        let rules = text.split("#[cfg(test)]").next().unwrap();
        for word in ["tokio", "std::fs", "std::net::Tcp", "Instant::now", "SystemTime", "spawn"] {
            assert!(!rules.contains(word), "{file}.rs has {word}");
        }
    }
}

#[test]
fn documents_name_files_that_are_there() {
    for document in ["README.md", "ARCHITECTURE.md"] {
        let text = read(document);
        for name in text.split('`').skip(1).step_by(2) {
            let path = name.split([' ', ':']).next().unwrap();
            let is_path = path.contains('/') && !path.starts_with(['/', '.']) && !path.contains("//");
            let known = [
                "docs/",
                "src/",
                "fleet/",
                "range/",
                "instance/",
                "client/",
                "nginx/",
                "bench/",
                "conf/",
                "tests/",
                "scripts/",
                "fuzz/",
                "worker/",
                "archive/",
                "alert/",
                "journal/",
                "pages/",
                "monitor/",
                "health/",
            ];
            if is_path
                && known.iter().any(|folder| path.starts_with(folder))
                && !path.contains(['*', '<', '{'])
            {
                assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(path).exists(), "{document} names {path}");
            }
        }
    }
}
