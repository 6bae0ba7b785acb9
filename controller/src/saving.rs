//! When what must not be forgotten is written, and what is said if it cannot be.

use std::time::Duration;

use serde_json::{Map, Value};
use switchboard_fleet::{
    config::Config,
    front::{Place, Switched},
    report::Level,
};
use switchboard_nginx::{Switch, Switches as NginxSwitches, backend};
use tokio::time::Instant;

use crate::{
    controller::Controller,
    kept::{Kept, write},
    switches::{Mark, Setting},
};

/// What health knows is written so often.
const SAVE_EVERY: Duration = Duration::from_secs(10);

impl Controller {
    /// Writes the state if it is due.
    pub(crate) async fn save_if_due(&mut self) {
        if self.dirty || self.saved.elapsed() >= SAVE_EVERY {
            self.save_state().await;
        }
    }

    /// Writes the state; durable if that is true.
    pub(crate) async fn save_state(&mut self) -> bool {
        self.saved = Instant::now();
        self.kept.healths.clone_from(&self.rules.healths);
        let written = match self.store.prepare(&self.kept) {
            Ok((path, text)) => blocking(move || write(&path, &text)).await,
            Err(error) => Err(error),
        };
        self.dirty = written.is_err();
        self.note_failure("state", "the controller's state could not be written", written)
    }

    /// Adds a line to the record of switches; it is on disk if that is true.
    pub(crate) async fn record(&mut self, line: Value) -> bool {
        let audit = self.audit.clone();
        let written = blocking(move || audit.add(&line)).await;
        self.note_failure("audit", "the record of switches could not be written", written)
    }

    pub(crate) fn note_failure(
        &mut self,
        what: &'static str,
        text: &str,
        result: std::io::Result<()>,
    ) -> bool {
        match result {
            Ok(()) => {
                self.failed.remove(what);
                true
            }
            Err(error) => {
                let text = format!("{text}: {}: {error}", self.config.front_dir().display());
                if self.failed.insert(what, text.clone()).is_none() {
                    self.voice.say(Level::Error, text, Map::new());
                }
                false
            }
        }
    }
}

pub(crate) async fn blocking(
    work: impl FnOnce() -> std::io::Result<()> + Send + 'static,
) -> std::io::Result<()> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(std::io::Error::other(error)))
}

/// The switches that nginx's files kept before there was a controller.
pub(crate) fn adopted(config: &Config, switches: &NginxSwitches, now_ms: u64) -> Kept {
    let mut kept = Kept::default();
    for port in &config.instances {
        let found = switches.setting(*port);
        let by = || Switched {
            who: "switchboard front".into(),
            why: "before the controller's first start".into(),
            at_ms: now_ms,
            until_ms: None,
        };
        let setting = Setting {
            state: (found.switch != Switch::On).then(|| Mark { is: Some(found.switch), by: by() }),
            weight: (found.weight_percent < 100)
                .then(|| Mark { is: Some(found.weight_percent.max(1).into()), by: by() }),
        };
        let address = backend(config, *port).to_string();
        kept.switches.put(&Place { upstream: switchboard_nginx::UPSTREAM.into(), backend: address }, setting);
    }
    kept
}
