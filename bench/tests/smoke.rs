//! The program itself: each kind of row gives figures.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
    thread::available_parallelism,
};

/// Whether callers and servers can have a core each: some rows are about that.
fn are_apart() -> bool {
    available_parallelism().is_ok_and(|cores| cores.get() > 1)
}

fn bench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_switchboard-bench")).args(arguments).output().unwrap()
}

/// The table's lines without its heading, cut into cells.
fn lines(output: &Output) -> Vec<Vec<String>> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let rows = text.lines().filter(|line| line.starts_with('|')).skip(2);
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

/// The number that a cell begins with.
fn number(cell: &str) -> f64 {
    let digits: String =
        cell.chars().filter(|c| *c != ',').take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    digits.parse().unwrap_or_else(|_| panic!("no number: {cell:?}"))
}

#[test]
fn transactions_are_measured() {
    for (row, count) in [("1k", 4), ("4m", 2)] {
        let lines = lines(&bench(&["--quick", "--only", row]));
        assert_eq!(lines.len(), count, "{row}");
        assert!(lines.iter().all(|line| number(&line[1]) > 0.0), "{lines:?}");
    }
}

#[test]
fn registrations_latency_and_memory_are_measured() {
    for (row, count) in
        [("registrations", 1), ("latency", if are_apart() { 8 } else { 4 }), ("parked", 2), ("locations", 6)]
    {
        let lines = lines(&bench(&["--quick", "--only", row]));
        assert_eq!(lines.len(), count, "{row}");
        assert!(lines.iter().all(|line| number(&line[1]) > 0.0), "{lines:?}");
    }
}

#[test]
fn ordinary_callers_are_measured_beside_others() {
    let lines = lines(&bench(&["--quick", "--only", "even"]));
    assert_eq!(lines.len(), 7);
    assert!(lines[1..3].iter().all(|line| number(&line[1]) > 0.0 && number(&line[5]) > 0.0), "{lines:?}");
    assert!(lines[6][1].starts_with("200 of 200 in "), "{lines:?}");
}

#[test]
fn many_agents_are_measured() {
    let lines = lines(&bench(&["--quick", "--only", "many"]));
    assert_eq!(lines.len(), 9);
    assert!(number(&lines[2][1]) > 0.0 && number(&lines[5][1]) > 0.0, "{lines:?}");
    assert_eq!(lines[4][1], "0 of 300");
}

#[test]
fn archives_and_charts_are_measured_beside_rrdtool() {
    for row in ["samples", "charts"] {
        let lines = lines(&bench(&["--quick", "--only", row]));
        assert_eq!(lines.len(), 1, "{row}");
        assert!(lines.iter().all(|line| number(&line[1]) > 0.0 && number(&line[4]) > 0.0), "{lines:?}");
    }
}

#[test]
fn the_worker_library_is_measured() {
    let lines = lines(&bench(&["--quick", "--only", "worker"]));
    assert_eq!(lines.len(), 2);
    assert!(number(&lines[1][1]) > 0.0, "{lines:?}");
}

#[test]
fn other_servers_and_other_programs_are_measured() {
    for (row, count) in [("announce", 6), ("rathole", 4), ("front-latency", if are_apart() { 3 } else { 1 })]
    {
        let lines = lines(&bench(&["--quick", "--only", row]));
        assert_eq!(lines.len(), count, "{row}");
        assert!(lines.iter().all(|line| number(&line[1]) > 0.0), "{lines:?}");
    }
}

#[test]
#[cfg_attr(debug_assertions, ignore = "callgrind makes the instance slow enough: `cargo test --release`")]
fn too_many_instructions_are_refused_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bounds.toml");
    let file = file.to_str().unwrap();
    assert!(bench(&["instructions", "--accept", "--bounds", file]).status.success());
    assert!(bench(&["instructions", "--bounds", file]).status.success());
    let text = fs::read_to_string(file).unwrap();
    fs::write(file, text.replace("instructions = ", "instructions = 1 # ")).unwrap();
    let output = bench(&["instructions", "--bounds", file]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("poll: ") && said.contains("ACCEPT=1"), "{said}");
}

/// The monitor is another crate's program, which the tests of the whole workspace build too.
#[test]
fn the_monitor_is_measured_or_said_to_be_missing() {
    let is_there =
        Path::new(env!("CARGO_BIN_EXE_switchboard-bench")).with_file_name("switchboard-monitor").exists();
    for (row, count) in [("reports", 2), ("lost", 1)] {
        let output = bench(&["--quick", "--only", row]);
        if !is_there {
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(said.contains("switchboard-monitor is missing: build it with"), "{said}");
            continue;
        }
        let lines = lines(&output);
        assert_eq!(lines.len(), count, "{row}");
        match row {
            "lost" => {
                assert!(lines[0][1].starts_with("0 of ") && number(&lines[0][1][5..]) > 0.0, "{lines:?}")
            }
            _ => assert!(lines.iter().all(|line| number(&line[1]) > 0.0), "{lines:?}"),
        }
    }
}

/// The controller is another crate's program, and the module another workspace's.
#[test]
fn the_front_is_measured_or_said_to_be_missing() {
    for (row, count) in [("front-cost", 4), ("dead-backend", 2), ("join", 2), ("switch", 2)] {
        let output = bench(&["--quick", "--only", row]);
        let said = String::from_utf8_lossy(&output.stderr);
        if said.contains("module is not there (scripts/module.sh builds it)") {
            assert!(lines(&output).is_empty());
            continue;
        }
        if said.contains("switchboard is missing: build it with") {
            continue;
        }
        let lines = lines(&output);
        assert_eq!(lines.len(), count, "{row}");
        assert!(number(&lines[0][1]) > 0.0, "{lines:?}");
        if row == "dead-backend" {
            assert!(lines[1][1].starts_with("0 of "), "{lines:?}");
        }
    }
}

#[test]
fn an_unknown_row_is_refused_with_the_known_ones_named() {
    let output = bench(&["--quick", "--only", "nonsense"]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("64k") && said.contains("registrations"), "{said}");
}
