//! What a configuration must be beyond its types: a pure function of it.

use std::collections::HashSet;

use http::Uri;

use super::{Config, Health, Limits, Retry, path::KeyPath, ports};
use crate::{front::Order, report::Batch};

/// Most instances of one server.
const INSTANCES_MAX: usize = 1000;
/// The sizes of charts.
const CHART_SIZES: [&str; 3] = ["S", "M", "L"];
/// The periods of charts.
const CHART_PERIODS: [&str; 8] = ["1h", "3h", "6h", "12h", "1day", "3day", "7day", "1m"];

/// The longest time for which the monitor keeps what it keeps for a time: a century.
const KEEP_DAYS_MAX: u64 = 36_525;

/// A rule that is not kept.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Breach {
    /// The keys it is about; the fault is told at the first.
    pub(super) keys: Vec<KeyPath>,
    /// What is wrong and what would be right.
    pub(super) message: String,
}

impl Breach {
    pub(super) fn new(keys: impl IntoIterator<Item = KeyPath>, message: String) -> Self {
        Self { keys: keys.into_iter().collect(), message }
    }

    fn at(key: &str, message: String) -> Self {
        Self::new([KeyPath::from(key)], message)
    }
}

/// Every rule that `config` does not keep.
pub(super) fn breaches(config: &Config) -> Vec<Breach> {
    let mut found = instances(config);
    found.extend(servers(config));
    found.extend(master(config));
    found.extend(times(config));
    found.extend(limits(&config.limits));
    found.extend(shares(config));
    found.extend(charts(config));
    found.extend(addresses(config));
    found.extend(workers(config));
    found.extend(front(config));
    found.extend(health(config));
    found.extend(admins(config));
    found.extend(ports::breaches(config));
    found
}

fn instances(config: &Config) -> Vec<Breach> {
    let key = KeyPath::from("instances");
    let mut found = Vec::new();
    match config.instances.len() {
        0 => found.push(Breach::at("instances", "empty: a server has at least one instance".into())),
        count if count > INSTANCES_MAX => {
            let message = format!("{count} instances: expected at most {INSTANCES_MAX} on one server");
            found.push(Breach::at("instances", message));
        }
        _ => {}
    }
    let mut seen = HashSet::new();
    for (index, port) in config.instances.iter().enumerate() {
        if !seen.insert(port) {
            found.push(Breach::new([key.item(index)], format!("{port} stands here twice")));
        }
    }
    found
}

fn servers(config: &Config) -> Vec<Breach> {
    let key = KeyPath::from("servers");
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    for (index, server) in config.servers.iter().enumerate() {
        if !seen.insert(server) {
            found.push(Breach::new([key.item(index)], format!("{server} stands here twice")));
        }
        if *server == config.server {
            let message = format!("{server} is this server itself: name only the others");
            found.push(Breach::new([key.item(index), "server".into()], message));
        }
    }
    found
}

fn master(config: &Config) -> Vec<Breach> {
    let master = &config.master;
    if master.server == config.server {
        if config.instances.contains(&master.port) {
            return Vec::new();
        }
        let keys = ["master.port", "instances", "server", "master.server"].map(KeyPath::from);
        let message = format!("{} is none of this server's instances", master.port);
        return vec![Breach::new(keys, message)];
    }
    let mut found = Vec::new();
    if !config.servers.contains(&master.server) {
        let keys = ["master.server", "servers", "server"].map(KeyPath::from);
        let message =
            format!("{} is neither this server nor one of `servers`: nobody could reach it", master.server);
        found.push(Breach::new(keys, message));
    }
    if master.port == 0 {
        found.push(Breach::at("master.port", "0 is no port: expected 1 to 65535".into()));
    }
    found
}

fn times(config: &Config) -> Vec<Breach> {
    let t = &config.timeouts;
    let times = [
        ("timeouts.agent", t.agent),
        ("timeouts.client", t.client),
        ("timeouts.no_reply", t.no_reply),
        ("timeouts.head", t.head),
        ("timeouts.idle", t.idle),
        ("timeouts.stall", t.stall),
        ("timeouts.lookup", t.lookup),
        ("stats.period", config.stats.period),
    ];
    let zero = times.into_iter().filter(|(_, time)| time.get().is_zero());
    zero.map(|(key, _)| Breach::at(key, "0 is no time: expected more than 0 seconds".into())).collect()
}

