//! One backend's row, besides its numbers.

use askama::filters::Safe;
use switchboard_alert::letter::{lasting, moment};
use switchboard_fleet::front::{Backend, BackendState, Checked, Failed, Switched};

use super::{
    Sort,
    cell::Cell,
    columns::{ALL, Column},
    look,
};
use crate::{
    moment::{ago, clock},
    numbers::thousands,
    text::shown,
};

/// Brings rows into the order that was asked for; those that are alike stay as they were.
pub(crate) fn sort(backends: &mut [&Backend], sort: Sort) {
    match sort {
        Sort::Given => {}
        Sort::Address => backends.sort_by(|one, other| one.address.cmp(&other.address)),
        Sort::State => backends.sort_by_key(|backend| look::rank(backend.state)),
        Sort::Column(key) => {
            let Some(column) = ALL.iter().find(|column| column.key == key) else { return };
            let number = |backend: &Backend| column.number(backend).unwrap_or(f64::NEG_INFINITY);
            backends.sort_by(|one, other| number(other).total_cmp(&number(one)));
        }
    }
}

/// The cells of its numbers.
pub(crate) fn cells(backend: &Backend) -> Vec<(&'static Column, Cell)> {
    ALL.iter().map(|column| (column, column.cell(backend))).collect()
}

/// The class of the row.
pub(crate) fn class(backend: &Backend) -> String {
    let tone = match look::tone(&backend.state) {
        "good" => "",
        _ if backend.state == BackendState::SlowStart => "slow",
        tone => tone,
    };
    let backup = if backend.backup { " backup" } else { "" };
    format!("{tone}{backup}").trim_start().into()
}

/// The name in nginx's configuration, if it says more than the address.
pub(crate) fn server(backend: &Backend) -> Option<&str> {
    let says_more = !backend.server.is_empty() && backend.server != backend.address;
    says_more.then_some(&*backend.server)
}

/// `for 3 min`, and on asking since when.
pub(crate) fn lasts(backend: &Backend, now_ms: &u64) -> Option<(String, String)> {
    let since_ms = backend.since_ms?;
    Some((format!("for {}", lasting(now_ms.saturating_sub(since_ms))), format!("since {}", moment(since_ms))))
}

/// What stands under its state, a line each: why, and who wanted that.
pub(crate) fn reasons(backend: &Backend, now_ms: &u64) -> Vec<String> {
    let why = backend.why.as_ref().filter(|why| !why.is_empty() && backend.state != BackendState::Up);
    let mut reasons: Vec<String> = why.map(|why| shown(why)).into_iter().collect();
    if let Some(switch) = &backend.switch
        && !why.is_some_and(|why| why.contains(&switch.who))
    {
        reasons.push(switched(switch, now_ms));
    }
    reasons
}

/// `by ada 5 min ago: new disk`.
pub(crate) fn switched(switch: &Switched, now_ms: &u64) -> String {
    let why = if switch.why.is_empty() { String::new() } else { format!(": {}", shown(&switch.why)) };
    format!("by {} {}{why}", shown(&switch.who), ago(*now_ms, switch.at_ms))
}

/// All that is known of its state, for whoever points at it.
pub(crate) fn hint(backend: &Backend) -> String {
    let why = backend.why.as_ref().map_or(String::new(), |why| format!(" {}", shown(why)));
    format!("{}{why}", look::meaning(&backend.state))
}

/// Until when it is so, if that is known.
pub(crate) fn until(backend: &Backend, now_ms: &u64) -> Option<Safe<String>> {
    let until = backend.until_ms.or(backend.switch.as_ref().and_then(|switch| switch.until_ms));
    until.map(|ms| clock(now_ms, &ms))
}

/// `3 in 10 s`: when nginx itself takes it out.
pub(crate) fn limit(backend: &Backend) -> String {
    match backend.max_fails {
        0 => "off".into(),
        most => format!("{} in {} s", thousands(most as f64), thousands(backend.fail_timeout_s as f64)),
    }
}

/// `read timeout`, to which the time is added.
pub(crate) fn failure(failed: &Failed) -> String {
    shown(&failed.why)
}

/// `good, 3 ms`, or what was wrong.
pub(crate) fn check(check: &Checked) -> String {
    let took = format!("{} ms", thousands(check.ms as f64));
    check.fault.as_ref().map_or(format!("good, {took}"), |fault| format!("{} ({took})", shown(fault)))
}
