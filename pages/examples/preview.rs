//! Every page of made-up fleets with charts that fit, for eyes: `target/pages-for-eyes/`.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "an example for developers")]

#[path = "../tests/fixtures/mod.rs"]
mod fixtures;

use std::{fs, path::Path};

use switchboard_archive::{
    Archives, Band, ChartKind, ChartName, ChartRequest, Charts, Format, Mark, MarkKind, Period, Program,
    Reason, Size, Theme, serve_drawing,
};
use switchboard_fleet::report::Sample;
use switchboard_pages::Asset;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    if std::env::args().nth(1).as_deref() == Some("draw") {
        return serve_drawing().unwrap();
    }
    let out = Path::new("target/pages-for-eyes");
    fs::create_dir_all(out).unwrap();
    for asset in Asset::ALL {
        fs::write(out.join(asset.path.trim_start_matches('/')), asset.body).unwrap();
    }
    for (name, html) in fixtures::pages() {
        fs::write(out.join(format!("{name}.html")), as_files(&html)).unwrap();
    }
    draw(out).await;
    println!("{}/index.html", out.display());
}

/// Addresses of the monitor as names of files beside each other.
fn as_files(html: &str) -> String {
    let mut html = html.to_owned();
    for theme in ["dark", "light"] {
        html = html.replace(&format!(".svg?theme={theme}"), &format!(".{theme}.svg?"));
    }
    for (page, file) in [("workers/", "worker.html?"), ("incidents/", "incident.html?"), ("", "")] {
        for attribute in ["href", "src", "srcset", "action"] {
            html = html.replace(&format!("{attribute}=\"/{page}"), &format!("{attribute}=\"{file}"));
        }
    }
    for page in ["charts", "incidents", "login", "log?", "log\"", "upstreams"] {
        let (page, rest) = page.split_at(page.trim_end_matches(['?', '"']).len());
        html = html.replace(&format!("href=\"{page}{rest}"), &format!("href=\"{page}.html{rest}"));
    }
    html.replace("href=\"\"", "href=\"index.html\"")
}

async fn draw(out: &Path) {
    let folder = std::env::temp_dir().join(format!("preview-{}", std::process::id()));
    let archives = Archives::open(&folder).unwrap();
    let now = i64::try_from(fixtures::NOW_MS / 1000 / 60 * 60).unwrap();
    let names = fixtures::fleets::instances(&fixtures::fleets::troubled());
    for minute in (0..=1440).rev() {
        for (at, name) in names.iter().enumerate() {
            archives.write(name, now - minute * 60, &sample(at, minute)).await.unwrap();
        }
    }
    let charts = Charts::new(&archives, Program::this(["draw"]).unwrap());
    let sizes =
        [(Size::S, Period::Hour), (Size::M, Period::Hour), (Size::L, Period::Day), (Size::S, Period::Hours6)];
    for kind in ChartKind::all() {
        for (size, period) in sizes {
            for (theme, word) in [(Theme::Dark, "dark"), (Theme::Light, "light")] {
                let name = ChartName { kind, size, period, format: Format::Svg };
                let mut request = ChartRequest::new(name, names.clone(), now);
                request.theme = theme;
                request.bands =
                    vec![Band { from_s: now - 1800, to_s: now - 1400, reason: Reason::InstanceDown }];
                request.marks = vec![Mark { at_s: now - 1400, kind: MarkKind::Start }];
                let picture = charts.draw(&request).await.unwrap();
                fs::write(
                    out.join(name.to_string().replace(".svg", &format!(".{word}.svg"))),
                    &picture.bytes,
                )
                .unwrap();
            }
        }
    }
    fs::remove_dir_all(&folder).unwrap();
}

fn sample(at: usize, minute: i64) -> Sample {
    let (at, minute) = (at as f64, minute as f64);
    let wave = 1.0 + (minute / 170.0 + at).sin() / 2.0 + (minute / 7.0 + at * 2.0).sin() / 8.0;
    let completed = (40.0 + at * 9.0) * wave;
    let average = 30.0 + at * 4.0 * wave;
    Sample {
        agents_u: (120.0 * wave) as u64,
        t_unique: (completed / 2.0) as u64,
        t_started: completed as u64,
        t_completed: completed as u64,
        t_failed: 0,
        bytes: (completed * 20_000.0) as u64,
        duration: (completed * average) as u64,
        cpu: ((1440.0 - minute) * 6_000_000.0 * (1.0 + at / 8.0)) as u64,
        duration_avg: average,
    }
}
