//! What is reported is taken once, whatever comes, and whatever happens to the monitor.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::{fs, thread, time::Duration};

use serde_json::json;
use support::{Monitor, SERVER, batch, now_ms, sample, until};
use switchboard_fleet::{
    KeyRing,
    report::{Level, LogLine, WorkerKind},
};

#[test]
fn each_report_counts_once_and_what_is_missing_is_named() {
    let monitor = Monitor::start("");
    let name = format!("{SERVER}/8081");
    let state = |seq: u64| json!({ "seq": seq, "at_ms": now_ms(), "type": "log", "level": "info", "message": format!("line {seq}") });
    for (seq, answer) in [
        (1, r#"{"upto":1}"#),
        (2, r#"{"upto":2}"#),
        (2, r#"{"upto":2}"#),
        (7, r#"{"upto":7,"missing":[[3,6]]}"#),
        (5, r#"{"upto":7,"missing":[[3,4],[6,6]]}"#),
    ] {
        let taken = monitor.report(&batch(&name, 1000, state(seq)));
        assert_eq!((taken.status, taken.text().as_str()), (200, answer));
    }
    let worker = monitor.worker(&name);
    assert_eq!((&worker["reports"], &worker["missing"]), (&json!(4), &json!(3)));
    let log = monitor.get("/log").text();
    assert_eq!(log.matches("line 2").count(), 1, "{log}");
}

#[test]
fn bad_input_is_refused_with_what_to_do_and_nothing_is_half_done() {
    let monitor = Monitor::start("");
    let name = format!("{SERVER}/8081");
    let good = batch(&name, 1, json!({ "seq": 1, "at_ms": 1, "type": "started" })).to_string();
    let json_type = "Content-Type: application/json\r\n";
    let long_name = "x".repeat(301);
    let too_many: Vec<_> =
        (1..=1001).map(|seq| json!({ "seq": seq, "at_ms": 1, "type": "started" })).collect();
    let cases = [
        (good.clone(), "", 415, "Content-Type"),
        (good.clone(), "Content-Type: text/plain\r\n", 415, "Content-Type"),
        (good.clone(), "Content-Type: application/json\r\nX-Forwarded-For: 192.0.2.1\r\n", 401, "signature"),
        (
            good.clone(),
            "Content-Type: application/json\r\nX-IWP-Signature: t=1,v1=00\r\n",
            401,
            "X-IWP-Signature",
        ),
        (
            good.clone(),
            "Content-Type: application/json\r\nOrigin: http://evil.example.com\r\n",
            403,
            "web pages",
        ),
        (good.replace("\"seq\":1", "\"seq\":9007199254740992"), json_type, 400, "seq"),
        ("{".into(), json_type, 400, "not a batch"),
        ("[]".into(), json_type, 400, "not a batch"),
        (good.replace("started", "ended"), json_type, 400, "unknown variant"),
        (good.replace(&name, "a\\nb"), json_type, 400, "worker"),
        (good.replace(&name, ""), json_type, 400, "worker"),
        (good.replace(&name, &long_name), json_type, 400, "worker"),
        (good.replace("\"seq\":1", "\"seq\":-1"), json_type, 400, "not a batch"),
        (good.replace("\"seq\":1", "\"seq\":0"), json_type, 400, "seq"),
        (
            json!({ "worker": name, "kind": "instance", "boot": 1, "reports": too_many }).to_string(),
            json_type,
            400,
            "at most 1000",
        ),
        (" ".repeat(5 << 20), json_type, 413, "at most"),
    ];
    for (body, headers, status, word) in cases {
        let answer = monitor.post(&body, headers);
        let text = answer.text();
        assert_eq!(answer.status, status, "{text}");
        assert!(text.contains(word) && text.trim().lines().count() == 1, "{word}: {text}");
    }
    assert!(monitor.worker(&name)["heard_ms"].is_null());
    // The future and the far past are taken: what an archive does with them is its own matter.
    for (seq, at_ms) in [(1, 0), (2, u64::MAX / 4), (3, now_ms())] {
        let answer = monitor.report(&batch(&name, 1, sample(seq, at_ms, 1)));
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert_eq!(monitor.worker(&name)["reports"], 3);
}

#[test]
fn strangers_are_listed_and_not_without_limit() {
    let monitor = Monitor::start("workers = [\"backup\"]\n");
    let started = json!({ "seq": 1, "at_ms": now_ms(), "type": "started" });
    let mut refused = 0;
    for number in 0..120 {
        let answer = monitor.report(&batch(&format!("stranger-{number}"), 1, started.clone()));
        if answer.status == 403 {
            refused += 1;
            assert!(answer.text().contains("monitor.workers"), "{}", answer.text());
        }
    }
    assert_eq!(refused, 20);
    assert_eq!(monitor.worker("stranger-0")["state"], "unknown");
    // Who is configured is not one of them.
    assert_eq!(monitor.report(&batch("backup", 1, started)).status, 200);
    assert_eq!(monitor.worker("backup")["state"], "up");
    // No archive is made for a stranger.
    let at_ms = now_ms() / 60_000 * 60_000;
    assert_eq!(monitor.report(&batch("stranger-0", 1, sample(2, at_ms, 1))).status, 200);
    assert_eq!(monitor.report(&batch("backup", 1, sample(2, at_ms, 1))).status, 200);
    until("an archive", || monitor.path("var/archives/backup.rrd").exists().then_some(()));
    let files: Vec<_> =
        fs::read_dir(monitor.path("var/archives")).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert!(files.iter().all(|file| !file.to_string_lossy().contains("stranger")), "{files:?}");
}

#[test]
fn a_signed_batch_is_taken_and_a_changed_one_is_not() {
    let monitor = Monitor::start("");
    let body =
        batch("us.example.net/1", 1, json!({ "seq": 1, "at_ms": now_ms(), "type": "started" })).to_string();
    let mut headers = http::HeaderMap::new();
    headers.insert("x-iwp-digest", KeyRing::digest(body.as_bytes()).parse().unwrap());
    let signature =
        monitor.keys().sign(&http::Method::POST, "/report", &headers, std::time::SystemTime::now());
    let text = format!(
        "Content-Type: application/json\r\nX-Forwarded-For: 192.0.2.1\r\nX-IWP-Digest: {}\r\nX-IWP-Signature: {}\r\n",
        KeyRing::digest(body.as_bytes()),
        signature.to_str().unwrap()
    );
    assert_eq!(monitor.post(&body.replace("us.", "eu."), &text).status, 401);
    assert_eq!(monitor.post(&body, &text).status, 200);
    assert_eq!(monitor.worker("us.example.net/1")["state"], "up");
}

#[test]
fn nothing_is_lost_while_the_monitor_is_killed_again_and_again() {
    let mut monitor = Monitor::start("");
    let name = format!("{SERVER}/8081");
    let worker = monitor.reporting(&name, WorkerKind::Instance);
    let mut lines = 0;
    for _ in 0..8 {
        for _ in 0..20 {
            lines += 1;
            worker.log(LogLine {
                level: Level::Info,
                message: format!("counted {lines}."),
                data: serde_json::Map::new(),
            });
            thread::sleep(Duration::from_millis(20));
        }
        monitor.kill();
        monitor.run();
    }
    worker.stop();
    let stopped = until("the worker's last word", || {
        let seen = monitor.worker(&name);
        (seen["state"] == "stopped").then_some(seen)
    });
    assert_eq!(stopped["missing"], 0, "{stopped}");
    let mut log = String::new();
    let mut page = monitor.get("/log?text=counted").text();
    while let Some(next) = older(&page) {
        log.push_str(&page);
        page = monitor.get(&next).text();
    }
    log.push_str(&page);
    for line in 1..=lines {
        assert_eq!(log.matches(&format!("counted {line}.")).count(), 1, "line {line}");
    }
}

/// The link to older lines.
fn older(page: &str) -> Option<String> {
    let link = page
        .split("href=\"")
        .skip(1)
        .find(|rest| rest.split('"').next().is_some_and(|href| href.contains("before=")))?;
    link.split('"').next().map(|href| href.replace("&amp;", "&").replace("&#38;", "&"))
}

#[test]
fn the_commands_of_the_documents_work_as_they_stand() {
    let monitor = Monitor::start("");
    for (file, after) in [
        ("docs/monitoring.md", "## Reports from other programs"),
        ("docs/protocol.md", "From the monitor's own machine no signature"),
    ] {
        let text = fs::read_to_string(format!("{}/../{file}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        let part = text.split(after).nth(1).unwrap();
        let script = part.split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
        let script = script.replace("127.0.0.1:8090", &monitor.address.to_string());
        let key = fs::read_to_string(monitor.path("fleet.key")).unwrap();
        let key = key.lines().find(|line| !line.starts_with('#') && !line.is_empty()).unwrap();
        let done =
            std::process::Command::new("bash").args(["-euc", &script]).env("KEY", key).output().unwrap();
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        assert!(said.contains("\"upto\":"), "{file}: {said} {}", String::from_utf8_lossy(&done.stderr));
    }
    assert_eq!(monitor.worker("backup")["reports"], 3);
    assert_eq!(monitor.worker("us.example.net/cron")["state"], "up");
}
