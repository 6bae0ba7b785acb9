//! Which chart is asked for, of whom, and what happened meanwhile.

use std::{collections::BTreeSet, sync::Arc};

use switchboard_alert::rules::Event;
use switchboard_archive::{Band, ChartName, ChartRequest, Mark, MarkKind, Period, Picture, Reason, Theme};
use switchboard_fleet::report::WorkerKind;
use switchboard_journal::{JournalError, Standing, Why};
use switchboard_pages::Scope;

use crate::{
    clock::{now_ms, seconds},
    desk::Desk,
    looking,
    roster::Entry,
};

/// An instance that gave no sample for so long has a gap that is going on, in ms.
const SILENT_MS: u64 = 150_000;

/// Whether a chart of a scope shows a worker.
fn has(desk: &Desk, scope: &Scope, name: &str) -> bool {
    match scope {
        Scope::All => true,
        Scope::Server(server) => desk.watched.server_of(name) == server,
        Scope::Worker(worker) => name == worker,
    }
}

/// The instances of a scope that a chart over a period shows: the first [`ChartRequest::WORKERS_MAX`] by name.
pub(crate) fn shown(desk: &Desk, scope: &Scope, period: Period) -> Vec<String> {
    let mut names = instances(desk, scope, period);
    names.truncate(ChartRequest::WORKERS_MAX);
    names
}

/// The instances of a scope that have reported within a period, by name, and those that only have an archive that was written in it.
pub(crate) fn instances(desk: &Desk, scope: &Scope, period: Period) -> Vec<String> {
    let since_ms = now_ms().saturating_sub(u64::try_from(period.seconds()).unwrap_or(0) * 1000);
    let written = desk.archived().into_iter().filter(|(_, written_ms)| *written_ms >= since_ms);
    let mut names: BTreeSet<String> = written.map(|(name, _)| name).collect();
    let roster = desk.roster();
    let counts = |entry: &Entry| {
        entry.kind == WorkerKind::Instance && entry.standing == Standing::Known && entry.heard_ms >= since_ms
    };
    names.extend(roster.iter().filter(|(_, entry)| counts(entry)).map(|(name, _)| name.clone()));
    drop(roster);
    names.into_iter().filter(|name| has(desk, scope, name)).collect()
}

/// A chart that ends now.
pub(crate) async fn request(
    desk: &Desk,
    name: ChartName,
    theme: Theme,
    workers: Vec<String>,
) -> Result<ChartRequest, JournalError> {
    let now_ms = now_ms();
    let mut request = ChartRequest::new(name, workers, seconds(now_ms));
    request.theme = theme;
    let period_ms = u64::try_from(name.period.seconds()).unwrap_or(0) * 1000;
    let from_ms = now_ms.saturating_sub(period_ms);
    let gaps = desk.journal.gaps(&request.workers, from_ms).await?;
    request.bands = gaps
        .iter()
        .map(|gap| Band { from_s: seconds(gap.from_ms), to_s: seconds(gap.to_ms), reason: reason(gap.why) })
        .collect();
    request.bands.extend(silent_now(desk, &request.workers, now_ms));
    let marks = desk.journal.marks(&request.workers, from_ms).await?;
    let kind = |start| if start { MarkKind::Start } else { MarkKind::Stop };
    request.marks =
        marks.iter().map(|mark| Mark { at_s: seconds(mark.at_ms), kind: kind(mark.start) }).collect();
    Ok(request)
}

/// Gaps that are going on.
fn silent_now(desk: &Desk, workers: &[String], now_ms: u64) -> Vec<Band> {
    let roster = desk.roster();
    let silent = |name: &String| {
        let heard_ms = roster.get(name)?.heard_ms;
        let band = Band { from_s: seconds(heard_ms), to_s: seconds(now_ms), reason: Reason::InstanceDown };
        (heard_ms + SILENT_MS < now_ms).then_some(band)
    };
    workers.iter().filter_map(silent).collect()
}

fn reason(why: Why) -> Reason {
    match why {
        Why::InstanceDown => Reason::InstanceDown,
        Why::MonitorDown => Reason::MonitorDown,
        Why::ClockJumped => Reason::ClockJumped,
    }
}

/// The chart of the hour before, for a letter; `None` if there is none to be had.
pub(crate) async fn for_letter(desk: &Desk, event: &Event) -> Option<Arc<Picture>> {
    let name: ChartName = looking::chart_of(event.kind).parse().ok()?;
    let workers = shown(desk, &looking::scope(event), name.period);
    let request = request(desk, name, Theme::Light, workers).await.ok()?;
    desk.charts.draw(&request).await.ok()
}
