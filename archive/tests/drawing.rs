//! Pictures and tables, drawn by another process.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::{fs, process::Command, sync::Arc};

use support::{sample, this_minute};
use switchboard_archive::{
    Archives, Band, ChartName, ChartRequest, Charts, DrawError, Mark, MarkKind, Program, Reason, Theme,
    serve_drawing,
};

const DRAWS: &str = "SWITCHBOARD_TEST_DRAWS";

/// The other process: this very program, in which only this test runs, and draws.
#[test]
fn the_process_that_draws() {
    if std::env::var_os(DRAWS).is_some() {
        serve_drawing().unwrap();
    }
}

fn drawer() -> Program {
    Program::this(["--exact", "the_process_that_draws", "--nocapture"]).unwrap().env(DRAWS, "1")
}

/// Runs `test` with the archives of three instances over two hours, in a folder with a name that librrd would not take.
fn with(test: impl AsyncFnOnce(&Archives, &Charts, i64)) {
    let folder = tempfile::tempdir().unwrap();
    let archives = Archives::open(&folder.path().join("a:b 41")).unwrap();
    let charts = Charts::new(&archives, drawer());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let now = this_minute();
        for worker in ["a/1", "a/2", "é:%s\\l/3"] {
            for n in 0..120_u64 {
                archives
                    .write(worker, now - 7140 + i64::try_from(n).unwrap() * 60, &sample(n))
                    .await
                    .unwrap();
            }
        }
        test(&archives, &charts, now).await;
    });
}

fn request(name: &str, workers: &[&str], until_s: i64) -> ChartRequest {
    ChartRequest::new(name.parse().unwrap(), workers.iter().map(|one| String::from(*one)).collect(), until_s)
}

/// Width and height as they stand in a PNG.
fn pixels(png: &[u8]) -> (u32, u32) {
    assert!(png.starts_with(b"\x89PNG\r\n\x1a\n"));
    let number = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
    (number(16), number(20))
}

#[test]
fn every_type_size_and_period_is_drawn_as_large_as_it_should_be() {
    with(async |_, charts, now| {
        for kind in ["cpu", "bytes", "agents_u", "t_completed", "t_unique", "duration"] {
            for (name, width, height) in [
                (format!("{kind}-s.1h.png"), 307, 150),
                (format!("{kind}-max.1day.png"), 547, 268),
                (format!("{kind}-l.1m.png"), 897, 370),
            ] {
                let picture = charts.draw(&request(&name, &["a/1", "a/2", "é:%s\\l/3"], now)).await.unwrap();
                let found = pixels(&picture.bytes);
                assert_eq!(found.0, width, "{name}");
                assert!(
                    if width == 307 {
                        found.1 == height
                    } else {
                        (height + 40..height + 120).contains(&found.1)
                    },
                    "{name}: {found:?}"
                );
            }
            let svg = charts.draw(&request(&format!("{kind}.3h.svg"), &["a/1"], now)).await.unwrap();
            assert!(String::from_utf8_lossy(&svg.bytes).contains("<svg"));
        }
    });
}

#[test]
fn bands_marks_and_themes_change_the_picture_and_nothing_else_does_until_the_next_sample() {
    with(async |archives, charts, now| {
        let plain = request("cpu.1h.png", &["a/1", "a/2"], now);
        let first = charts.draw(&plain).await.unwrap();
        let outside = ChartRequest {
            bands: vec![Band { from_s: now - 9000, to_s: now - 8000, reason: Reason::ClockJumped }],
            until_s: now + 59,
            ..plain.clone()
        };
        assert!(Arc::ptr_eq(&first, &charts.draw(&outside).await.unwrap()));

        let band = ChartRequest {
            bands: vec![Band { from_s: now - 900, to_s: now - 600, reason: Reason::InstanceDown }],
            ..plain.clone()
        };
        let mark =
            ChartRequest { marks: vec![Mark { at_s: now - 900, kind: MarkKind::Stop }], ..plain.clone() };
        let light = ChartRequest { theme: Theme::Light, ..plain.clone() };
        let mut pictures = vec![first.bytes.clone()];
        for other in [band, mark, light] {
            let picture = charts.draw(&other).await.unwrap().bytes.clone();
            assert!(!pictures.contains(&picture));
            pictures.push(picture);
        }

        archives.write("é:%s\\l/3", now + 60, &sample(1)).await.unwrap();
        assert!(Arc::ptr_eq(&first, &charts.draw(&plain).await.unwrap()));
        archives.write("a/2", now + 60, &sample(1)).await.unwrap();
        assert!(!Arc::ptr_eq(&first, &charts.draw(&plain).await.unwrap()));
    });
}

