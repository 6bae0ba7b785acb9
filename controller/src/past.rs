//! What a backend did within the last minute and the last hour. Pure.

use std::collections::VecDeque;

use switchboard_fleet::front::{Heat, Place, Spread};

use crate::counted::{Counters, Delta};

/// What "the last minute" is, in s.
const RATE_S: u64 = 60;
/// What is remembered by the minute.
const MINUTES: u64 = 60;
/// What "the last five minutes" are: this one, and those before.
const RECENT: u64 = 5;
/// Fewer answers than these say nothing about slow ones.
const SLOW_MIN: u64 = 100;

/// The past of one backend. Times without traffic take no room.
#[derive(Debug, Default)]
pub(crate) struct Past {
    last: Option<Counters>,
    seconds: VecDeque<Second>,
    minutes: VecDeque<Minute>,
    /// Since when it is watched without a gap, ms since 1970.
    since_ms: u64,
    /// Since when too many answers take too long.
    pub(crate) slow: bool,
}

#[derive(Debug)]
struct Second {
    number: u64,
    begun: u64,
    ended: u64,
    failed: u64,
}

#[derive(Debug)]
struct Minute {
    number: u64,
    sum_ms: u64,
    buckets: Vec<u64>,
}

/// Rates within the last minute, or since it is watched.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Rates {
    /// Requests that began.
    pub(crate) begun: u64,
    /// The same in a second.
    pub(crate) per_second: f64,
    /// The part that failed, 0 to 1.
    pub(crate) failed: f64,
}

/// When answers are too slow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SlowLimit {
    /// 1 of 100 takes longer than this, ms; 0: never too slow.
    pub(crate) over_ms: u64,
    /// In each of so many minutes.
    pub(crate) minutes: u64,
}

impl Past {
    /// Takes in what the counters say now. Gives what came since the last time; `None` at first, after a gap, and when they went back.
    pub(crate) fn take(&mut self, now_ms: u64, counters: Counters, gap: bool) -> Option<Delta> {
        let delta = self.last.as_ref().filter(|_| !gap).and_then(|last| counters.since(last));
        self.last = Some(counters);
        match &delta {
            Some(delta) => self.note(now_ms, delta),
            None => {
                self.seconds.clear();
                self.since_ms = now_ms;
            }
        }
        let second = now_ms / 1000;
        self.seconds.retain(|one| one.number <= second && second - one.number < RATE_S);
        let minute = now_ms / 60_000;
        self.minutes.retain(|one| one.number <= minute && minute - one.number < MINUTES);
        delta
    }

    fn note(&mut self, now_ms: u64, delta: &Delta) {
        let (begun, failed) = (delta.begun, delta.failed);
        let ended = u64::from(delta.counts.requests);
        if begun + ended + failed > 0 {
            match self.seconds.back_mut() {
                Some(last) if last.number == now_ms / 1000 => {
                    (last.begun, last.ended) = (last.begun + begun, last.ended + ended);
                    last.failed += failed;
                }
                _ => self.seconds.push_back(Second { number: now_ms / 1000, begun, ended, failed }),
            }
        }
        if delta.buckets.iter().all(|count| *count == 0) {
            return;
        }
        let number = now_ms / 60_000;
        if self.minutes.back().is_none_or(|last| last.number != number) {
            self.minutes.push_back(Minute { number, sum_ms: 0, buckets: Vec::new() });
        }
        if let Some(minute) = self.minutes.back_mut() {
            minute.sum_ms += delta.sum_ms;
            add(&mut minute.buckets, &delta.buckets);
        }
    }

    /// How much it did within the last minute.
    pub(crate) fn rates(&self, now_ms: u64) -> Rates {
        let sum = |what: fn(&Second) -> u64| self.seconds.iter().map(what).sum::<u64>();
        let (begun, ended, failed) = (sum(|one| one.begun), sum(|one| one.ended), sum(|one| one.failed));
        let watched_s = (now_ms.saturating_sub(self.since_ms) as f64 / 1000.0).clamp(1.0, RATE_S as f64);
        Rates {
            begun,
            per_second: begun as f64 / watched_s,
            failed: failed as f64 / ended.max(failed).max(1) as f64,
        }
    }

