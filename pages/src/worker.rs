//! One worker, as tables and its page show it.

use askama::filters::Safe;
use switchboard_alert::letter::lasting;
use switchboard_fleet::report::{WorkerKind, WorkerState};

use crate::{health::Health, moment, numbers, text::shown, url};

/// What is known of one worker.
#[derive(Debug, Clone, PartialEq)]
pub struct Worker {
    /// Its name, as it reports it.
    pub name: String,
    /// What it is.
    pub kind: WorkerKind,
    /// How it is.
    pub health: Health,
    /// When a report of it last came in, ms since 1970.
    pub heard_ms: Option<u64>,
    /// When it said that it stops, if that was the last thing it said, ms since 1970.
    pub stopping_ms: Option<u64>,
    /// The share of a core that it used over the last minutes, above 1 on several cores.
    pub cpu: Option<f64>,
    /// Its newest state.
    pub state: Option<WorkerState>,
    /// Reports taken, of all lives that are remembered.
    pub taken: u64,
    /// Reports missing among them.
    pub missing: u64,
    /// Until when nothing is written about it, ms since 1970; `None`: it is not silenced.
    pub silenced_until_ms: Option<u64>,
}

impl Worker {
    pub(crate) fn address(&self) -> String {
        url::worker(&self.name)
    }

    pub(crate) fn shown(&self) -> String {
        shown(&self.name)
    }

    /// Its name within the table of its server, which need not be said again.
    pub(crate) fn short(&self, server: &str) -> String {
        let rest = self.name.strip_prefix(server).and_then(|rest| rest.strip_prefix('/'));
        match (self.kind, rest) {
            (WorkerKind::Instance, Some(rest)) => format!("Instance {}", shown(rest)),
            (WorkerKind::Front, Some("front")) => "Front".into(),
            (WorkerKind::Controller, Some("controller")) => "Controller".into(),
            (WorkerKind::Monitor, Some("monitor")) => "Monitor".into(),
            (_, Some(rest)) => shown(rest),
            (_, None) => self.shown(),
        }
    }

    pub(crate) fn kind_words(&self) -> &'static str {
        match self.kind {
            WorkerKind::Instance => "instance",
            WorkerKind::Front => "front",
            WorkerKind::Controller => "controller",
            WorkerKind::Monitor => "monitor",
            WorkerKind::Program => "program",
        }
    }

    pub(crate) fn cpu_words(&self) -> String {
        self.cpu.map_or("–".into(), |share| numbers::percent(&share))
    }

    pub(crate) fn memory_words(&self) -> String {
        self.state.as_ref().map_or("–".into(), |state| numbers::memory(&state.rss_bytes))
    }

    /// How long it has been up; what was when it was last heard says nothing of one that is not.
    pub(crate) fn uptime_words(&self) -> String {
        let up = self.health.is_up() || self.health == Health::Unknown;
        let state = self.state.as_ref().filter(|_| up);
        state.map_or("–".into(), |state| lasting(state.uptime_s.saturating_mul(1000)))
    }

    pub(crate) fn version_words(&self) -> String {
        self.told(|state| &state.version)
    }

    pub(crate) fn host_words(&self) -> String {
        self.told(|state| &state.host)
    }

    pub(crate) fn listens_words(&self) -> String {
        self.told(|state| &state.address)
    }

    fn told(&self, part: impl Fn(&WorkerState) -> &String) -> String {
        self.state.as_ref().map(part).filter(|text| !text.is_empty()).map_or("–".into(), |text| shown(text))
    }

    pub(crate) fn heard(&self, now_ms: &u64) -> Safe<String> {
        self.heard_ms.map_or(Safe("never".into()), |at| moment::since(now_ms, &at))
    }

    pub(crate) fn lost_words(&self) -> String {
        format!("{} lost", numbers::thousands(self.missing as f64))
    }

    pub(crate) fn taken_words(&self) -> String {
        numbers::thousands(self.taken as f64)
    }
}
