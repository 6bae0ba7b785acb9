//! How Prometheus' text is written.

use std::fmt::Write;

use switchboard_fleet::front::{Backend, BackendState, Spread, Table, Upstream};

pub(super) type Number = fn(&Backend) -> f64;
pub(super) type SpreadOf = fn(&Backend) -> Spread;

/// A backend and where it belongs.
pub(super) struct Of<'a> {
    pub(super) table: &'a Table,
    pub(super) upstream: &'a Upstream,
    pub(super) backend: &'a Backend,
}

impl Of<'_> {
    pub(super) fn labels(&self) -> [(&str, &str); 3] {
        [("front", &self.table.front), ("upstream", &self.upstream.name), ("backend", &self.backend.address)]
    }
}

pub(super) fn flag(is: bool) -> f64 {
    f64::from(u8::from(is))
}

/// What is written, a family after another.
#[derive(Default)]
pub(super) struct Exposition {
    pub(super) out: String,
}

impl Exposition {
    pub(super) fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a String does not fail.
        let _ = writeln!(self.out, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    pub(super) fn line(&mut self, name: &str, labels: &[(&str, &str)], value: Option<f64>) {
        let Some(value) = value.filter(|value| value.is_finite()) else { return };
        self.out.push_str(name);
        let mut before = '{';
        for (key, value) in labels {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.out, "{before}{key}=\"{value}\"");
            before = ',';
        }
        let _ = writeln!(self.out, "}} {value}");
    }

    pub(super) fn split(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        parts: &[(&str, Number)],
        all: &[&Of],
    ) {
        self.family(name, "counter", help);
        for of in all {
            let [front, upstream, backend] = of.labels();
            for (word, value) in parts {
                self.line(name, &[front, upstream, backend, (label, word)], Some(value(of.backend)));
            }
        }
    }

    pub(super) fn summary(&mut self, name: &str, help: &str, spread: SpreadOf, all: &[&Of]) {
        self.family(name, "summary", help);
        for of in all {
            let [front, upstream, backend] = of.labels();
            let spread = spread(of.backend);
            for (quantile, ms) in [("0.5", spread.p50_ms), ("0.99", spread.p99_ms)] {
                let seconds = ms.map(|ms| ms as f64 / 1000.0);
                self.line(name, &[front, upstream, backend, ("quantile", quantile)], seconds);
            }
            let sum_ms = spread.mean_ms.unwrap_or(0.0) * spread.count as f64;
            self.line(&format!("{name}_sum"), &of.labels(), Some(sum_ms / 1000.0));
            self.line(&format!("{name}_count"), &of.labels(), Some(spread.count as f64));
        }
    }

    pub(super) fn recent(&mut self, all: &[&Of]) {
        let name = "switchboard_backend_recent_response_seconds";
        self.family(name, "gauge", "Until the end of the answer, within the last five minutes.");
        for of in all {
            let [front, upstream, backend] = of.labels();
            for (quantile, ms) in [("0.5", of.backend.recent.p50_ms), ("0.99", of.backend.recent.p99_ms)] {
                self.line(
                    name,
                    &[front, upstream, backend, ("quantile", quantile)],
                    ms.map(|ms| ms as f64 / 1000.0),
                );
            }
        }
    }

    pub(super) fn states(&mut self, all: &[Of]) {
        let name = "switchboard_backend_state";
        self.family(name, "gauge", "1 for the state that the backend is in, 0 for the others.");
        for of in all {
            let [front, upstream, backend] = of.labels();
            for state in BackendState::ALL {
                let value = flag(of.backend.state == state);
                self.line(name, &[front, upstream, backend, ("state", state.word())], Some(value));
            }
        }
    }
}
