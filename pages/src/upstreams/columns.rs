//! The columns of a table of backends: what HAProxy's page shows, as far as it is there.

use switchboard_fleet::front::{Backend, Spread};

/// One column.
pub(crate) struct Column {
    /// Its word in an address.
    pub(crate) key: &'static str,
    /// The columns it stands among.
    pub(crate) group: &'static str,
    /// What is written over it.
    pub(crate) head: &'static str,
    /// What it is, in full.
    pub(crate) title: &'static str,
    pub(super) value: Value,
}

/// What of a backend it shows.
#[derive(Clone, Copy)]
pub(super) enum Value {
    /// A number of something.
    Count(fn(&Backend) -> u64),
    /// A number of something that should not be.
    Trouble(fn(&Backend) -> u64),
    /// Bytes.
    Bytes(fn(&Backend) -> u64),
    /// Percent, of which 100 is usual.
    Percent(fn(&Backend) -> u32),
    /// A part of a whole that all together make.
    Part(fn(&Backend) -> f64),
    /// A part of its requests that should be none.
    Failed(fn(&Backend) -> f64),
    /// A second.
    Rate(fn(&Backend) -> f64),
    /// The mean of times.
    Mean(fn(&Backend) -> Spread),
    /// A quantile of times.
    Quantile(fn(&Backend) -> Option<u64>),
}

use Value::{Bytes, Count, Failed, Mean, Part, Percent, Quantile, Rate, Trouble};

const fn column(
    group: &'static str,
    key: &'static str,
    head: &'static str,
    title: &'static str,
    value: Value,
) -> Column {
    Column { key, group, head, title, value }
}

const NOW: &str = "Now";
const ANSWERS: &str = "Answers";
const STATUSES: &str = "Statuses";
const TIMEOUTS: &str = "Timeouts";
const BROKEN: &str = "Broken";
const BYTES: &str = "Bytes";
const TIMES: &str = "Times in ms";

