//! How long it takes to write a minute of a thousand instances, and to draw a chart of eight.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "an example for developers")]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use switchboard_archive::{Archives, ChartRequest, Charts, Program, serve_drawing};
use switchboard_fleet::report::Sample;

const INSTANCES: u64 = 1000;

#[tokio::main]
async fn main() {
    if std::env::args().nth(1).as_deref() == Some("draw") {
        return serve_drawing().unwrap();
    }
    let folder = std::env::temp_dir().join(format!("measure-{}", std::process::id()));
    let archives = Archives::open(&folder).unwrap();
    let now =
        i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap() / 60 * 60;
    println!("{INSTANCES} new archives: {:?}", minute(&archives, now - 240).await);
    for ago in [180, 120, 60, 0] {
        println!("{INSTANCES} archives, one minute: {:?}", minute(&archives, now - ago).await);
    }
    let workers: Vec<String> = (0..8).map(|n| format!("eu{n}.example.net/8081")).collect();
    for worker in &workers {
        for n in 0..720 {
            archives.write(worker, now - 43_140 + n * 60, &sample(n.unsigned_abs())).await.unwrap();
        }
    }
    let charts = Charts::new(&archives, Program::this(["draw"]).unwrap());
    for name in
        ["cpu.6h.png", "bytes.6h.png", "bytes.6h.svg", "agents_u.6h.png", "bytes-s.6h.png", "bytes-l.6h.png"]
    {
        let mut took: Vec<Duration> = Vec::new();
        for n in 0..20 {
            let request = ChartRequest::new(name.parse().unwrap(), workers.clone(), now - n * 60);
            let started = Instant::now();
            charts.draw(&request).await.unwrap();
            took.push(started.elapsed());
        }
        took.sort();
        println!("{name}, {} instances: median {:?}, slowest {:?}", workers.len(), took[10], took[19]);
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

async fn minute(archives: &Archives, at_s: i64) -> Duration {
    let started = Instant::now();
    for n in 0..INSTANCES {
        archives.write(&format!("example.net/{n}"), at_s, &sample(n)).await.unwrap();
    }
    started.elapsed()
}

fn sample(n: u64) -> Sample {
    Sample {
        agents_u: n % 50,
        t_completed: n % 70,
        bytes: n * 10_000,
        cpu: n * 1_000_000,
        duration: n * 9,
        ..Sample::default()
    }
}
