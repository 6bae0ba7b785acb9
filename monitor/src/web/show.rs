//! The pages: what each shows is gathered here, and `switchboard-pages` makes HTML of it.

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    Extension,
    extract::{Path, RawQuery, State},
    response::{Html, IntoResponse, Response},
};
use http::header;
use switchboard_alert::rules::Event;
use switchboard_archive::Size;
use switchboard_journal::{IncidentPlace, IncidentRow, JournalError, LineQuery};
use switchboard_pages::{
    Asset, Frame, Gallery, GalleryQuery, Incident, IncidentPage, Incidents, Life, Line, Log, LogQuery,
    Missing, Overview, Page, Scope, What, WorkerPage, value,
};

use crate::{
    charting,
    clock::now_ms,
    control,
    desk::Desk,
    web::{answers::Trouble, gallery, state, visitor::Visitor},
};

/// Past incidents on one page.
const INCIDENTS_PAGE: usize = 50;
/// Lines on one page of the log.
const LINES_PAGE: usize = 200;
/// Lines on a worker's page.
const WORKER_LINES: usize = 30;

type Answer = Result<Response, Trouble>;

/// What stands around each page.
pub(super) fn frame(desk: &Desk, visitor: &Visitor) -> Frame {
    Frame {
        server: desk.config.server.as_str().into(),
        version: env!("CARGO_PKG_VERSION").into(),
        now_ms: now_ms(),
        open_incidents: desk.published().incidents().len(),
        admin: visitor.admin(),
    }
}

/// `/`
pub(super) async fn overview(
    State(desk): State<Arc<Desk>>,
    Extension(visitor): Extension<Visitor>,
) -> Answer {
    let frame = frame(&desk, &visitor);
    let silences = control::in_force(&desk);
    let (servers, unknown) = state::sorted(&desk, state::workers(&desk, &silences, frame.now_ms));
    let page = Overview {
        incidents: open_incidents(&desk).await?,
        faults: state::faults(&desk).await,
        silences,
        servers,
        unknown,
        charts: gallery::charts(&desk, &gallery::first(&desk)).await?,
        frame,
    };
    Ok(Html(page.html()).into_response())
}

/// `/charts`
pub(super) async fn charts(
    State(desk): State<Arc<Desk>>,
    Extension(visitor): Extension<Visitor>,
    RawQuery(raw): RawQuery,
) -> Answer {
    let query = GalleryQuery::parse(&raw.unwrap_or_default())?;
    let frame = frame(&desk, &visitor);
    let instances = charting::instances(&desk, &Scope::All, query.period);
    let hidden =
        charting::instances(&desk, &query.scope, query.period).len().saturating_sub(Scope::WORKERS_MAX);
    let servers: BTreeSet<String> =
        instances.iter().map(|name| desk.watched.server_of(name).to_owned()).collect();
    let charts = gallery::charts(&desk, &query).await?;
    let until_ms = frame.now_ms / 60_000 * 60_000;
    let quick = gallery::quick(&desk, query.size);
    let page = Gallery {
        frame,
        query,
        quick,
        hidden,
        servers: servers.into_iter().collect(),
        instances,
        until_ms,
        charts,
    };
    Ok(Html(page.html()).into_response())
}

/// `/workers/NAME`
pub(super) async fn worker(
    State(desk): State<Arc<Desk>>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
) -> Answer {
    let frame = frame(&desk, &visitor);
    let silences = control::in_force(&desk);
    let Some(worker) = state::workers(&desk, &silences, frame.now_ms).remove(&name) else {
        return Err(Trouble::NotFound(format!("There is no worker of the name {name:?}.")));
    };
    let mut incidents = open_incidents(&desk).await?;
    incidents.retain(|incident| incident.last.facts.members.iter().any(|member| member.name == name));
    let query = GalleryQuery { size: Size::S, scope: Scope::Worker(name.clone()), ..GalleryQuery::default() };
    let charts = if worker.kind == switchboard_fleet::report::WorkerKind::Instance {
        gallery::charts(&desk, &query).await?
    } else {
        Vec::new()
    };
    let lives = desk.journal.lives(&name).await?.into_iter().map(life).collect();
    let query = LineQuery { worker: Some(name), limit: WORKER_LINES, ..LineQuery::default() };
    let lines = desk.journal.lines(query).await?.into_iter().map(line).collect();
    Ok(Html(WorkerPage { frame, worker, incidents, lives, charts, lines }.html()).into_response())
}

/// `/incidents`
pub(super) async fn incidents(
    State(desk): State<Arc<Desk>>,
    Extension(visitor): Extension<Visitor>,
    RawQuery(raw): RawQuery,
) -> Answer {
    let before = value(&raw.unwrap_or_default(), "before");
    let first = before.is_none();
    let place = match before {
        Some(text) => past_place(&text)?,
        // The open ones stand on top, as they are: what is open sorts before all that is over.
        None => IncidentPlace { open: false, opened_ms: u64::MAX, id: String::new() },
    };
    let rows = desk.journal.incidents(Some(place), INCIDENTS_PAGE + 1).await?;
    let older = rows
        .get(INCIDENTS_PAGE)
        .and(rows.get(INCIDENTS_PAGE - 1))
        .map(|row| format!("{}-{}", row.opened_ms, row.id));
    let past = rows.iter().take(INCIDENTS_PAGE).filter_map(incident).collect();
    let open = if first { open_incidents(&desk).await? } else { Vec::new() };
    Ok(Html(Incidents { frame: frame(&desk, &visitor), open, past, older, first }.html()).into_response())
}

