//! The record of one backend. It lies in memory that all workers share, and none of them ever waits for another:
//! each number is an atomic of its own, so that two read at once may be one request apart.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
};

use crate::{End, Histogram, Json, Outcome, Part, Place, Spread, State, Wish};

/// The statuses that have a counter of their own.
const STATUSES: [u16; 4] = [500, 502, 503, 504];
/// Bits of a kept failure besides its time: 4 of the end, 12 of the status.
const FAILURE_BITS: u32 = 16;

/// What a record is of, in a fixed size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(u64, u64);

impl Key {
    /// The key of the backend `address` in `upstream`; an empty address stands for the upstream itself.
    pub fn of(upstream: &str, address: &str) -> Self {
        let half = |salt: u8| {
            let mut hasher = DefaultHasher::new();
            (salt, upstream, address).hash(&mut hasher);
            hasher.finish()
        };
        Self(half(1), half(2))
    }
}

/// What is counted of one backend, by all workers together.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct Record {
    key: [AtomicU64; 2],
    place: Place,
    configuration: AtomicU64,
    /// What of 100 is missing in the share.
    lack: AtomicU32,
    state: AtomicU32,
    weight: AtomicU32,
    switched_ms: AtomicU64,
    requests: AtomicU64,
    in_flight: AtomicU64,
    failures: AtomicU64,
    last_failure: AtomicU64,
    no_live: AtomicU64,
    classes: [AtomicU64; 5],
    statuses: [AtomicU64; STATUSES.len()],
    ends: [AtomicU64; End::ALL.len()],
    sent: AtomicU64,
    received: AtomicU64,
    connect: Histogram,
    header: Histogram,
    response: Histogram,
}

/// The last failure of a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// When, ms of Unix time.
    pub at_ms: u64,
    /// How the attempt ended.
    pub end: End,
    /// The status of the answer, 0 for none.
    pub status: u16,
}

/// What an operator has made of a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Switch {
    /// The state asked for.
    pub state: State,
    /// The weight asked for.
    pub weight: Option<u32>,
    /// When, ms of Unix time.
    pub since_ms: u64,
}

