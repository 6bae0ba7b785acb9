//! How long a look at 1,000 and 5,000 backends takes.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "an example for developers")]

use std::time::{Duration, Instant};

use switchboard_health::{Cause, Check, Counts, Failures, Health, Limits, Observed};

const LOOKS: u64 = 300;

fn main() {
    for backends in [1000, 5000] {
        // Some of them fail a little, a tenth is bad; then all are, which is the most to say.
        for (what, bad_share) in [("a tenth bad", 10), ("all bad", 1)] {
            let mut times = looks(backends, bad_share);
            times.sort_unstable();
            let (median, longest) = (times[times.len() / 2], times[times.len() - 1]);
            println!("{backends} backends, {what}: a look takes {median:?}, at most {longest:?}");
        }
    }
}

/// How long each look takes.
fn looks(backends: usize, bad_share: usize) -> Vec<Duration> {
    let limits = Limits::default();
    let names: Vec<String> = (0..backends).map(|n| format!("10.0.{}.{}:8081", n / 250, n % 250)).collect();
    let mut health = Health::new(0);
    health.sync(&limits, 0, names.iter().map(String::as_str)).unwrap();
    let mut times = Vec::new();
    for second in 1..=LOOKS {
        let observed: Vec<Observed> = names
            .iter()
            .enumerate()
            .map(|(n, backend)| {
                let bad = if n % bad_share == 0 { 20 } else { u32::from(n % 3 == 0) };
                let failures =
                    Failures::of(&[(Cause::ReadTimeout, bad), (Cause::Status502, u32::from(n % 7 == 0))]);
                let counts = Counts { requests: 50, failures };
                Observed { backend, counts, check: Some(Check::Good { ms: 2 }) }
            })
            .collect();
        let begin = Instant::now();
        health.look(&limits, second * 1000, &observed);
        times.push(begin.elapsed());
    }
    times
}
