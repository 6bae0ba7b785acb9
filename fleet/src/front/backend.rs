use serde::{Deserialize, Serialize};

/// One backend: an address that nginx sends requests to. Counts are since nginx began to count; they outlive its reloads.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Backend {
    /// `ADDRESS:PORT`, or a socket's path.
    pub address: String,
    /// The name in nginx's configuration from which the address comes.
    pub server: String,
    /// It gets requests only when no other can take them.
    pub backup: bool,
    /// How it is.
    pub state: BackendState,
    /// Since when, ms since 1970.
    pub since_ms: Option<u64>,
    /// Why it is so, in a sentence.
    pub why: Option<String>,
    /// Until when at least: an ejection, or a switch with an end, ms since 1970.
    pub until_ms: Option<u64>,
    /// Its part of the weight that an operator left to it, in percent.
    pub weight: u32,
    /// The part of that which it has now, in percent: less while it is out or comes back.
    pub share: u32,
    /// Its part of the upstream's requests within the last minute, from 0 to 1.
    pub traffic: f64,
    /// Requests a second, within the last minute.
    pub per_second: f64,
    /// The part of its requests that failed within the last minute, from 0 to 1.
    pub failed: f64,
    /// Whether nginx counts it. False: there is no module, or no room in its memory; then all counts are 0.
    pub counted: bool,
    /// Requests that began.
    pub requests: u64,
    /// Requests under way.
    pub in_flight: u64,
    /// Answers by status.
    pub answers: Answers,
    /// Connections refused or unreachable.
    pub connect_errors: u64,
    /// No connection in time.
    pub connect_timeouts: u64,
    /// No answer, or no more of it, in time.
    pub read_timeouts: u64,
    /// Took the request too slowly.
    pub write_timeouts: u64,
    /// Closed without an answer.
    pub no_answer: u64,
    /// Answers that were no HTTP.
    pub bad_answer: u64,
    /// Answers that broke off in their body.
    pub cut: u64,
    /// Kept connections that had been closed meanwhile; no failures.
    pub stale: u64,
    /// Bytes sent to it.
    pub bytes_sent: u64,
    /// Bytes received from it.
    pub bytes_received: u64,
    /// Times since nginx began to count.
    pub times: Times,
    /// Response times within the last five minutes.
    pub recent: Spread,
    /// Failures as nginx itself counts them for `max_fails`.
    pub fails: u64,
    /// After so many nginx itself takes it out; 0: never, as the controller does that.
    pub max_fails: u64,
    /// For so long, and within so long, in s.
    pub fail_timeout_s: u64,
    /// Open connections to it.
    pub connections: u64,
    /// The last failure.
    pub last_failure: Option<Failed>,
    /// The last active check.
    pub check: Option<Checked>,
    /// What an operator made of it.
    pub switch: Option<Switched>,
}

/// How a backend is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BackendState {
    /// In full service.
    #[default]
    Up,
    /// It is new, or back; its share grows.
    SlowStart,
    /// Taken out by the rules of health.
    Ejected,
    /// nginx itself has taken it out for a while (`max_fails`).
    Unavailable,
    /// An operator lets it run dry.
    Draining,
    /// An operator switched it off.
    Off,
    /// nginx's configuration has it off (`down`).
    Down,
    /// It said that it leaves, or it is no instance any more.
    Left,
}

impl BackendState {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Up,
        Self::SlowStart,
        Self::Ejected,
        Self::Unavailable,
        Self::Draining,
        Self::Off,
        Self::Down,
        Self::Left,
    ];

    /// Its word, as in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::SlowStart => "slow-start",
            Self::Ejected => "ejected",
            Self::Unavailable => "unavailable",
            Self::Draining => "draining",
            Self::Off => "off",
            Self::Down => "down",
            Self::Left => "left",
        }
    }

    /// Whether nginx sends it requests that any backend may answer.
    pub fn serves(self) -> bool {
        matches!(self, Self::Up | Self::SlowStart)
    }
}

/// Answers by status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Answers {
    /// By class: 1xx to 5xx.
    pub classes: [u64; 5],
    /// 499 in nginx's words: the caller went away before an answer.
    pub client_closed: u64,
    /// Of the fifth class: 500.
    pub internal_error: u64,
    /// 502.
    pub bad_gateway: u64,
    /// 503.
    pub unavailable: u64,
    /// 504.
    pub gateway_timeout: u64,
}

/// Times of requests.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Times {
    /// Until connected.
    pub connect: Spread,
    /// Until the head of the answer.
    pub header: Spread,
    /// Until the end of the answer.
    pub response: Spread,
}

/// How times are spread, in ms. Quantiles are the upper bounds of buckets, so never too small.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Spread {
    /// How many there are.
    pub count: u64,
    /// Their mean; `None` without any.
    pub mean_ms: Option<f64>,
    /// Half of them took no longer.
    pub p50_ms: Option<u64>,
    /// 99 of 100 took no longer.
    pub p99_ms: Option<u64>,
}

/// A failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// When, ms since 1970.
    pub at_ms: u64,
    /// Why.
    pub why: String,
}

/// An active check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// When, ms since 1970.
    pub at_ms: u64,
    /// How long it took, in ms.
    pub ms: u64,
    /// Why it was not good; `None`: it was.
    pub fault: Option<String>,
}

/// What an operator made of a backend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switched {
    /// Who.
    pub who: String,
    /// Why; may be empty.
    pub why: String,
    /// When, ms since 1970.
    pub at_ms: u64,
    /// When it ends by itself, ms since 1970.
    pub until_ms: Option<u64>,
}