/// All of them, in order.
pub(crate) const ALL: [Column; 37] = [
    column(NOW, "weight", "Weight", "Part of its weight that operators left to it", Percent(|b| b.weight)),
    column(NOW, "share", "Share", "Part of that weight which it has now", Percent(|b| b.share)),
    column(NOW, "traffic", "Traffic", "Part of the upstream's requests, last minute", Part(|b| b.traffic)),
    column(NOW, "per_second", "Req/s", "Requests a second, last minute", Rate(|b| b.per_second)),
    column(NOW, "in_flight", "In flight", "Requests under way", Count(|b| b.in_flight)),
    column(NOW, "failed", "Failed", "Part of its requests that failed, last minute", Failed(|b| b.failed)),
    column("All", "requests", "Requests", "Requests since nginx began to count", Count(|b| b.requests)),
    column(ANSWERS, "1xx", "1xx", "Answers 100 to 199", Count(|b| b.answers.classes[0])),
    column(ANSWERS, "2xx", "2xx", "Answers 200 to 299", Count(|b| b.answers.classes[1])),
    column(ANSWERS, "3xx", "3xx", "Answers 300 to 399", Count(|b| b.answers.classes[2])),
    column(ANSWERS, "4xx", "4xx", "Answers 400 to 499", Count(|b| b.answers.classes[3])),
    column(ANSWERS, "5xx", "5xx", "Answers 500 to 599", Trouble(|b| b.answers.classes[4])),
    column(
        STATUSES,
        "499",
        "499",
        "The caller went away before an answer",
        Count(|b| b.answers.client_closed),
    ),
    column(STATUSES, "500", "500", "Answers 500", Trouble(|b| b.answers.internal_error)),
    column(STATUSES, "502", "502", "Answers 502", Trouble(|b| b.answers.bad_gateway)),
    column(STATUSES, "503", "503", "Answers 503", Trouble(|b| b.answers.unavailable)),
    column(STATUSES, "504", "504", "Answers 504", Trouble(|b| b.answers.gateway_timeout)),
    column(TIMEOUTS, "connect_timeouts", "Connect", "No connection in time", Trouble(|b| b.connect_timeouts)),
    column(
        TIMEOUTS,
        "read_timeouts",
        "Read",
        "No answer, or no more of it, in time",
        Trouble(|b| b.read_timeouts),
    ),
    column(TIMEOUTS, "write_timeouts", "Write", "Took the request too slowly", Trouble(|b| b.write_timeouts)),
    column(
        BROKEN,
        "connect_errors",
        "Refused",
        "Connections refused or unreachable",
        Trouble(|b| b.connect_errors),
    ),
    column(BROKEN, "no_answer", "No answer", "Closed without an answer", Trouble(|b| b.no_answer)),
    column(BROKEN, "bad_answer", "Bad", "Answers that were no HTTP", Trouble(|b| b.bad_answer)),
    column(BROKEN, "cut", "Cut", "Answers that broke off in their body", Trouble(|b| b.cut)),
    column(BROKEN, "stale", "Stale", "Kept connections closed meanwhile; no failures", Count(|b| b.stale)),
    column(BYTES, "bytes_sent", "Sent", "Bytes sent to it", Bytes(|b| b.bytes_sent)),
    column(BYTES, "bytes_received", "Received", "Bytes received from it", Bytes(|b| b.bytes_received)),
    column(TIMES, "connect_mean", "Connect", "Until connected, mean", Mean(|b| b.times.connect)),
    column(
        TIMES,
        "header_p50",
        "Head p50",
        "Until the answer's head, half took no longer",
        Quantile(|b| b.times.header.p50_ms),
    ),
    column(
        TIMES,
        "header_p99",
        "p99",
        "Until the answer's head, 99 of 100 took no longer",
        Quantile(|b| b.times.header.p99_ms),
    ),
    column(TIMES, "response_mean", "Whole", "Until the answer's end, mean", Mean(|b| b.times.response)),
    column(
        TIMES,
        "response_p50",
        "p50",
        "Until the answer's end, half took no longer",
        Quantile(|b| b.times.response.p50_ms),
    ),
    column(
        TIMES,
        "response_p99",
        "p99",
        "Until the answer's end, 99 of 100 took no longer",
        Quantile(|b| b.times.response.p99_ms),
    ),
    column(
        TIMES,
        "recent_p50",
        "5 min p50",
        "The same within five minutes, half took no longer",
        Quantile(|b| b.recent.p50_ms),
    ),
    column(
        TIMES,
        "recent_p99",
        "p99",
        "The same within five minutes, 99 of 100 took no longer",
        Quantile(|b| b.recent.p99_ms),
    ),
    column("nginx", "connections", "Open", "Open connections to it", Count(|b| b.connections)),
    column("nginx", "fails", "Fails", "Failures as nginx counts them for max_fails", Trouble(|b| b.fails)),
];

/// The words of all columns in an address.
pub(crate) fn keys() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|column| column.key)
}

/// Groups in order, with how many columns each has.
pub(crate) fn groups() -> Vec<(&'static str, usize)> {
    let mut groups: Vec<(&'static str, usize)> = Vec::new();
    for column in &ALL {
        match groups.last_mut() {
            Some((name, columns)) if *name == column.group => *columns += 1,
            _ => groups.push((column.group, 1)),
        }
    }
    // nginx's own limit is text and stands beside its numbers.
    if let Some((_, columns)) = groups.last_mut() {
        *columns += 1;
    }
    groups
}

impl Column {
    /// Whether it is the first of its group.
    pub(crate) fn leads(&self) -> bool {
        let first = ALL.iter().find(|column| column.group == self.group);
        first.is_some_and(|first| first.key == self.key)
    }

    /// What it is called where nothing stands over it.
    pub(crate) fn label(&self) -> String {
        match (self.group, self.key) {
            (TIMEOUTS, _) => format!("{} timeouts", self.head),
            (TIMES, key) => capital(&format!("{} ms", key.replace('_', " "))),
            (BROKEN, key) => capital(&key.replace('_', " ")),
            ("nginx", "connections") => "Connections".into(),
            _ => self.head.into(),
        }
    }
}

fn capital(text: &str) -> String {
    let mut rest = text.chars();
    rest.next().map_or(String::new(), |first| first.to_uppercase().chain(rest).collect())
}
