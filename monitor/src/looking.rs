//! The look at the fleet that is taken every minute: rules, letters, and the dead man's handle.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use switchboard_alert::rules::{Change, Event, Kind};
use switchboard_journal::Step;
use switchboard_pages::Scope;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use crate::{caller::Caller, charting, clock::now_ms, desk::Desk, reach};

/// A letter waits so long for its chart.
const CHART_WITHIN: Duration = Duration::from_secs(10);
/// The dead man's handle must take the call within this.
const HANDLE_WITHIN: Duration = Duration::from_secs(10);

/// Looks for ever. `own` is the monitor's own address as a URL.
pub(crate) async fn forever(desk: Arc<Desk>, caller: Caller, own: String) {
    let every = Duration::from_millis(desk.rules.soon_ms().max(1000));
    let mut ticks = interval_at(Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut handle = Handle::default();
    loop {
        ticks.tick().await;
        match look(&desk, &caller, &own).await {
            Ok(()) => handle.hold(&desk, &caller).await,
            Err(error) => tracing::error!("this look at the fleet is repeated in a minute: {error:#}"),
        }
    }
}

/// Looks once. A failure leaves everything as if it had not been looked: the next look finds the same, under the same names.
async fn look(desk: &Desk, caller: &Caller, own: &str) -> anyhow::Result<()> {
    let reach = reach::look(desk, caller, own).await;
    let views = desk.roster().views(&desk.watched, &desk.archives.problems());
    let mut alerts = desk.alerts.lock().await;
    let mut after = alerts.clone();
    let now_ms = now_ms();
    let events = after.look(&desk.rules, now_ms, &views, reach);
    for event in &events {
        tell(event);
        post(desk, event, now_ms).await?;
    }
    let steps = events.iter().map(step).collect::<Result<_, _>>()?;
    desk.journal
        .remember(serde_json::to_string(&after)?, steps)
        .await
        .context("incidents cannot be noted")?;
    *alerts = after;
    drop(alerts);
    if !events.is_empty() {
        desk.letters.notify_one();
        desk.changed();
    }
    Ok(())
}

/// Into the log, which outlives the incident.
fn tell(event: &Event) {
    let workers: Vec<&str> = event.facts.members.iter().map(|member| member.name.as_str()).collect();
    let (kind, server, change) = (event.kind, &event.server, word(&event.change));
    tracing::info!(?kind, server, change, workers = workers.join(" "), incident = event.incident, "incident");
}

fn word(change: &Change) -> &'static str {
    match change {
        Change::Opened => "opened",
        Change::Updated { .. } => "updated",
        Change::Reminder => "reminder",
        Change::Unstable { .. } => "unstable",
        Change::Recovered { .. } => "recovered",
        Change::Ended { .. } => "ended",
    }
}

/// Writes the letter, if there is one to write, and puts it into the outbox.
async fn post(desk: &Desk, event: &Event, now_ms: u64) -> anyhow::Result<()> {
    if event.letter.is_none() || desk.config.alert.to.is_empty() {
        return Ok(());
    }
    let chart = timeout(CHART_WITHIN, charting::for_letter(desk, event)).await.ok().flatten();
    if let Some(letter) = desk.writer.write(event, chart.as_ref().map(|picture| &picture.bytes[..]))? {
        let outbox = desk.outbox.clone();
        tokio::task::spawn_blocking(move || outbox.put(&letter, now_ms))
            .await?
            .context("a letter cannot be kept")?;
    }
    Ok(())
}

/// The charts that explain an event: its server's, or all.
pub(crate) fn scope(event: &Event) -> Scope {
    if event.server.is_empty() { Scope::All } else { Scope::Server(event.server.clone()) }
}

fn step(event: &Event) -> serde_json::Result<Step> {
    Ok(Step {
        incident: event.incident.clone(),
        kind: serde_json::to_value(event.kind)?.as_str().unwrap_or_default().into(),
        server: event.server.clone(),
        opened_ms: event.opened_ms,
        at_ms: event.at_ms,
        open: !matches!(event.change, Change::Recovered { .. } | Change::Ended { .. }),
        letter: event.letter,
        event: serde_json::to_string(event)?,
    })
}

/// The chart that a kind of incident calls for.
pub(crate) fn chart_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Overload => "cpu.1h.png",
        Kind::Down | Kind::Unheard | Kind::Panic | Kind::Archive => "t_completed.1h.png",
    }
}

/// An address outside that is called as long as all is well with the monitor: when the calls end, whoever is there tells it.
#[derive(Debug, Default)]
struct Handle {
    fails: bool,
}

impl Handle {
    async fn hold(&mut self, desk: &Desk, caller: &Caller) {
        let Some(url) = &desk.config.alert.dead_man else { return };
        // A monitor that cannot write is not well.
        if desk.journal.fault().is_some() {
            return;
        }
        let failed = match caller.get(url.expose(), HANDLE_WITHIN).await {
            Ok(status) if status.is_success() => None,
            Ok(status) => Some(format!("status {status}")),
            Err(why) => Some(why),
        };
        if let Some(why) = failed.as_ref().filter(|_| !self.fails) {
            tracing::warn!("alert.dead_man cannot be called: {why}");
        }
        self.fails = failed.is_some();
    }
}
