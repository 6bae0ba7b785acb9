//! What the controller says: to the monitor as its log, or to its own log if it reports to nobody.

use serde_json::{Map, Value, json};
use switchboard_fleet::{
    front::Happened,
    report::{Level, LogLine},
};
use switchboard_worker::Reporter;

/// Says lines, and what is wrong at present.
#[derive(Debug, Clone)]
pub(crate) struct Voice(pub(crate) Option<Reporter>);

impl Voice {
    /// A line.
    pub(crate) fn say(&self, level: Level, message: String, data: Map<String, Value>) {
        match &self.0 {
            Some(reporter) => reporter.log(LogLine { level, message, data }),
            None if level >= Level::Warning => tracing::warn!("{message}"),
            None => tracing::info!("{message}"),
        }
    }

    /// Something that happened.
    pub(crate) fn happened(&self, happened: &Happened) {
        let level = match happened.what.as_str() {
            "panic" => Level::Error,
            "ejected" | "would-eject" | "slow" | "refused" => Level::Warning,
            "up" | "panic-ended" => Level::Success,
            _ => Level::Info,
        };
        let subject = happened.place.as_ref().map_or("the front", |place| &place.backend);
        let data = json!({ "place": happened.place, "what": happened.what, "who": happened.who });
        let data = if let Value::Object(data) = data { data } else { Map::new() };
        let message = match &happened.who {
            Some(who) => format!("{who}: {}", happened.why),
            None => format!("{subject}: {}: {}", happened.what, happened.why),
        };
        self.say(level, message, data);
    }

    /// What is wrong from now on; nothing, if there is none.
    pub(crate) fn wrong(&self, wrong: &[String]) {
        if let Some(reporter) = &self.0 {
            reporter.wrong(wrong.to_vec());
        }
    }
}
