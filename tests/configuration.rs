//! What is wrong with a configuration or a machine is said in clear lines, and what to do about it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt, process::Output};

use support::{Fleet, run};

fn fails(output: &Output, status: i32) -> String {
    assert_eq!(output.status.code(), Some(status), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn every_fault_is_said_at_once_with_file_line_and_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fleet.toml");
    fs::write(
        &path,
        "instances = [8081, 8081]\n\n[timeouts]\nagent = \"soon\"\nclient = -1\n\n[limts]\nbody_bytes = 1\n",
    )
    .unwrap();
    fs::create_dir(folder.path().join("instance")).unwrap();
    fs::write(folder.path().join("instance/8081.toml"), "[range]\nsize = 0\n").unwrap();
    let config = path.to_str().unwrap();
    let said = fails(&run(&["check", "--config", config]), 2);
    for (place, key) in [
        ("fleet.toml:1", "instances"),
        ("fleet.toml:4", "timeouts.agent"),
        ("fleet.toml:5", "timeouts.client"),
        ("fleet.toml:7", "limts"),
        ("instance/8081.toml:2", "range.size"),
    ] {
        let line = said.lines().find(|line| line.contains(place) && line.contains(key));
        assert!(line.is_some(), "{place} {key}:\n{said}");
    }
    assert_eq!(said.lines().count(), 5, "{said}");
    // Nothing was begun.
    assert!(!folder.path().join("var").exists());
    let up = fails(&run(&["up", "--config", config]), 2);
    assert_eq!(up, said);
    let missing = fails(&run(&["up", "--config", folder.path().join("none.toml").to_str().unwrap()]), 2);
    assert!(missing.contains("none.toml") && missing.lines().count() == 1, "{missing}");
}

#[test]
fn the_monitors_settings_are_checked_and_no_password_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fleet.toml");
    let text = "[monitor]\nurl = \"http://u:secret@h\"\npage = \"secret\"\nworkers = [\"\"]\ncharts = { XL = [\"1h\"] }\nkeep_days = -1\n\
                [alert]\nsmtp = \"mail://u:secret@h\"\ndead_man = \"u:secret@h\"\n";
    fs::write(&path, text).unwrap();
    let said = fails(&run(&["check", "--config", path.to_str().unwrap()]), 2);
    let keys = ["monitor.url", "monitor.page", "monitor.workers", "monitor.charts.XL", "monitor.keep_days"];
    for (line, key) in (2..).zip(keys.into_iter().chain(["", "alert.smtp", "alert.dead_man"])) {
        assert!(said.contains(&format!("fleet.toml:{line}: {key}")) || key.is_empty(), "{key}:\n{said}");
    }
    assert!(said.lines().count() == 7 && !said.contains("secret"), "{said}");
}

#[test]
fn one_clear_line_for_what_the_machine_refuses() {
    let mut fleet = Fleet::new("");
    fleet.add(std::net::Ipv4Addr::LOCALHOST, 2);
    fleet.servers[0].stop();
    let server = &fleet.servers[0];
    let config = server.config();
    let up = |what: &str| {
        let said = fails(&run(&["up", "--config", &config]), 1);
        let last = said.lines().filter(|line| line.starts_with("switchboard: ")).collect::<Vec<_>>();
        assert!(last.len() == 1 && last[0].contains(what), "{said}");
    };
    let taken = TcpListener::bind(("127.0.0.1", server.ports[1])).unwrap();
    up(&server.ports[1].to_string());
    drop(taken);
    let taken = TcpListener::bind(server.front).unwrap();
    up(&server.front.to_string());
    drop(taken);
}

#[test]
fn keys_that_cannot_be_used() {
    let mut fleet = Fleet::new("");
    fleet.add(std::net::Ipv4Addr::LOCALHOST, 1);
    fleet.servers[0].stop();
    let server = &fleet.servers[0];
    let key = server.folder.join("fleet.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let port = server.ports[0].to_string();
    for arguments in [&["up"][..], &["instance", "--port", &port], &["check"]] {
        let output = run(&[arguments, &["--config", &server.config()]].concat());
        let said = String::from_utf8(output.stderr.clone()).unwrap();
        assert!(!output.status.success() && said.lines().count() == 1, "{output:?}");
        assert!(said.contains("fleet.key") && said.contains("chmod 600"), "{said}");
    }
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&key, "short\n").unwrap();
    let said =
        String::from_utf8(run(&["instance", "--port", &port, "--config", &server.config()]).stderr).unwrap();
    assert!(said.contains("fleet.key:1") && said.lines().count() == 1, "{said}");
    let refused = run(&["key", "--config", &server.config()]);
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(fs::read_to_string(&key).unwrap(), "short\n");
}

#[test]
fn the_samples_are_good_as_they_stand() {
    let root = env!("CARGO_MANIFEST_DIR");
    for sample in ["conf/fleet.toml", "conf/second/fleet.toml"] {
        let copy = tempfile::tempdir().unwrap();
        let path = copy.path().join("fleet.toml");
        fs::copy(format!("{root}/{sample}"), &path).unwrap();
        let output = run(&["check", "--config", path.to_str().unwrap()]);
        assert!(output.status.success(), "{sample}: {output:?}");
    }
}