    /// How response times were spread within the last five minutes.
    pub(crate) fn recent(&self, now_ms: u64, bounds_ms: &[u64]) -> Spread {
        let (mut buckets, mut sum_ms) = (Vec::new(), 0);
        let oldest = (now_ms / 60_000).saturating_sub(RECENT - 1);
        for minute in self.minutes.iter().filter(|minute| minute.number >= oldest) {
            add(&mut buckets, &minute.buckets);
            sum_ms += minute.sum_ms;
        }
        spread(&buckets, sum_ms, bounds_ms)
    }

    /// Response times of the last hour by the minute.
    pub(crate) fn heat(&self, place: Place, now_ms: u64, bounds_ms: &[u64]) -> Heat {
        let until = now_ms / 60_000;
        let mut columns = vec![Vec::new(); MINUTES as usize];
        for minute in &self.minutes {
            let age = until.saturating_sub(minute.number);
            if let Some(column) = (MINUTES - 1).checked_sub(age).and_then(|at| columns.get_mut(at as usize)) {
                column.clone_from(&minute.buckets);
                column.resize(bounds_ms.len() + 1, 0);
            }
        }
        Heat { place, until_ms: until * 60_000, bounds_ms: bounds_ms.to_vec(), columns }
    }

    /// Whether too many answers have been too slow for long enough; then how slow 1 of 100 was, in ms.
    pub(crate) fn is_slow(&self, now_ms: u64, bounds_ms: &[u64], limit: SlowLimit) -> Option<u64> {
        let (now, minutes) = (now_ms / 60_000, limit.minutes.clamp(1, MINUTES - 1));
        if limit.over_ms == 0 || now_ms.saturating_sub(self.since_ms) < minutes * 60_000 {
            return None;
        }
        // A bucket is too slow if the shortest time in it is.
        let first = bounds_ms.iter().position(|bound| *bound >= limit.over_ms)? + 1;
        let (mut all, mut slow_minutes) = (Vec::new(), 0);
        for minute in self.minutes.iter().filter(|one| one.number < now && now - one.number <= minutes) {
            let count: u64 = minute.buckets.iter().sum();
            let slow: u64 = minute.buckets.iter().skip(first).sum();
            slow_minutes += u64::from(slow * 100 >= count);
            add(&mut all, &minute.buckets);
        }
        let enough = all.iter().sum::<u64>() >= SLOW_MIN;
        (enough && slow_minutes == minutes).then(|| quantile(&all, bounds_ms, 99)).flatten()
    }

    /// Forgets the times: their buckets are others now.
    pub(crate) fn forget_times(&mut self) {
        self.minutes.clear();
        self.last = None;
    }
}

/// How counts in buckets are spread.
pub(crate) fn spread(buckets: &[u64], sum_ms: u64, bounds_ms: &[u64]) -> Spread {
    let count: u64 = buckets.iter().sum();
    Spread {
        count,
        mean_ms: (count > 0).then(|| sum_ms as f64 / count as f64),
        p50_ms: quantile(buckets, bounds_ms, 50),
        p99_ms: quantile(buckets, bounds_ms, 99),
    }
}

/// The upper bound of the bucket that `percent` of all do not exceed; of the last one, which has none, the lower one.
fn quantile(buckets: &[u64], bounds_ms: &[u64], percent: u64) -> Option<u64> {
    let count: u64 = buckets.iter().sum();
    let rank = (u128::from(count) * u128::from(percent)).div_ceil(100).max(1);
    let mut seen = 0_u128;
    let bucket = buckets.iter().position(|bucket| {
        seen += u128::from(*bucket);
        seen >= rank
    })?;
    bounds_ms.get(bucket).or(bounds_ms.last()).copied()
}

fn add(sum: &mut Vec<u64>, more: &[u64]) {
    if sum.len() < more.len() {
        sum.resize(more.len(), 0);
    }
    for (sum, more) in sum.iter_mut().zip(more) {
        *sum += more;
    }
}

#[cfg(test)]
#[path = "past_tests.rs"]
mod tests;