/// `/incidents/ID`
pub(super) async fn incident_page(
    State(desk): State<Arc<Desk>>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
) -> Answer {
    let found = desk.journal.incident(&id).await?;
    let open = found.last().is_some_and(|step| step.open);
    let steps: Vec<Event> = found.iter().filter_map(|step| serde_json::from_str(&step.event).ok()).collect();
    let Some(last) = steps.last() else {
        return Err(Trouble::NotFound(format!("There is no incident {id:?}, or not any more.")));
    };
    let now = desk.published().incidents().iter().find(|incident| incident.id == id).cloned();
    let members = match now {
        Some(incident) => incident.members.into_values().collect(),
        None => last.facts.members.clone(),
    };
    let outbox = desk.outbox.clone();
    let waiting =
        tokio::task::spawn_blocking(move || outbox.names().unwrap_or_default()).await.unwrap_or_default();
    let prefix = format!("{id}-");
    let unsent = waiting.iter().filter_map(|name| name.strip_prefix(&prefix)?.parse().ok()).collect();
    let has_readers = !desk.config.alert.to.is_empty();
    let page = IncidentPage { frame: frame(&desk, &visitor), steps, open, members, unsent, has_readers };
    Ok(Html(page.html()).into_response())
}

/// `/log`
pub(super) async fn log(
    State(desk): State<Arc<Desk>>,
    Extension(visitor): Extension<Visitor>,
    RawQuery(raw): RawQuery,
) -> Answer {
    let query = LogQuery::parse(&raw.unwrap_or_default())?;
    let before = query
        .before
        .as_deref()
        .map(|text| text.parse().map_err(|_| Trouble::Bad("before: no place in the log".into())));
    let wanted = LineQuery {
        worker: query.worker.clone(),
        least: query.least,
        from_ms: query.from.as_ref().map_or(0, |point| point.start_ms),
        to_ms: query.to.as_ref().map_or(u64::MAX, |point| point.end_ms.saturating_sub(1)),
        text: query.text.clone(),
        before: before.transpose()?,
        limit: LINES_PAGE + 1,
    };
    let mut lines = desk.journal.lines(wanted).await?;
    let more = lines.len() > LINES_PAGE;
    lines.truncate(LINES_PAGE);
    let older = lines.last().filter(|_| more).map(|line| line.id.to_string());
    let workers = desk.roster().iter().map(|(name, _)| name.clone()).collect();
    let lines = lines.into_iter().map(line).collect();
    Ok(Html(Log { frame: frame(&desk, &visitor), query, workers, lines, older }.html()).into_response())
}

/// Style, script and icon.
pub(super) fn asset(asset: Asset) -> Response {
    let headers =
        [(header::CONTENT_TYPE, asset.content_type), (header::CACHE_CONTROL, "max-age=31536000, immutable")];
    (headers, asset.body).into_response()
}

/// Any other address.
pub(super) async fn nowhere() -> Answer {
    Err(Trouble::NotFound("There is no such page.".into()))
}

async fn open_incidents(desk: &Desk) -> Result<Vec<Incident>, JournalError> {
    let rows = desk.journal.incidents(None, switchboard_journal::INCIDENTS_MAX).await?;
    Ok(rows.iter().filter(|row| row.open).filter_map(incident).collect())
}

/// An event of another version that cannot be read is left out.
fn incident(row: &IncidentRow) -> Option<Incident> {
    let letters = row.letter.map_or(0, |number| number.saturating_add(1));
    Some(Incident { last: serde_json::from_str(&row.event).ok()?, open: row.open, letters })
}

fn past_place(text: &str) -> Result<IncidentPlace, Trouble> {
    let place = text.split_once('-').and_then(|(opened, id)| Some((opened.parse().ok()?, id.to_owned())));
    let (opened_ms, id) =
        place.ok_or_else(|| Trouble::Bad("before: no place in the list of incidents".into()))?;
    Ok(IncidentPlace { open: false, opened_ms, id })
}

fn life(life: switchboard_journal::Life) -> Life {
    let missing = |hole: &switchboard_journal::Missing| Missing {
        first: hole.first,
        last: hole.last,
        // There they are named after the reports around the hole, here after the times between which it lies.
        after_ms: hole.before_ms,
        before_ms: Some(hole.after_ms),
    };
    Life {
        boot_ms: life.boot,
        last_ms: life.last_ms,
        taken: life.taken,
        missing: life.holes.iter().map(missing).collect(),
        lost: life.lost,
    }
}

fn line(line: switchboard_journal::Line) -> Line {
    use switchboard_journal::What as Said;
    let what = match line.what {
        Said::Started => What::Started,
        Said::Stopping => What::Stopping,
        Said::Log(line) => What::Log(line),
        Said::Panic { message, place } => What::Panic { message, place },
    };
    Line { at_ms: line.at_ms, worker: line.worker, what }
}
