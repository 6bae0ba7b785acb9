//! Charts by URL and by command.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::process::Command;

use support::{Monitor, SERVER, batch, now_ms, sample, until};

/// A monitor with an hour of samples of two instances.
fn with_samples() -> Monitor {
    let monitor = Monitor::start("");
    let minute_ms = now_ms() / 60_000 * 60_000;
    for port in [8081, 8082] {
        let name = format!("{SERVER}/{port}");
        for back in (0..60).rev() {
            let answer = monitor.report(&batch(&name, 1, sample(60 - back, minute_ms - back * 60_000, 60)));
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    }
    let last = |port: u16| {
        let file = monitor.path(&format!("var/archives/{}", file_name(port)));
        let output = Command::new("rrdtool").arg("last").arg(file).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().parse::<u64>().ok()
    };
    until("all samples are in the archives", || {
        (last(8081) == Some(minute_ms / 1000) && last(8082) == Some(minute_ms / 1000)).then_some(())
    });
    monitor
}

fn file_name(port: u16) -> String {
    format!("{}@2F{port}.rrd", SERVER.replace('.', "@2E").replace(':', "@3A"))
}

#[test]
fn the_names_of_the_originals_files_are_urls() {
    let monitor = with_samples();
    for name in [
        "cpu.1h.png",
        "cpu-max-s.6h.png",
        "duration-l.1m.svg",
        "t_completed.3day.svg?theme=light",
        "bytes.1h.png?worker=127.0.0.1:8080/8081",
        "agents_u.1h.svg?server=127.0.0.1:8080&v=7",
    ] {
        let answer = monitor.get(&format!("/{name}"));
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        let png = name.contains(".png");
        assert!(
            answer.head.contains(if png { "content-type: image/png" } else { "content-type: image/svg+xml" }),
            "{}",
            answer.head
        );
        assert!(answer.body.starts_with(if png { b"\x89PNG" } else { b"<?xm" }), "{name}");
    }
    for (name, status) in [
        ("cpu.2h.png", 404),
        ("cpu.1h.gif", 404),
        ("x.1h.png", 404),
        ("cpu.1h.png?theme=red", 400),
        ("cpu.1h.png?server=nobody", 404),
        ("..%2f..%2fetc%2fpasswd", 404),
        ("cpu.1h.png%00", 404),
        ("nothing", 404),
    ] {
        let answer = monitor.get(&format!("/{name}"));
        assert_eq!(answer.status, status, "{name}");
        assert!(answer.text().contains("<main"), "{name}: an error is a page");
    }
}

#[test]
fn numbers_stand_beside_the_charts() {
    let monitor = with_samples();
    let page = monitor.get("/charts?period=1h").text();
    assert!(page.contains("/t_completed.1h.svg") && page.contains("<caption"), "{page}");
    // 60 transactions a minute of 1,000 bytes each, so 8,000 bit/s.
    assert!(page.contains("8.00 kbit/s"), "{page}");
}

#[test]
fn a_chart_goes_into_a_file_while_the_monitor_runs_and_when_it_does_not() {
    let mut monitor = with_samples();
    let (png, svg) = (monitor.path("a.png"), monitor.path("b.svg"));
    let done =
        monitor.ask(&["chart", "bytes-max", "--period", "7day", "--size", "L", "-o", png.to_str().unwrap()]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    monitor.stop();
    let done = monitor.ask(&[
        "chart",
        "cpu",
        "--size",
        "s",
        "--light",
        "--worker",
        "127.0.0.1:8080/8082",
        "-o",
        svg.to_str().unwrap(),
    ]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(std::fs::read(png).unwrap().starts_with(b"\x89PNG"));
    assert!(std::fs::read_to_string(svg).unwrap().contains("<svg"));
    for (arguments, code, word) in [
        (vec!["chart", "cpus", "-o", "x.png"], 2, "agents_u"),
        (vec!["chart", "cpu", "-o", "x.gif"], 1, ".svg"),
        (vec!["chart", "cpu", "--period", "2h", "-o", "x.png"], 2, "12h"),
        (vec!["chart", "cpu", "--worker", "nobody", "-o", "x.png"], 1, "127.0.0.1:8080/8081"),
    ] {
        let done = monitor.ask(&arguments);
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(code), "{said}");
        assert!(said.contains(word), "{said}");
    }
}
