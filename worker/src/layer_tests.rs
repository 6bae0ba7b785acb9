use std::path::PathBuf;

use switchboard_fleet::report::{Report, Told};
use tracing_subscriber::{layer::SubscriberExt, registry};

use super::*;
use crate::{queue::Queue, reporter::become_own_thread};

/// What is told while `logging` logs.
fn told(logging: impl FnOnce()) -> Vec<LogLine> {
    let reporter = Reporter::new(Queue::new(100, 1 << 20), PathBuf::new(), 1);
    tracing::subscriber::with_default(registry().with(reporter.layer()), logging);
    let lines = reporter.shared.take();
    let reports = lines.iter().map(|line| serde_json::from_str::<Report>(&line.text).unwrap());
    reports
        .map(|report| match report.told {
            Told::Log(line) => line,
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn levels_targets_and_fields() {
    let lines = told(|| {
        tracing::error!(target: "a::b", port = 8081u16, share = 0.5, ok = true, name = "x\ny", cause = ?Some(1), "no {}", 1);
        tracing::warn!(offset = -3i64, "late");
        tracing::info!("known");
        tracing::debug!("unsaid");
        tracing::trace!("unsaid");
    });
    let levels: Vec<_> = lines.iter().map(|line| (line.level, line.message.as_str())).collect();
    assert_eq!(levels, [(Level::Error, "no 1"), (Level::Warning, "late"), (Level::Info, "known")]);
    let wanted = serde_json::json!({
        "target": "a::b", "port": 8081, "share": 0.5, "ok": true, "name": "x\ny", "cause": "Some(1)"
    });
    assert_eq!(Value::Object(lines[0].data.clone()), wanted);
    assert_eq!(lines[1].data["offset"], -3);
    assert_eq!(lines[1].data["target"], module_path!());
}

#[test]
fn the_librarys_own_thread_is_not_reported() {
    let own = std::thread::spawn(|| {
        told(|| {
            tracing::error!("before");
            become_own_thread();
            tracing::error!("after");
        })
    });
    let messages: Vec<String> = own.join().unwrap().into_iter().map(|line| line.message).collect();
    assert_eq!(messages, ["before"]);
}

#[test]
fn long_texts_are_cut_at_a_character() {
    let long = "xä".repeat(TEXT_MAX);
    let lines = told(|| tracing::info!(long = long.as_str(), "{long}"));
    let message = &lines[0].message;
    assert!(long.starts_with(message) && message.len() + 2 > TEXT_MAX && message.len() <= TEXT_MAX);
    assert_eq!(lines[0].data["long"].as_str().unwrap(), message);
}

#[test]
fn a_number_that_json_has_not_is_null() {
    let lines = told(|| tracing::info!(share = f64::NAN, "none"));
    assert_eq!(lines[0].data["share"], Value::Null);
}