#[test]
fn tables_say_what_was_written() {
    with(async |_, charts, now| {
        let table = charts.values(&request("bytes.1h.png", &["a/1", "nobody"], now)).await.unwrap();
        let bytes: Vec<f64> = (60..120).map(|n| sample(n).bytes as f64).collect();
        let row = &table.rows[0];
        let near = |found: Option<f64>, expected: f64| {
            assert!((found.unwrap() - expected).abs() <= expected * 1e-6, "{found:?} {expected}")
        };
        near(row.sum, bytes.iter().sum());
        near(row.max, bytes.iter().copied().fold(0.0, f64::max) * 8.0 / 60.0);
        near(row.mean, bytes.iter().sum::<f64>() * 8.0 / 3600.0);
        near(row.last, sample(119).bytes as f64 * 8.0 / 60.0);
        assert_eq!((table.rows[1].worker.as_str(), table.rows[1].max), ("nobody", None));
        let cpu = charts.values(&request("cpu.1h.png", &["a/1"], now)).await.unwrap();
        near(cpu.rows[0].mean, 10.0);
    });
}

#[test]
fn damaged_archives_are_left_out_and_a_chart_of_nothing_is_an_error() {
    with(async |archives, charts, now| {
        fs::write(archives.path("bad").unwrap(), "not an archive").unwrap();
        charts
            .draw(&request("cpu.1h.png", &["bad", "a/1", "nobody", "../../etc/passwd"], now))
            .await
            .unwrap();
        assert_eq!(
            charts.draw(&request("cpu.1h.png", &["bad", "nobody"], now)).await,
            Err(DrawError::Nothing)
        );
        assert_eq!(charts.draw(&request("cpu.1h.png", &[], now)).await, Err(DrawError::Nothing));
        let many = vec!["a/1"; 101];
        assert_eq!(
            charts.draw(&request("cpu.1h.png", &many, now)).await,
            Err(DrawError::TooMany { count: 101 })
        );
        let full = charts.draw(&request("agents_u-l.1h.png", &many[..100], now)).await.unwrap();
        assert!(pixels(&full.bytes).1 > 370 + 1400);
    });
}

#[test]
fn a_process_that_dies_is_replaced() {
    with(async |_, charts, now| {
        charts.draw(&request("cpu.1h.png", &["a/1"], now)).await.unwrap();
        let me = std::process::id();
        let children = fs::read_to_string(format!("/proc/{me}/task/{me}/children")).unwrap_or_default();
        let tasks = fs::read_dir(format!("/proc/{me}/task")).unwrap();
        let all: String = tasks
            .map(|task| fs::read_to_string(task.unwrap().path().join("children")).unwrap_or_default())
            .collect();
        let mine: Vec<_> = all.split_whitespace().chain(children.split_whitespace()).collect();
        assert!(!mine.is_empty());
        // Other tests of this process may lose theirs too: they get new ones.
        for pid in mine {
            let _ = Command::new("kill").args(["-9", pid]).stderr(std::process::Stdio::null()).status();
        }
        charts.draw(&request("cpu.3h.png", &["a/1"], now)).await.unwrap();
    });
}

#[test]
fn whoever_goes_away_does_not_hinder_the_next() {
    with(async |_, charts, now| {
        let slow = request("bytes-l.1m.png", &["a/1", "a/2"], now);
        let quick = request("cpu-s.1h.png", &["a/1"], now);
        for _ in 0..5 {
            tokio::select! { biased;
                _ = charts.draw(&slow) => panic!("drawn at once"),
                () = std::future::ready(()) => {}
            }
            let picture = charts.draw(&quick).await.unwrap();
            assert_eq!(pixels(&picture.bytes), (307, 150));
        }
    });
}

#[test]
fn what_cannot_be_started_is_said() {
    with(async |archives, _, now| {
        let silent = Charts::new(archives, Program::this(["--exact", "no_such_test"]).unwrap());
        let error = silent.draw(&request("cpu.1h.png", &["a/1"], now)).await.unwrap_err();
        assert!(matches!(&error, DrawError::Process { why } if why.contains("ended")), "{error}");
    });
}

#[test]
fn names_are_parsed_before_anything_is_drawn() {
    assert!("cpu.1h.png;x".parse::<ChartName>().is_err());
}
