//! What is kept of one front. Time is passed in.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use switchboard_fleet::{
    SIGNATURE_MAX_AGE,
    front::{Done, Order, Parked, Place, Table, Waiting},
};
use tokio::sync::{oneshot, watch};

use super::board::{Due, NoSeat, NotGiven};

/// Most orders that one front has to be given, or has not answered yet.
pub(super) const ORDERS_MAX: usize = 100;
/// An order is given again when nothing was said of it for so long.
const AGAIN_AFTER: Duration = Duration::from_secs(5);
/// Whoever looks at a front is taken to look for so long.
const WATCHED_FOR: Duration = Duration::from_secs(5);
/// Most backends of one front whose response times are asked for.
pub(super) const HEAT_MAX: usize = 16;
/// A question is remembered as long as its signature could be taken again.
pub(super) const NONCES_FOR: Duration = Duration::from_secs(2 * SIGNATURE_MAX_AGE.as_secs() + 1);
/// Most questions of one front within that time.
pub(super) const NONCES_MAX: usize = 2000;

/// One front.
#[derive(Debug)]
pub(super) struct Front {
    /// How it is, as it said last.
    pub(super) table: Arc<Table>,
    /// The table's length as JSON.
    pub(super) bytes: usize,
    /// When it said so.
    pub(super) heard: Instant,
    /// The same, ms since 1970.
    pub(super) heard_ms: u64,
    /// The number of its newest call.
    pub(super) seat: u64,
    /// Whether that is held.
    pub(super) is_parked: bool,
    watched_until: Option<Instant>,
    /// Whose response times are wanted: until when, and whether the front knows.
    heat: BTreeMap<Place, (Instant, bool)>,
    orders: Vec<Underway>,
    nonces: HashMap<u64, Instant>,
    /// Rings when its call may have to be answered.
    pub(super) bell: watch::Sender<()>,
}

/// An order that was not answered yet.
#[derive(Debug)]
struct Underway {
    order: Order,
    given: Option<Instant>,
    told: oneshot::Sender<Done>,
}

impl Front {
    /// One of which nothing but its table is known.
    pub(super) fn new(table: Arc<Table>, now: Instant) -> Self {
        Self {
            table,
            bytes: 0,
            heard: now,
            heard_ms: 0,
            seat: 0,
            is_parked: false,
            watched_until: None,
            heat: BTreeMap::new(),
            orders: Vec::new(),
            nonces: HashMap::new(),
            bell: watch::Sender::new(()),
        }
    }

    /// Its call may have to be answered.
    pub(super) fn ring(&self) {
        self.bell.send_replace(());
    }

    /// Notes a question, which must be new.
    pub(super) fn remember(&mut self, nonce: u64, now: Instant) -> Result<(), NoSeat> {
        self.nonces.retain(|_, until| *until > now);
        if self.nonces.contains_key(&nonce) {
            return Err(NoSeat::Again);
        }
        if self.nonces.len() >= NONCES_MAX {
            return Err(NoSeat::TooOften);
        }
        self.nonces.insert(nonce, now + NONCES_FOR);
        Ok(())
    }

    /// Tells who waits what became of an order. One that nobody waits for is in the front's own record.
    pub(super) fn finish(&mut self, done: Done) {
        if let Some(place) = self.orders.iter().position(|underway| underway.order.id == done.id) {
            let _ = self.orders.remove(place).told.send(done);
        }
    }

    /// What is to be done now with its newest call.
    pub(super) fn due(&mut self, now: Instant, refresh: Duration) -> Due {
        let orders = self.due_orders(now);
        self.heat.retain(|_, (until, _)| *until > now);
        let at = self.answer_at(now, refresh);
        let asks = self.heat.values().any(|(_, is_known)| !is_known);
        if orders.is_empty() && !asks && at > now {
            return Due::At(at);
        }
        self.heat.values_mut().for_each(|(_, is_known)| *is_known = true);
        Due::Answer(Waiting { orders, heat: self.heat.keys().cloned().collect() })
    }

    /// Somebody looks at it, and at a backend; whether a fresh table is on its way and worth waiting for.
    pub(super) fn look(&mut self, heat: Option<&Place>, now: Instant, refresh: Duration) -> bool {
        let was_watched = self.watched_until.is_some_and(|until| until > now);
        self.watched_until = Some(now + WATCHED_FOR);
        let is_new = heat.is_some_and(|place| self.want(place, now));
        if !was_watched || is_new {
            self.ring();
        }
        let is_old = self.heard + refresh < now;
        self.is_parked && (is_new || (!was_watched && is_old))
    }

    /// Lays an order ready.
    ///
    /// # Errors
    /// `Full`.
    pub(super) fn give(&mut self, order: Order, told: oneshot::Sender<Done>) -> Result<(), NotGiven> {
        if self.orders.len() >= ORDERS_MAX {
            return Err(NotGiven::Full);
        }
        self.orders.push(Underway { order, given: None, told });
        self.ring();
        Ok(())
    }

    /// Takes an order back; whether it was given.
    pub(super) fn withdraw(&mut self, id: &str) -> bool {
        let place = self.orders.iter().position(|underway| underway.order.id == id);
        // One that is gone has been answered in this very moment.
        place.is_none_or(|place| self.orders.remove(place).given.is_some())
    }

    /// The orders that are to be given now.
    fn due_orders(&mut self, now: Instant) -> Vec<Order> {
        let is_due = |underway: &&mut Underway| underway.given.is_none_or(|given| given + AGAIN_AFTER <= now);
        let due = self.orders.iter_mut().filter(is_due);
        due.map(|underway| {
            underway.given = Some(now);
            underway.order.clone()
        })
        .collect()
    }

    /// When the call is answered if nothing happens.
    fn answer_at(&self, now: Instant, refresh: Duration) -> Instant {
        let is_watched = self.watched_until.is_some_and(|until| until > now);
        let held = Duration::from_millis(Parked::HELD_MAX_MS);
        let at = self.heard + if is_watched { held.min(refresh) } else { held };
        let again = self.orders.iter().filter_map(|underway| underway.given).map(|given| given + AGAIN_AFTER);
        again.fold(at, Instant::min)
    }

    /// Asks for the response times of a backend; whether that is new.
    fn want(&mut self, place: &Place, now: Instant) -> bool {
        self.heat.retain(|_, (until, _)| *until > now);
        if let Some((until, _)) = self.heat.get_mut(place) {
            *until = now + WATCHED_FOR;
            return false;
        }
        let is_there = self.table.backend(place).is_some() && self.heat.len() < HEAT_MAX;
        if !is_there {
            return false;
        }
        let has_it = self.table.heat.iter().any(|heat| heat.place == *place);
        self.heat.insert(place.clone(), (now + WATCHED_FOR, has_it));
        !has_it
    }
}