/// A [`Record`]'s numbers at one moment.
#[derive(Debug, Clone)]
pub struct Counts {
    requests: u64,
    in_flight: u64,
    failures: u64,
    last_failure: Option<Failure>,
    classes: [u64; 5],
    statuses: [u64; STATUSES.len()],
    ends: [u64; End::ALL.len()],
    sent: u64,
    received: u64,
    times: [(&'static str, Spread); 3],
}

impl Record {
    /// The key it was begun with.
    pub fn key(&self) -> Key {
        Key(self.key[0].load(Relaxed), self.key[1].load(Relaxed))
    }

    /// Where its backend is, and whether it takes part.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Empties it for a new backend, which nothing was said of yet.
    pub fn begin(&self, key: Key) {
        self.place.clear();
        let fresh = [&self.configuration, &self.switched_ms, &self.requests, &self.in_flight, &self.failures];
        let more = [&self.last_failure, &self.no_live, &self.sent, &self.received];
        let lists = self.classes.iter().chain(&self.statuses).chain(&self.ends);
        fresh.into_iter().chain(more).chain(lists).for_each(|number| number.store(0, Relaxed));
        [&self.lack, &self.state, &self.weight].into_iter().for_each(|number| number.store(0, Relaxed));
        [&self.connect, &self.header, &self.response].into_iter().for_each(Histogram::clear);
        self.key[0].store(key.0, Relaxed);
        self.key[1].store(key.1, Relaxed);
    }

    /// Says that `configuration` declares the backend. If the one before did not, then it has not left this one.
    pub fn keep(&self, configuration: u64) {
        let before = self.configuration.swap(configuration, Relaxed);
        if before.saturating_add(1) < configuration && self.place.part() == Part::Left {
            self.place.put(Part::AsDeclared);
        }
    }

    /// Whether another backend may have this record: neither `configuration` nor the one before declares it, it takes no
    /// part, nothing runs, and no operator has switched it.
    pub fn is_forgotten(&self, configuration: u64) -> bool {
        let declared = self.configuration.load(Relaxed);
        self.switch().is_none()
            && self.place.part() != Part::Joined
            && self.in_flight() == 0
            && (declared == 0 || declared.saturating_add(2) <= configuration)
    }

    /// A request goes there.
    pub fn begun(&self) {
        self.requests.fetch_add(1, Relaxed);
        self.in_flight.fetch_add(1, Relaxed);
    }

    /// It has come to an end.
    pub fn ended(&self, outcome: &Outcome) {
        // Not below zero, should the record have been begun anew meanwhile.
        let _ = self.in_flight.fetch_update(Relaxed, Relaxed, |count| count.checked_sub(1));
        let one = |counter: &AtomicU64| {
            counter.fetch_add(1, Relaxed);
        };
        one(&self.ends[outcome.end as usize]);
        let class = usize::from(outcome.status / 100);
        if let Some(class) = class.checked_sub(1).and_then(|class| self.classes.get(class)) {
            one(class);
        }
        if let Some(at) = STATUSES.iter().position(|status| *status == outcome.status) {
            one(&self.statuses[at]);
        }
        self.sent.fetch_add(outcome.sent, Relaxed);
        self.received.fetch_add(outcome.received, Relaxed);
        if let Some(ms) = outcome.connect_ms {
            self.connect.note(ms);
        }
        if let Some(ms) = outcome.header_ms {
            self.header.note(ms);
        }
        if let Some(ms) = outcome.response_ms {
            self.response.note(ms);
        }
        if outcome.failed() {
            one(&self.failures);
            let status = u64::from(outcome.status.min(999));
            let packed = outcome.at_ms << FAILURE_BITS | status << 4 | outcome.end as u64;
            self.last_failure.store(packed, Relaxed);
        }
    }

    /// No backend of this upstream could take a request.
    pub fn nobody(&self) {
        self.no_live.fetch_add(1, Relaxed);
    }

    /// How often [`Record::nobody`] was said.
    pub fn no_live(&self) -> u64 {
        self.no_live.load(Relaxed)
    }

    /// Requests under way.
    pub fn in_flight(&self) -> u64 {
        self.in_flight.load(Relaxed)
    }

    /// What an operator has made of it; `None` if the configuration holds.
    pub fn switch(&self) -> Option<Switch> {
        let state = State::from_number(self.state.load(Relaxed));
        let weight = Some(self.weight.load(Relaxed)).filter(|weight| *weight > 0);
        let switched = state != State::Config || weight.is_some();
        switched.then(|| Switch { state, weight, since_ms: self.switched_ms.load(Relaxed) })
    }

    /// Keeps what an operator wants.
    pub fn wish(&self, wish: Wish, at_ms: u64) {
        if let Some(state) = wish.state {
            self.state.store(state as u32, Relaxed);
        }
        if let Some(weight) = wish.weight.or((wish.state == Some(State::Config)).then_some(0)) {
            self.weight.store(weight, Relaxed);
        }
        self.switched_ms.store(at_ms, Relaxed);
    }

    /// Health's part of its weight, from 0 to 100; in force only under a lease.
    pub fn share(&self) -> u32 {
        100_u32.saturating_sub(self.lack.load(Relaxed))
    }

    /// Keeps health's part of the weight; says whether it is another one than before.
    pub fn set_share(&self, share: u32) -> bool {
        let lack = 100_u32.saturating_sub(share);
        self.lack.swap(lack, Relaxed) != lack
    }

    /// The numbers until now.
    pub fn counts(&self) -> Counts {
        let packed = self.last_failure.load(Relaxed);
        let failure = Failure {
            at_ms: packed >> FAILURE_BITS,
            end: End::ALL.get((packed & 15) as usize).copied().unwrap_or(End::Answered),
            status: (packed >> 4 & 4095) as u16,
        };
        Counts {
            requests: self.requests.load(Relaxed),
            in_flight: self.in_flight(),
            failures: self.failures.load(Relaxed),
            last_failure: (packed > 0).then_some(failure),
            classes: std::array::from_fn(|at| self.classes[at].load(Relaxed)),
            statuses: std::array::from_fn(|at| self.statuses[at].load(Relaxed)),
            ends: std::array::from_fn(|at| self.ends[at].load(Relaxed)),
            sent: self.sent.load(Relaxed),
            received: self.received.load(Relaxed),
            times: [
                ("connect", self.connect.spread()),
                ("header", self.header.spread()),
                ("response", self.response.spread()),
            ],
        }
    }
}

impl Counts {
    /// Writes them as members of the object that is open.
    pub fn write(&self, json: &mut Json) {
        json.name("requests").bare(self.requests).name("in_flight").bare(self.in_flight);
        json.name("responses").object();
        for (class, count) in ["1xx", "2xx", "3xx", "4xx", "5xx"].iter().zip(self.classes) {
            json.name(class).bare(count);
        }
        json.name("499").bare(self.ends[End::ClientClosed as usize]);
        for (status, count) in ["500", "502", "503", "504"].iter().zip(self.statuses) {
            json.name(status).bare(count);
        }
        json.end();
        for end in End::ALL {
            json.name(end.name()).bare(self.ends[end as usize]);
        }
        json.name("failures").bare(self.failures).name("last_failure");
        match &self.last_failure {
            None => json.null(),
            Some(failure) => {
                json.object().name("at_ms").bare(failure.at_ms);
                json.name("why").text(&failure.end.why(failure.status)).end()
            }
        };
        json.name("bytes_sent").bare(self.sent).name("bytes_received").bare(self.received);
        for (name, spread) in &self.times {
            json.name(name).object().name("count").bare(spread.count()).name("sum_ms").bare(spread.sum_ms);
            json.name("p50_ms").maybe(spread.quantile_ms(50)).name("p99_ms").maybe(spread.quantile_ms(99));
            json.name("buckets").list();
            let used = spread.buckets.iter().rposition(|count| *count > 0).map_or(0, |last| last + 1);
            spread.buckets[..used].iter().for_each(|count| {
                json.bare(*count);
            });
            json.end_list().end();
        }
    }
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