fn limits(limits: &Limits) -> Vec<Breach> {
    let ranges = [
        ("limits.body_bytes", limits.body_bytes, 1, u64::MAX),
        ("limits.header_bytes", limits.header_bytes as u64, 1024, 65_536),
        ("limits.headers", limits.headers as u64, 16, 256),
        ("limits.buffer_bytes", limits.buffer_bytes as u64, 8192, 16 << 20),
        ("limits.buffered_bytes", limits.buffered_bytes as u64, 1 << 20, 1 << 40),
        ("limits.connections", limits.connections as u64, 16, u64::MAX),
        ("limits.parked_per_id", limits.parked_per_id as u64, 1, u64::MAX),
        ("limits.waiting_per_id", limits.waiting_per_id as u64, 1, u64::MAX),
        ("limits.max_instance_failed", limits.max_instance_failed.into(), 1, u64::MAX),
        ("limits.locations", limits.locations as u64, 1000, u64::MAX),
    ];
    ranges.into_iter().filter_map(|(key, value, min, max)| outside(key, value, min, max)).collect()
}

fn outside(key: &str, value: u64, min: u64, max: u64) -> Option<Breach> {
    let expected = if max == u64::MAX { format!("{min} or more") } else { format!("{min} to {max}") };
    let fits = (min..=max).contains(&value);
    (!fits).then(|| Breach::at(key, format!("{value} is out of bounds: expected {expected}")))
}

fn shares(config: &Config) -> Vec<Breach> {
    let mut found: Vec<Breach> =
        outside("range.size", config.range.size, 1, 1_000_000_000).into_iter().collect();
    found.extend(outside("range.size_max", config.range.size_max, config.range.size, 1_000_000_000));
    let refill_below = config.range.refill_below;
    if !(0.0..1.0).contains(&refill_below) {
        let message = format!("{refill_below} is out of bounds: expected 0 or more, and less than 1");
        found.push(Breach::at("range.refill_below", message));
    }
    found.extend(outside("alert.down_after", config.alert.down_after.get().as_secs(), 10, 86_400));
    found.extend(outside("monitor.keep_days", config.monitor.keep_days.into(), 0, KEEP_DAYS_MAX));
    for (key, share) in
        [("alert.cpu_over", config.alert.cpu_over), ("alert.threshold", config.alert.threshold)]
    {
        if !(0.0..=1.0).contains(&share) {
            found.push(Breach::at(key, format!("{share} is no share: expected 0 to 1")));
        }
    }
    found
}

fn charts(config: &Config) -> Vec<Breach> {
    let mut found = Vec::new();
    for (size, periods) in &config.monitor.charts {
        let key = KeyPath::from("monitor.charts").key(size.as_str());
        if !CHART_SIZES.contains(&size.as_str()) {
            let message = format!("{size:?} is no chart size: expected {}", CHART_SIZES.join(", "));
            found.push(Breach::new([key.clone()], message));
        }
        for (index, period) in periods.iter().enumerate() {
            if !CHART_PERIODS.contains(&period.as_str()) {
                let message = format!("{period:?} is no period: expected {}", CHART_PERIODS.join(", "));
                found.push(Breach::new([key.item(index)], message));
            }
        }
    }
    found
}

/// Addresses of the monitor and of what it calls. None of them is shown, as it may hold a password.
fn addresses(config: &Config) -> Vec<Breach> {
    let mut found = Vec::new();
    let Config { monitor, alert, .. } = config;
    if monitor.url.as_deref().is_some_and(|url| !is_bare_url(url)) {
        let message = "no monitor's address: expected http://HOST:PORT or https://HOST:PORT, without a path";
        found.push(Breach::at("monitor.url", message.into()));
    }
    if monitor.page.as_deref().is_some_and(|url| !is_bare_url(url)) {
        let message = "no address of pages: expected http://HOST:PORT or https://HOST, without a path";
        found.push(Breach::at("monitor.page", message.into()));
    }
    if alert.dead_man.as_ref().is_some_and(|url| parse_url(url.expose()).is_none()) {
        found.push(Breach::at("alert.dead_man", "no URL: expected http://... or https://...".into()));
    }
    let smtp = alert.smtp.expose();
    if !["smtp://", "smtps://"]
        .iter()
        .any(|scheme| smtp.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()))
    {
        let message = "no mail server: expected smtp://HOST:PORT or smtps://USER:PASSWORD@HOST:PORT";
        found.push(Breach::at("alert.smtp", message.into()));
    }
    found
}

/// Whether this is a web address without login and query; `bare` ones have no path either.
fn is_bare_url(text: &str) -> bool {
    parse_url(text).is_some_and(|url| {
        let has_login = url.authority().is_some_and(|authority| authority.as_str().contains('@'));
        !has_login && url.query().is_none() && !text.contains('#') && url.path() == "/"
    })
}

fn parse_url(text: &str) -> Option<Uri> {
    let url: Uri = text.parse().ok()?;
    let host = url.host().filter(|host| !host.is_empty())?;
    let place = url.authority()?.as_str().rsplit('@').next()?;
    // The library takes any text for a port.
    let port = place.strip_prefix(host)?;
    let is_port =
        || port.strip_prefix(':').and_then(|port| port.parse().ok()).is_some_and(|port: u16| port > 0);
    (matches!(url.scheme_str(), Some("http" | "https")) && (port.is_empty() || is_port())).then_some(url)
}

