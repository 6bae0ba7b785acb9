//! Decisions in sentences.

use crate::{
    Cause, Failures, Limits, Switch,
    fault::Fault,
    memory::{BadCheck, Memory},
};

impl Fault {
    /// What speaks against it, as `12 of 40 requests failed within 10 s (30 %, limit 20 %): 10 read timeouts, 2 times 502`.
    pub(crate) fn words(&self, limits: &Limits) -> String {
        match self {
            Self::Refused { count, span_ms } => {
                format!("{count} connections refused within {}: nobody listens there", span(*span_ms))
            }
            Self::Checks { row, last } => {
                let last = match last {
                    BadCheck::Failed(cause) => check(*cause),
                    BadCheck::Slow { ms } => {
                        format!("an answer after {ms} ms, limit {} ms", limits.check_max_ms)
                    }
                };
                let last = if *row == 1 { last } else { format!("the last one: {last}") };
                format!("{row} {} in a row failed, {last}", plural(*row, "check"))
            }
            Self::Rate { tally, .. } => {
                let (failed, requests, span_s) = (tally.failed(), tally.counts.requests, tally.span_s);
                let (is, limit) = (percent(tally.share()), percent(limits.failed_share));
                let causes = causes(&tally.counts.failures);
                format!(
                    "{failed} of {requests} requests failed within {span_s} s ({is}, limit {limit}): {causes}"
                )
            }
        }
    }
}

/// Why one comes back.
pub(crate) fn back(memory: &Memory, limits: &Limits, out_ms: u64) -> String {
    let out_s = out_ms / 1000;
    let begin = match (limits.slow_start_s, limits.slow_start_percent) {
        (0, _) => "its whole weight at once".to_owned(),
        (whole_s, percent) => format!("begins with {percent} % of its weight, all of it in {whole_s} s"),
    };
    match memory.good_row {
        0 => format!("it was out for {out_s} s, and no check speaks against it: {begin}"),
        row => format!("it was out for {out_s} s, and the last {row} checks were good: {begin}"),
    }
}

/// Why panic mode began: one of those concerned stands for them.
pub(crate) fn too_many(bad: usize, all: usize, out_max: usize, one: &str, fault: &str) -> String {
    let would = if bad == 1 { "backend would" } else { "backends would" };
    format!(
        "{bad} of {all} {would} have to be out, and at most {out_max} may be: all get traffic ({one}: {fault})"
    )
}

/// Why panic mode ended.
pub(crate) fn few_enough(bad: usize, all: usize, out_max: usize, calm_ms: u64) -> String {
    format!("for {} no more than {out_max} of {all} backends were bad, now {bad}", span(calm_ms))
}

/// What an operator did.
pub(crate) fn switched(switch: Switch) -> &'static str {
    match switch {
        Switch::On => "switched on by an operator",
        Switch::Drain => "set to drain by an operator: nobody new is sent there",
        Switch::Off => "switched off by an operator",
    }
}

fn causes(failures: &Failures) -> String {
    let mut all: Vec<_> = failures.by_cause().collect();
    all.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    all.iter().map(|(cause, count)| counted(*cause, *count)).collect::<Vec<_>>().join(", ")
}

fn counted(cause: Cause, count: u32) -> String {
    let status = |code: u16| match count {
        1 => format!("once {code}"),
        _ => format!("{count} times {code}"),
    };
    let named = |name: &str| format!("{count} {}", plural(count, name));
    match cause {
        Cause::Refused => format!("{} refused", named("connection")),
        Cause::ConnectTimeout => named("connect timeout"),
        Cause::WriteTimeout => named("write timeout"),
        Cause::ReadTimeout => named("read timeout"),
        Cause::Cut => format!("{} cut off", named("answer")),
        Cause::Status500 => status(500),
        Cause::Status502 => status(502),
        Cause::Status503 => status(503),
        Cause::Status504 => status(504),
        Cause::Other => named("other failure"),
    }
}

fn check(cause: Cause) -> String {
    match cause {
        Cause::Refused => "connection refused",
        Cause::ConnectTimeout => "no connection in time",
        Cause::WriteTimeout => "not taken in time",
        Cause::ReadTimeout => "no answer in time",
        Cause::Cut => "the answer was cut off",
        Cause::Status500 => "it answered 500",
        Cause::Status502 => "it answered 502",
        Cause::Status503 => "it answered 503",
        Cause::Status504 => "it answered 504",
        Cause::Other => "not the answer that was asked for",
    }
    .to_owned()
}

fn plural(count: u32, name: &str) -> String {
    if count == 1 { name.to_owned() } else { format!("{name}s") }
}

/// At least a second: less would say more than the rhythm of looks can.
fn span(ms: u64) -> String {
    format!("{} s", ms.div_ceil(1000).max(1))
}

fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent >= 10.0 { format!("{percent:.0} %") } else { format!("{percent:.1} %") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Counts, window::Tally};

    #[test]
    fn faults_are_sentences_with_numbers() {
        let limits = Limits::default();
        let failures = Failures::of(&[(Cause::ReadTimeout, 10), (Cause::Status502, 2)]);
        let tally = Tally { counts: Counts { requests: 40, failures }, span_s: 10, ..Tally::default() };
        assert_eq!(
            Fault::Rate { tally, newest: false }.words(&limits),
            "12 of 40 requests failed within 10 s (30 %, limit 20 %): 10 read timeouts, 2 times 502"
        );
        let one = Failures::of(&[(Cause::Refused, 1), (Cause::Status503, 1), (Cause::Cut, 3)]);
        assert_eq!(causes(&one), "3 answers cut off, 1 connection refused, once 503");
        let refused = Fault::Refused { count: 5, span_ms: 1400 };
        assert_eq!(refused.words(&limits), "5 connections refused within 2 s: nobody listens there");
        let checks = |row, last| Fault::Checks { row, last }.words(&limits);
        assert_eq!(
            checks(3, BadCheck::Slow { ms: 3400 }),
            "3 checks in a row failed, the last one: an answer after 3400 ms, limit 3000 ms"
        );
        assert_eq!(
            checks(3, BadCheck::Failed(Cause::ReadTimeout)),
            "3 checks in a row failed, the last one: no answer in time"
        );
        assert_eq!(percent(0.2), "20 %");
        assert_eq!((percent(0.29), percent(0.025)), ("29 %".to_owned(), "2.5 %".to_owned()));
    }
}
