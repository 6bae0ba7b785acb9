//! The program's log as `tracing` sees it.

use std::fmt::Debug;

use serde_json::{Map, Value};
use switchboard_fleet::report::{Level, LogLine};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

use crate::reporter::{Reporter, is_own_thread};

/// Most bytes of one field's text.
const TEXT_MAX: usize = 4 << 10;
/// Most fields of one line.
const FIELDS_MAX: usize = 64;

/// Reports what is logged as ERROR, WARN or INFO: the message as message, the target and the other fields as data. Made by
/// [`Reporter::layer`].
#[derive(Debug)]
pub struct ReportLayer {
    reporter: Reporter,
}

impl ReportLayer {
    pub(crate) fn new(reporter: Reporter) -> Self {
        Self { reporter }
    }
}

impl<S: Subscriber> Layer<S> for ReportLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let Some(level) = level(*event.metadata().level()) else { return };
        if is_own_thread() {
            return;
        }
        let mut fields = Fields::default();
        fields.data.insert("target".to_owned(), event.metadata().target().into());
        event.record(&mut fields);
        self.reporter.log(LogLine { level, message: fields.message, data: fields.data });
    }
}

fn level(level: tracing::Level) -> Option<Level> {
    match level {
        tracing::Level::ERROR => Some(Level::Error),
        tracing::Level::WARN => Some(Level::Warning),
        tracing::Level::INFO => Some(Level::Info),
        _ => None,
    }
}

#[derive(Debug, Default)]
struct Fields {
    message: String,
    data: Map<String, Value>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: impl Into<Value>) {
        if self.data.len() < FIELDS_MAX {
            self.data.insert(field.name().to_owned(), value.into());
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let text = bounded(value);
        if field.name() == "message" {
            self.message = text;
        } else {
            self.add(field, text);
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value);
    }
}

/// A value's text, as far as there is room. What is longer is not even written.
fn bounded(value: &dyn Debug) -> String {
    struct Bounded(String);
    impl std::fmt::Write for Bounded {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            let room = TEXT_MAX - self.0.len();
            let end =
                (0..=room.min(text.len())).rev().find(|&end| text.is_char_boundary(end)).unwrap_or_default();
            self.0.push_str(&text[..end]);
            if end < text.len() { Err(std::fmt::Error) } else { Ok(()) }
        }
    }
    let mut text = Bounded(String::new());
    // What stops it is the end of the room.
    let _ = std::fmt::Write::write_fmt(&mut text, format_args!("{value:?}"));
    text.0
}

#[cfg(test)]
#[path = "layer_tests.rs"]
mod tests;
