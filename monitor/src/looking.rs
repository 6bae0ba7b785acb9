//! The look at the fleet that is taken every minute or more often: rules, letters, and the dead man's handle.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use futures_util::future::join_all;
use switchboard_alert::rules::{Change, Event, Kind, Reach};
use switchboard_journal::{Letter, Step};
use switchboard_pages::Scope;
use tokio::{
    task::spawn_blocking,
    time::{Instant, MissedTickBehavior, interval_at, timeout_at},
};

use crate::{caller::Caller, charting, clock::now_ms, desk::Desk, reach};

/// Letters wait so long for their charts.
const CHARTS_WITHIN: Duration = Duration::from_secs(10);
/// Two calls of the dead man's handle are nearly a minute apart: looks may be a little early.
const HELD_APART: Duration = Duration::from_secs(55);
/// The dead man's handle must take the call within this.
const HANDLE_WITHIN: Duration = Duration::from_secs(10);

/// Looks for ever. `own` is the monitor's own address as a URL.
pub(crate) async fn forever(desk: Arc<Desk>, caller: Caller, own: String) {
    let every = Duration::from_millis(desk.rules.soon_ms().max(1000));
    let mut ticks = interval_at(Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut handle = Handle::default();
    // Those of an earlier life that ended before they were in the outbox.
    post_all(&desk).await;
    loop {
        ticks.tick().await;
        match look(&desk, &caller, &own).await {
            Ok(reach) => {
                post_all(&desk).await;
                handle.hold(&desk, &caller, reach).await;
            }
            Err(error) => tracing::error!("this look at the fleet is repeated: {error:#}"),
        }
    }
}

/// Looks once. What is found, and the letters that tell it, are written down together, or not at all: then the next look finds anew.
async fn look(desk: &Desk, caller: &Caller, own: &str) -> anyhow::Result<Reach> {
    let reach = reach::look(desk, caller, own).await;
    let views = desk.roster().views(&desk.watched, &desk.archives.problems());
    let mut alerts = desk.alerts.lock().await;
    let mut after = alerts.clone();
    let events = after.look(&desk.rules, now_ms(), &views, reach);
    let letters = letters(desk, &events).await?;
    let steps = events.iter().map(step).collect::<Result<_, _>>()?;
    let text = serde_json::to_string(&after)?;
    desk.journal.remember(text, steps, letters).await.context("incidents cannot be noted")?;
    desk.publish(&after);
    *alerts = after;
    drop(alerts);
    events.iter().for_each(tell);
    if !events.is_empty() {
        desk.changed();
    }
    Ok(reach)
}

/// Writes the letters of these events. Their charts are drawn meanwhile, and all of them have the same time.
async fn letters(desk: &Desk, events: &[Event]) -> anyhow::Result<Vec<Letter>> {
    let told = |event: &&Event| event.letter.is_some() && !desk.config.alert.to.is_empty();
    let until = Instant::now() + CHARTS_WITHIN;
    let written = events.iter().filter(told).map(async |event| {
        let chart = timeout_at(until, charting::for_letter(desk, event)).await.ok().flatten();
        desk.writer.write(event, chart.as_ref().map(|picture| &picture.bytes[..]))
    });
    let mut letters = Vec::new();
    for letter in join_all(written).await {
        let letter = letter?.map(|l| Letter { name: l.name, from: l.from, to: l.to, message: l.message });
        letters.extend(letter);
    }
    Ok(letters)
}

/// Puts the letters that are written down into the outbox. One that is there already stays as it is.
async fn post_all(desk: &Desk) {
    let post = async || -> anyhow::Result<()> {
        for letter in desk.journal.letters().await? {
            let Letter { name, from, to, message } = letter;
            let (outbox, posted) = (desk.outbox.clone(), name.clone());
            let letter = switchboard_alert::letter::Letter { name, from, to, message };
            spawn_blocking(move || outbox.put(&letter, now_ms()))
                .await?
                .context("a letter cannot be kept")?;
            desk.letters.notify_one();
            desk.journal.posted(&posted).await?;
        }
        Ok(())
    };
    if let Err(error) = post().await {
        tracing::error!("letters wait in the journal: {error:#}");
    }
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
        Kind::Down | Kind::Unheard | Kind::Panic | Kind::Trouble | Kind::Archive => "t_completed.1h.png",
    }
}

/// An address outside that is called as long as all is well with the monitor: when the calls end, whoever is there tells it.
#[derive(Debug, Default)]
struct Handle {
    held: Option<Instant>,
    fails: bool,
}

impl Handle {
    /// Calls it, once a minute at most. Not by a monitor that cannot write, does not answer, or whose letters do not leave.
    async fn hold(&mut self, desk: &Desk, caller: &Caller, reach: Reach) {
        let Some(url) = &desk.config.alert.dead_man else { return };
        let is_well = desk.journal.fault().is_none() && desk.mail_fault().is_none() && reach.own;
        if !is_well || self.held.is_some_and(|held| held.elapsed() < HELD_APART) {
            return;
        }
        self.held = Some(Instant::now());
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
