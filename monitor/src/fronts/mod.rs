//! The fronts of the fleet: their controllers park calls here, bring tables, and take orders away.
//!
//! The way of a table: `park` (`POST /front`: who may, body, answer), `board` and `front` (what is kept of all and of each; pure
//! but for the bells by which those who wait are woken). The way of an order: a page gives it to [`Fronts::order`], the call that is parked takes it
//! along, and the next call of that front brings what became of it.

mod board;
mod front;
mod outcomes;
mod park;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use switchboard_fleet::front::{Done, Order, Parked, Place, Table, Waiting};
use tokio::{
    sync::{Semaphore, oneshot, watch},
    time::{Instant as Later, sleep_until, timeout, timeout_at},
};

use crate::clock::now_ms;
use board::{Arrival, Board, Due, NoSeat, NotGiven, Seat};

pub(crate) use outcomes::Ordered;
use outcomes::Outcomes;
pub(crate) use park::parked;

/// Long bodies that are in memory at a time, each of at most [`Table::BYTES_MAX`].
const BODIES_MAX: usize = 8;
/// A page that is opened waits so long for tables that are not seconds old.
const FRESH_WITHIN: Duration = Duration::from_secs(1);
/// Whoever gave an order waits so long for what became of it.
const DONE_WITHIN: Duration = Duration::from_secs(10);

/// All that is known of the fronts.
#[derive(Debug)]
pub(crate) struct Fronts {
    board: Mutex<Board>,
    /// Counts the tables that came.
    tables: watch::Sender<u64>,
    /// Places for long bodies.
    bodies: Arc<Semaphore>,
    outcomes: Mutex<Outcomes>,
}

/// One front.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// How it is, as it said last.
    pub(crate) table: Arc<Table>,
    /// When it said so, ms since 1970.
    pub(crate) heard_ms: u64,
}

/// Why nothing is known to have become of an order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotDone {
    /// It was not given.
    #[error(transparent)]
    NotGiven(#[from] NotGiven),
    /// Nobody fetched it; it is withdrawn.
    #[error(
        "the front has not come for the order: nothing has changed; is its controller running, and does it reach this monitor?"
    )]
    NotFetched,
    /// Nobody said what became of it.
    #[error("the front has not answered; what it does with the order is not known: look at the table")]
    Unanswered,
}

impl Fronts {
    /// None yet. A table is asked for every `refresh` while somebody looks.
    pub(crate) fn new(refresh: Duration) -> Self {
        Self {
            board: Mutex::new(Board::new(refresh)),
            tables: watch::Sender::new(0),
            bodies: Arc::new(Semaphore::new(BODIES_MAX)),
            outcomes: Mutex::default(),
        }
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what a controller brings, and its call a seat.
    fn park(&self, parked: Parked, bytes: usize, nonce: &[u8]) -> Result<Seat, NoSeat> {
        let arrival = Arrival { parked, bytes, nonce, now: Instant::now(), now_ms: now_ms() };
        let seat = self.board().park(arrival)?;
        self.tables.send_modify(|count| *count = count.wrapping_add(1));
        Ok(seat)
    }

    /// Holds a call until there is something to answer.
    async fn hold(&self, mut seat: Seat) -> Waiting {
        // A caller that hangs up leaves its seat.
        let leave = Leave { fronts: self, front: seat.front.clone(), number: seat.number };
        loop {
            let due = self.board().due(&leave.front, leave.number, Instant::now());
            let at = match due {
                Due::Answer(waiting) => return waiting,
                Due::Gone => return Waiting::default(),
                Due::At(at) => at,
            };
            tokio::select! {
                () = sleep_until(Later::from_std(at)) => {}
                rung = seat.bell.changed() => if rung.is_err() { return Waiting::default() },
            }
        }
    }

    /// The fronts for somebody who looks at them: at all, or at the one of this name. Their tables come more often from now on; whoever
    /// is the first to look waits for a fresh one.
    pub(crate) async fn look(&self, front: Option<&str>, heat: Option<&Place>) -> Vec<Seen> {
        let mut tables = self.tables.subscribe();
        let began = Instant::now();
        let awaited = self.board().look(front, heat, began);
        let until = Later::from_std(began + FRESH_WITHIN);
        while !self.board().is_fresh(&awaited, began) {
            if timeout_at(until, tables.changed()).await.is_err() {
                break;
            }
        }
        self.seen()
    }

    /// The fronts as they are known.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.board().seen(Instant::now())
    }

    /// Gives an order to a front, waits for what becomes of it, and remembers that.
    pub(crate) async fn order(&self, front: &str, order: Order) -> Ordered {
        let (id, place) = (order.id.clone(), order.place.clone());
        let outcome = self.carry_out(front, order).await.map(|done| done.outcome);
        let ordered = Ordered { id, front: front.into(), place, outcome };
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner).remember(ordered.clone());
        ordered
    }

    async fn carry_out(&self, front: &str, order: Order) -> Result<Done, NotDone> {
        let id = order.id.clone();
        let (told, done) = oneshot::channel();
        self.board().give(front, order, told)?;
        if let Ok(Ok(done)) = timeout(DONE_WITHIN, done).await {
            return Ok(done);
        }
        Err(if self.board().withdraw(front, &id) { NotDone::Unanswered } else { NotDone::NotFetched })
    }

    /// What became of one of the last orders.
    pub(crate) fn outcome(&self, id: &str) -> Option<Ordered> {
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner).of(id)
    }

    /// Answers all calls that are held, and holds none any more.
    pub(crate) fn close(&self) {
        self.board().close();
    }
}

/// Gives a seat back.
struct Leave<'a> {
    fronts: &'a Fronts,
    front: String,
    number: u64,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.fronts.board().leave(&self.front, self.number);
    }
}
