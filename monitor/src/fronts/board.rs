//! All fronts, and who may sit where. Time is passed in.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::{Duration, Instant},
};

use switchboard_fleet::{
    ServerName,
    front::{Done, Order, Parked, Place, Waiting},
};
use tokio::sync::{oneshot, watch};

use super::{
    Seen,
    front::{Front, NONCES_FOR, NONCES_MAX, ORDERS_MAX},
};

/// Most fronts.
const FRONTS_MAX: usize = 1000;
/// Most bytes of the tables of all fronts, as JSON.
const TABLES_BYTES_MAX: usize = 256 << 20;
/// One that is silent for so long is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(3600);

/// A call that came.
pub(super) struct Arrival<'a> {
    /// What it brings.
    pub(super) parked: Parked,
    /// Its length as JSON.
    pub(super) bytes: usize,
    /// Its nonce.
    pub(super) nonce: &'a [u8],
    /// When it came.
    pub(super) now: Instant,
    /// The same, ms since 1970.
    pub(super) now_ms: u64,
}

/// Why a call cannot park.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoSeat {
    /// The front's name is none.
    #[error(
        "table.front: expected the name of a server, with #2, #3 and so on behind it for its further fronts"
    )]
    Name,
    /// The very same call has come before.
    #[error("this call has come before: each needs an X-IWP-Nonce of its own")]
    Again,
    /// Too many calls.
    #[error("too many calls of this front: more than {NONCES_MAX} within {} s", NONCES_FOR.as_secs())]
    TooOften,
    /// No room for another front, or for so long a table.
    #[error("no room: this monitor keeps at most {FRONTS_MAX} fronts, with tables of {} MiB in all", TABLES_BYTES_MAX >> 20)]
    Full,
}

/// Why an order cannot be given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotGiven {
    /// There is no such front.
    #[error(
        "there is no front of this name, or it has been silent for an hour: look at the page of backends"
    )]
    NoFront,
    /// Too many wait.
    #[error("{ORDERS_MAX} orders of this front are under way: try again in a moment")]
    Full,
}

/// The place of a call that is held.
#[derive(Debug)]
pub(super) struct Seat {
    /// The front.
    pub(super) front: String,
    /// Only the newest of a front is held.
    pub(super) number: u64,
    /// Rings when there may be something to answer.
    pub(super) bell: watch::Receiver<()>,
}

/// What is to be done with a call that is held.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// It is answered.
    Answer(Waiting),
    /// Another has taken its place.
    Gone,
    /// Ask again then, or when the bell rings.
    At(Instant),
}

/// All fronts, by name.
#[derive(Debug)]
pub(super) struct Board {
    fronts: BTreeMap<String, Front>,
    refresh: Duration,
    seats: u64,
    hashes: RandomState,
    is_closed: bool,
}

impl Board {
    /// Empty. A table is asked for every `refresh` while somebody looks.
    pub(super) fn new(refresh: Duration) -> Self {
        Self { fronts: BTreeMap::new(), refresh, seats: 0, hashes: RandomState::new(), is_closed: false }
    }

    /// Takes what a call brings, and gives it a seat; the one before it loses its own.
    ///
    /// # Errors
    /// [`NoSeat`]; nothing has changed then.
    pub(super) fn park(&mut self, arrival: Arrival<'_>) -> Result<Seat, NoSeat> {
        let Arrival { parked, bytes, nonce, now, now_ms } = arrival;
        let name = parked.table.front.clone();
        if !is_front_name(&name) {
            return Err(NoSeat::Name);
        }
        self.forget(now);
        let nonce = self.hashes.hash_one(nonce);
        let kept: usize = self.fronts.iter().filter(|(other, _)| **other != name).map(|(_, f)| f.bytes).sum();
        let is_full = !self.fronts.contains_key(&name) && self.fronts.len() >= FRONTS_MAX;
        if is_full || kept + bytes > TABLES_BYTES_MAX {
            return Err(NoSeat::Full);
        }
        let table = Arc::new(parked.table);
        let front = self.fronts.entry(name.clone()).or_insert_with(|| Front::new(table.clone(), now));
        front.remember(nonce, now)?;
        self.seats += 1;
        (front.table, front.bytes, front.heard, front.heard_ms) = (table, bytes, now, now_ms);
        (front.seat, front.is_parked) = (self.seats, true);
        front.ring();
        // Whoever waits for one of these looks at the table next: it is there already.
        parked.done.into_iter().for_each(|done| front.finish(done));
        Ok(Seat { front: name, number: self.seats, bell: front.bell.subscribe() })
    }

    /// What is to be done now with the call of this seat.
    pub(super) fn due(&mut self, front: &str, seat: u64, now: Instant) -> Due {
        let Some(front) = self.fronts.get_mut(front).filter(|front| front.seat == seat) else {
            return Due::Gone;
        };
        if self.is_closed {
            return Due::Gone;
        }
        front.due(now, self.refresh)
    }

    /// The call of this seat is held no more.
    pub(super) fn leave(&mut self, front: &str, seat: u64) {
        if let Some(front) = self.fronts.get_mut(front).filter(|front| front.seat == seat) {
            front.is_parked = false;
        }
    }

    /// Somebody looks at all fronts or one, and at a backend; gives those of which a fresh table is on its way and worth waiting for.
    pub(super) fn look(&mut self, front: Option<&str>, heat: Option<&Place>, now: Instant) -> Vec<String> {
        let refresh = self.refresh;
        let looked_at = self.fronts.iter_mut().filter(|(name, _)| front.is_none_or(|front| front == **name));
        let awaited =
            looked_at.filter_map(|(name, front)| front.look(heat, now, refresh).then(|| name.clone()));
        awaited.collect()
    }

    /// Whether all of these have brought a table since.
    pub(super) fn is_fresh(&self, fronts: &[String], since: Instant) -> bool {
        fronts.iter().filter_map(|name| self.fronts.get(name)).all(|front| front.heard > since)
    }

    /// All there are.
    pub(super) fn seen(&mut self, now: Instant) -> Vec<Seen> {
        self.forget(now);
        self.fronts
            .values()
            .map(|front| Seen { table: front.table.clone(), heard_ms: front.heard_ms })
            .collect()
    }

    /// Lays an order ready.
    ///
    /// # Errors
    /// [`NotGiven`].
    pub(super) fn give(
        &mut self,
        front: &str,
        order: Order,
        told: oneshot::Sender<Done>,
    ) -> Result<(), NotGiven> {
        self.fronts.get_mut(front).ok_or(NotGiven::NoFront)?.give(order, told)
    }

    /// Takes an order back; whether the front has been given it.
    pub(super) fn withdraw(&mut self, front: &str, id: &str) -> bool {
        self.fronts.get_mut(front).is_none_or(|front| front.withdraw(id))
    }

    /// No call is held any more.
    pub(super) fn close(&mut self) {
        self.is_closed = true;
        self.fronts.values().for_each(Front::ring);
    }

    fn forget(&mut self, now: Instant) {
        self.fronts.retain(|_, front| front.heard + FORGOTTEN_AFTER > now);
    }
}

/// A server's name, and behind it `#2`, `#3` and so on for its further fronts.
fn is_front_name(name: &str) -> bool {
    let (server, number) =
        name.split_once('#').map_or((name, None), |(server, number)| (server, Some(number)));
    let is_number =
        |text: &str| text.parse::<u16>().is_ok_and(|number| number > 1 && number.to_string() == text);
    server.parse::<ServerName>().is_ok() && number.is_none_or(is_number)
}

#[cfg(test)]
#[path = "board_tests.rs"]
mod tests;
