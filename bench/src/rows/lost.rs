//! Reports lost, or taken twice, while the monitor is killed again and again.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::mpsc::{self, RecvTimeoutError},
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, anyhow, bail};
use switchboard_fleet::{
    KeyRing,
    report::{Level, LogLine, WorkerKind},
};
use switchboard_journal::{Journal, LINES_MAX, LineQuery, What};
use switchboard_worker::{Bounds, Config, Subject, Worker};
use tokio::time::{Instant as Moment, sleep, sleep_until};

use crate::{
    figures::{Figure, Series, Unit, grouped},
    monitor::{Heard, Monitor},
    rows::Scene,
    table::Line,
};

/// Workers that report.
const WORKERS: usize = 3;
/// Between two log lines of one.
const LINE_EVERY: Duration = Duration::from_millis(50);
/// Between two starts of the monitor.
const KILL_EVERY: Duration = Duration::from_secs(1);
/// When nobody kills the monitor any more, all is there within this: a worker tries again after 30 s at the latest.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A worker that logs until this is dropped.
struct Logger {
    name: String,
    hold: mpsc::Sender<()>,
    /// Gives the worker, and how many lines it has logged.
    thread: JoinHandle<(Worker, u64)>,
}

/// What the journal has of one worker, or of all.
#[derive(Debug, Default)]
struct Found {
    reports: u64,
    lost: u64,
    doubled: u64,
}

/// Kills the monitor for a while, waits until all is quiet, and counts.
pub(crate) async fn measure(scene: &Scene) -> anyhow::Result<Vec<Line>> {
    let killing = scene.effort.killing;
    let mut monitor = Monitor::new()?;
    monitor.start().await?;
    let loggers =
        (0..WORKERS).map(|number| Logger::start(&monitor, number)).collect::<Result<Vec<_>, _>>()?;
    let starts = kill(&mut monitor, killing).await?;
    let logged = settle(&monitor, loggers).await?;
    monitor.kill().await?;
    let found = count(&monitor.journal(), &logged).await?;
    let slowest = starts.span().map_or(0.0, |(_, most)| most);
    let (kills, slowest) = (starts.len(), Figure(slowest, Unit::Seconds));
    eprintln!("monitor killed {kills} times, and up again within {slowest}: {found:?}");
    let what = format!(
        "reports lost or taken twice, of {WORKERS} workers, the monitor killed (SIGKILL) {kills} times in {} s",
        killing.as_secs()
    );
    let ours = format!("{} of {}", found.lost + found.doubled, grouped(found.reports));
    Ok(vec![Line::told(what, ours).goal(0.0, Unit::Count)])
}

/// Kills the monitor and starts it again, every second; how long each start took.
async fn kill(monitor: &mut Monitor, time: Duration) -> anyhow::Result<Series> {
    let end = Moment::now() + time;
    let mut next = Moment::now() + KILL_EVERY;
    let mut starts = Series::default();
    while next < end {
        sleep_until(next).await;
        next = Moment::now() + KILL_EVERY;
        monitor.kill().await?;
        starts.push(monitor.start().await?.as_secs_f64());
    }
    Ok(starts)
}

/// Ends the workers and waits until the monitor has heard that each stops. How many lines each has logged.
async fn settle(monitor: &Monitor, loggers: Vec<Logger>) -> anyhow::Result<BTreeMap<String, u64>> {
    let mut logged = BTreeMap::new();
    let mut workers = Vec::new();
    for logger in loggers {
        drop(logger.hold);
        let (worker, lines) = logger.thread.join().map_err(|_| anyhow!("a worker has failed"))?;
        workers.push(worker);
        logged.insert(logger.name, lines);
    }
    // First what piled up, as a worker that stops does not wait for a monitor.
    until(monitor, "has not heard of all lines", |heard| {
        let numbers = |name| heard.get(name).map_or(0, |heard| heard.reports + heard.missing);
        logged.iter().all(|(name, lines)| numbers(name) >= *lines)
    })
    .await?;
    workers.into_iter().for_each(Worker::stop);
    until(monitor, "has not heard that all workers stop", |heard| {
        logged.keys().all(|name| heard.get(name).is_some_and(|heard| heard.state == "stopped"))
    })
    .await?;
    Ok(logged)
}

async fn until(
    monitor: &Monitor,
    what: &str,
    good: impl Fn(&BTreeMap<String, Heard>) -> bool,
) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        let heard = monitor.workers().await?;
        if good(&heard) {
            return Ok(());
        }
        if began.elapsed() > SETTLED_WITHIN {
            bail!("after {SETTLED_WITHIN:?} the monitor {what}: {heard:?}");
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Looks into what the monitor has left behind.
async fn count(journal: &Path, logged: &BTreeMap<String, u64>) -> anyhow::Result<Found> {
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as u64;
    let (journal, _) = Journal::open(journal, now_ms)?;
    let mut all = Found::default();
    for (name, lines) in logged {
        let found = count_one(&journal, name, *lines).await.with_context(|| name.clone())?;
        all.reports += found.reports;
        all.lost += found.lost;
        all.doubled += found.doubled;
    }
    journal.close().await;
    Ok(all)
}

/// Numbers tell of every report, and the lines, which have numbers of their own, that the numbers tell the truth.
async fn count_one(journal: &Journal, name: &str, lines: u64) -> anyhow::Result<Found> {
    let lives = journal.lives(name).await?;
    let [life] = &lives[..] else { bail!("one life expected, found {}", lives.len()) };
    let mut places: BTreeMap<String, u64> = BTreeMap::new();
    let mut query = LineQuery { worker: Some(name.into()), limit: LINES_MAX, ..LineQuery::default() };
    loop {
        let page = journal.lines(query.clone()).await?;
        let Some(last) = page.last() else { break };
        query.before = Some(last.id);
        for line in page {
            let what = match line.what {
                What::Log(line) => line.message,
                other => format!("{other:?}"),
            };
            *places.entry(what).or_default() += 1;
        }
    }
    let wanted =
        (0..lines).map(message).chain([format!("{:?}", What::Started), format!("{:?}", What::Stopping)]);
    let unseen = wanted.filter(|message| !places.contains_key(message)).count() as u64;
    let doubled = places.values().map(|count| count - 1).sum();
    Ok(Found { reports: life.taken + life.missing, lost: life.missing.max(unseen), doubled })
}

fn message(number: u64) -> String {
    format!("a line of the usual length, number {number}")
}

impl Logger {
    fn start(monitor: &Monitor, number: usize) -> anyhow::Result<Self> {
        let name = format!("bench/{number}");
        let worker = worker(monitor, &name, monitor.keys().clone())?;
        let (hold, held) = mpsc::channel();
        let log = move || {
            let mut lines = 0;
            while held.recv_timeout(LINE_EVERY) == Err(RecvTimeoutError::Timeout) {
                worker.log(LogLine { level: Level::Info, message: message(lines), data: Default::default() });
                lines += 1;
            }
            (worker, lines)
        };
        Ok(Self { name, hold, thread: thread::spawn(log) })
    }
}

fn worker(monitor: &Monitor, name: &str, keys: KeyRing) -> anyhow::Result<Worker> {
    Ok(Worker::start(Config {
        worker: name.into(),
        kind: WorkerKind::Program,
        subject: Subject::Own,
        address: String::new(),
        version: env!("CARGO_PKG_VERSION").into(),
        monitor: format!("http://{}", monitor.address()),
        keys: Some(keys),
        spool: monitor.folder().join("spools").join(name),
        bounds: Bounds::default(),
    })?)
}