fn workers(config: &Config) -> Vec<Breach> {
    let key = KeyPath::from("monitor.workers");
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    for (index, name) in config.monitor.workers.iter().enumerate() {
        if name.is_empty() || name.len() > Batch::WORKER_MAX || name.chars().any(char::is_control) {
            let message = format!(
                "{name:?} is no name of a program: expected 1 to {} bytes without control characters",
                Batch::WORKER_MAX
            );
            found.push(Breach::new([key.item(index)], message));
        } else if !seen.insert(name) {
            found.push(Breach::new([key.item(index)], format!("{name:?} stands here twice")));
        }
    }
    found
}

fn front(config: &Config) -> Vec<Breach> {
    let mut found: Vec<Breach> =
        outside("front.spare", config.front.spare as u64, 0, 1000).into_iter().collect();
    found.extend(words("front.retry.on", &config.front.retry.on, &Retry::KNOWN));
    found
}

fn health(config: &Config) -> Vec<Breach> {
    let health = &config.health;
    let whole = [
        ("health.window", health.window, 3, 60),
        ("health.cool_off", health.cool_off, 1, 86_400),
        ("health.cool_off_max", health.cool_off_max, health.cool_off.get().as_secs(), 7 * 86_400),
        ("health.slow_start", health.slow_start, 0, 86_400),
    ];
    let counts = [
        ("health.requests_min", health.requests_min, 1),
        ("health.bad_checks", health.bad_checks, 1),
        ("health.good_checks", health.good_checks, 0),
    ];
    let shares = [
        ("health.failed_share", health.failed_share, 0.01, 1.0),
        ("health.margin_share", health.margin_share, 0.0, 0.9),
        ("health.out_share_max", health.out_share_max, 0.0, 1.0),
    ];
    let mut found: Vec<Breach> = Vec::new();
    for (key, time, min, max) in whole {
        found.extend(outside(key, time.get().as_secs(), min, max));
        if time.get().subsec_nanos() > 0 {
            found.push(Breach::at(key, "expected whole seconds".into()));
        }
    }
    found.extend(counts.into_iter().filter_map(|(key, count, min)| outside(key, count.into(), min, 1000)));
    for (key, share, min, max) in shares {
        // So written that NaN is none of them.
        if !(min..=max).contains(&share) {
            found.push(Breach::at(key, format!("{share} is out of bounds: expected {min} to {max}")));
        }
    }
    for (key, time) in
        [("health.check_every", health.check_every), ("health.check_within", health.check_within)]
    {
        let ms = u64::try_from(time.get().as_millis()).unwrap_or(u64::MAX);
        if !(100..=600_000).contains(&ms) {
            found.push(Breach::at(key, "out of bounds: expected 0.1 to 600 seconds".into()));
        }
    }
    found.extend(words("health.failures", &health.failures, &Health::KNOWN));
    found
}

/// Words that are not among the known ones, or stand there twice.
fn words(key: &str, words: &[String], known: &[&str]) -> Vec<Breach> {
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    for (index, word) in words.iter().enumerate() {
        let path = || KeyPath::from(key).item(index);
        if !known.contains(&word.as_str()) {
            found
                .push(Breach::new([path()], format!("{word:?} is not known: expected {}", known.join(", "))));
        } else if !seen.insert(word) {
            found.push(Breach::new([path()], format!("{word:?} stands here twice")));
        }
    }
    found
}

fn admins(config: &Config) -> Vec<Breach> {
    let key = KeyPath::from("monitor.admins");
    let mut found: Vec<Breach> =
        outside("monitor.refresh_ms", config.monitor.refresh_ms.into(), 100, 3_600_000).into_iter().collect();
    let mut seen = HashSet::new();
    for (index, admin) in config.monitor.admins.iter().enumerate() {
        let (name, password) = (key.item(index).key("name"), key.item(index).key("password"));
        let fits = !admin.name.trim().is_empty() && admin.name.len() <= Order::WORDS_MAX;
        if !fits || admin.name.chars().any(char::is_control) {
            let message = format!("{:?} is no name: expected 1 to {} bytes", admin.name, Order::WORDS_MAX);
            found.push(Breach::new([name], message));
        } else if !seen.insert(&admin.name) {
            found.push(Breach::new([name], format!("{:?} stands here twice", admin.name)));
        }
        if !admin.password.expose().starts_with("$argon2id$") {
            let message = "no password's hash: make one with `switchboard-monitor password`".into();
            found.push(Breach::new([password], message));
        }
    }
    found
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
