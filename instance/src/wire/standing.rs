//! What one line is at, since when, and whether that has lasted too long. Times are ticks of the sweep. Pure.

use std::{task::Waker, time::Duration};

/// How often each line is looked at, and so how exact the limits are.
pub(crate) const TICK: Duration = Duration::from_millis(250);
/// How long a line may stay in one condition.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// Without a request.
    pub(crate) idle: Duration,
    /// From a head's first byte to its last.
    pub(crate) head: Duration,
    /// Between two pieces of a body, in either direction.
    pub(crate) stall: Duration,
    /// With a poll for which no app comes.
    pub(crate) parked: Duration,
    /// With a request that an agent has and does not answer.
    pub(crate) reply: Duration,
}

/// What a line is in the middle of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doing {
    /// Nothing: there is no request.
    Idle,
    /// A head has begun to come.
    Head,
    /// A poll is parked.
    Parked,
    /// An agent has the request.
    Reply,
    /// Something with a time of its own, or none.
    Busy,
}

/// Which condition lasted too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expired {
    Idle,
    Head,
    Parked,
    Reply,
    /// A body, in either direction.
    Stall,
}

/// One line's conditions; times are ticks, 0 is "not".
#[derive(Debug)]
pub(super) struct State {
    since: u32,
    /// Waiting for the next piece of a body.
    reading_since: u32,
    /// Waiting for the peer to take bytes.
    writing_since: u32,
    doing: Doing,
    expired: Option<Expired>,
    waker: Option<Waker>,
}

impl State {
    /// Idle from now on.
    pub(super) fn new(now: u32) -> Self {
        Self {
            since: now,
            reading_since: 0,
            writing_since: 0,
            doing: Doing::Idle,
            expired: None,
            waker: None,
        }
    }

    pub(super) fn begin(&mut self, doing: Doing, now: u32) {
        if self.doing != doing {
            (self.doing, self.since) = (doing, now);
            // What has just ended cannot be too late any more.
            self.expired = self.expired.filter(|expired| *expired == Expired::Stall);
        }
    }

    pub(super) fn reading(&mut self, waits: bool, now: u32) {
        wait(&mut self.reading_since, waits, now);
        self.moved(waits);
    }

    pub(super) fn writing(&mut self, waits: bool, now: u32) {
        wait(&mut self.writing_since, waits, now);
        self.moved(waits);
    }

    /// What has lasted too long; `waker` is woken when that changes.
    pub(super) fn expired(&mut self, waker: &Waker) -> Option<Expired> {
        if !self.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            self.waker = Some(waker.clone());
        }
        self.expired
    }

    /// Wakes the line's task if something has lasted too long at `now`.
    pub(super) fn look(&mut self, now: u32, patience: &Patience) {
        let age = |since: u32| TICK * now.saturating_sub(since);
        let stalls = |since: u32| since > 0 && age(since) >= patience.stall;
        let (most, expired) = match self.doing {
            Doing::Idle => (patience.idle, Expired::Idle),
            Doing::Head => (patience.head, Expired::Head),
            Doing::Parked => (patience.parked, Expired::Parked),
            Doing::Reply => (patience.reply, Expired::Reply),
            Doing::Busy => (Duration::MAX, Expired::Stall),
        };
        if stalls(self.reading_since) || stalls(self.writing_since) {
            self.expired = Some(Expired::Stall);
        } else if age(self.since) >= most {
            self.expired = Some(expired);
        } else {
            return;
        }
        self.wake();
    }

    /// A body has moved, if it does not wait: what was too late has come.
    fn moved(&mut self, waits: bool) {
        if !waits && self.reading_since == 0 && self.writing_since == 0 {
            self.expired = self.expired.filter(|expired| *expired != Expired::Stall);
        }
    }

    pub(super) fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }
}

fn wait(since: &mut u32, waits: bool, now: u32) {
    match (waits, *since) {
        (true, 0) => *since = now,
        (false, _) => *since = 0,
        _ => {}
    }
}
