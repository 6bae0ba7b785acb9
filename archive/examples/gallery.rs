//! Charts of a made-up day of three instances, for eyes: `target/charts-for-eyes/`. Says how long they took.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "an example for developers")]

use std::{
    fs,
    path::Path,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use switchboard_archive::{
    Archives, Band, ChartKind, ChartName, ChartRequest, Charts, Format, Mark, MarkKind, Period, Program,
    Reason, Size, Theme, serve_drawing,
};
use switchboard_fleet::report::Sample;

const WORKERS: [&str; 3] =
    ["eu.example.net/8081", "eu.example.net/8082", "a-server-with-a-rather-long-name.example.net:8443/8083"];

#[tokio::main]
async fn main() {
    if std::env::args().nth(1).as_deref() == Some("draw") {
        return serve_drawing().unwrap();
    }
    let folder = std::env::temp_dir().join(format!("gallery-{}", std::process::id()));
    let archives = Archives::open(&folder).unwrap();
    let now =
        i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap() / 60 * 60;
    a_day(&archives, now).await;

    let out = Path::new("target/charts-for-eyes");
    fs::create_dir_all(out).unwrap();
    let charts = Charts::new(&archives, Program::this(["draw"]).unwrap());
    let mut wanted: Vec<(ChartName, Theme)> = Vec::new();
    for kind in ChartKind::all() {
        wanted
            .push((ChartName { kind, size: Size::M, period: Period::Day, format: Format::Png }, Theme::Dark));
        wanted.push((
            ChartName { kind, size: Size::L, period: Period::Hours6, format: Format::Png },
            Theme::Light,
        ));
        wanted.push((
            ChartName { kind, size: Size::S, period: Period::Hours6, format: Format::Png },
            Theme::Dark,
        ));
        wanted.push((
            ChartName { kind, size: Size::M, period: Period::Hour, format: Format::Svg },
            Theme::Light,
        ));
    }
    for period in Period::ALL {
        let kind = "bytes".parse().unwrap();
        wanted.push((ChartName { kind, size: Size::M, period: *period, format: Format::Png }, Theme::Dark));
    }
    for (name, theme) in wanted {
        let mut request = ChartRequest::new(name, WORKERS.map(String::from).into(), now);
        request.theme = theme;
        request.bands = vec![
            Band { from_s: now - 5 * 3600, to_s: now - 4 * 3600 - 1200, reason: Reason::InstanceDown },
            Band { from_s: now - 2 * 3600, to_s: now - 2 * 3600 + 900, reason: Reason::MonitorDown },
        ];
        request.marks = vec![
            Mark { at_s: now - 5 * 3600, kind: MarkKind::Stop },
            Mark { at_s: now - 4 * 3600 - 1200, kind: MarkKind::Start },
        ];
        let started = Instant::now();
        let picture = charts.draw(&request).await.unwrap();
        let took = started.elapsed();
        let file = out.join(name.to_string());
        fs::write(&file, &picture.bytes).unwrap();
        println!("{} {:.1} ms", file.display(), took.as_secs_f64() * 1e3);
    }
    let values = charts
        .values(&ChartRequest::new(
            "duration.1day.png".parse().unwrap(),
            WORKERS.map(String::from).into(),
            now,
        ))
        .await;
    println!("{:#?}", values.unwrap());
    fs::remove_dir_all(&folder).unwrap();
}

/// A day with a night, a peak, and an hour in which the second instance was away.
async fn a_day(archives: &Archives, now: i64) {
    for (index, worker) in WORKERS.iter().enumerate() {
        let mut cpu = 0;
        for minute in (0..1440_u64).rev() {
            let at_s = now - i64::try_from(minute).unwrap() * 60;
            let hour = minute as f64 / 60.0;
            if index == 1 && (260..300).contains(&minute) {
                continue;
            }
            let load =
                (1.2 + (hour / 24.0 * std::f64::consts::TAU).sin() + 0.3 * (hour * (3 + index) as f64).cos())
                    .max(0.05)
                    / (index + 1) as f64;
            let completed = (load * 120.0) as u64;
            cpu += (load * 22_000_000.0) as u64;
            let sample = Sample {
                agents_u: (load * 40.0) as u64,
                t_unique: completed / 3,
                t_started: completed + 1,
                t_completed: completed,
                t_failed: 1,
                bytes: (load * 90_000_000.0) as u64,
                duration: completed * (150 + 40 * index as u64),
                cpu,
                duration_avg: 150.0 + 40.0 * index as f64,
            };
            archives.write(worker, at_s, &sample).await.unwrap();
        }
    }
}
