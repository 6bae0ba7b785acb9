//! Connections that do nothing are found and ended by one sweep over all of them, a few times a second: no connection
//! needs a timer of its own, and reading or writing costs no look at the clock.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::{Rc, Weak},
    task::Waker,
    time::Duration,
};

/// How often connections are looked at, and so how exact the limits are.
pub(crate) const TICK: Duration = Duration::from_millis(250);

/// How long a connection may stay in one condition.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// Without a request.
    pub(crate) idle: Duration,
    /// From a head's first byte to its last.
    pub(crate) head: Duration,
    /// Between two pieces of a body, in either direction.
    pub(crate) stall: Duration,
}

/// Why a connection was ended by the sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expired {
    Idle,
    Head,
    Stall,
}

/// What one connection is doing; times are ticks of the sweep.
#[derive(Debug)]
pub(crate) struct Watch {
    now: Rc<Cell<u64>>,
    /// When it last became idle; meaningful while `busy` is 0 and no head has begun.
    idle_since: Cell<u64>,
    head_since: Cell<Option<u64>>,
    /// Waiting for the next piece of a request's body.
    reading_since: Cell<Option<u64>>,
    /// Waiting for the peer to take bytes.
    writing_since: Cell<Option<u64>>,
    /// Requests begun and not answered in full.
    busy: Cell<u32>,
    expired: Cell<Option<Expired>>,
    draining: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

/// While it exists, a request is being answered on its connection.
#[derive(Debug)]
pub(crate) struct Busy(Rc<Watch>);

/// All connections of an instance.
#[derive(Debug)]
pub(crate) struct Watches {
    now: Rc<Cell<u64>>,
    next: Cell<u64>,
    all: RefCell<HashMap<u64, Rc<Watch>>>,
}

/// Keeps a connection among the watched ones.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) watch: Rc<Watch>,
    key: u64,
    of: Weak<Watches>,
}

impl Watches {
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Self { now: Rc::new(Cell::new(0)), next: Cell::new(0), all: RefCell::default() })
    }

    pub(crate) fn len(&self) -> usize {
        self.all.borrow().len()
    }

    /// A new connection, idle from now on.
    pub(crate) fn add(self: &Rc<Self>) -> Watched {
        let key = self.next.get();
        self.next.set(key + 1);
        let watch = Rc::new(Watch {
            now: self.now.clone(),
            idle_since: Cell::new(self.now.get()),
            head_since: Cell::new(None),
            reading_since: Cell::new(None),
            writing_since: Cell::new(None),
            busy: Cell::new(0),
            expired: Cell::new(None),
            draining: Cell::new(false),
            waker: RefCell::new(None),
        });
        self.all.borrow_mut().insert(key, watch.clone());
        Watched { watch, key, of: Rc::downgrade(self) }
    }

    /// One tick has passed: wakes the connections whose time is up.
    pub(crate) fn tick(&self, patience: Patience) {
        self.now.set(self.now.get() + 1);
        for watch in self.all.borrow().values() {
            watch.look(patience);
        }
    }

    /// Asks every connection to end after the answer it is at.
    pub(crate) fn drain(&self) {
        for watch in self.all.borrow().values() {
            watch.draining.set(true);
            watch.wake();
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(all) = self.of.upgrade() {
            all.all.borrow_mut().remove(&self.key);
        }
    }
}

impl Watch {
    /// A request has begun.
    pub(crate) fn begin(self: &Rc<Self>) -> Busy {
        self.busy.set(self.busy.get() + 1);
        Busy(self.clone())
    }

    /// The head's first bytes have come, but not all of it.
    pub(crate) fn head_began(&self) {
        if self.head_since.get().is_none() {
            self.head_since.set(Some(self.now.get()));
        }
    }

    /// No head is half there.
    pub(crate) fn head_ended(&self) {
        self.head_since.set(None);
    }

    /// The connection waits for more of a body (`true`), or has got some or does not want any.
    pub(crate) fn reading(&self, waits: bool) {
        wait(&self.reading_since, waits, self.now.get());
    }

    /// The connection waits for the peer to take bytes (`true`), or it has taken some.
    pub(crate) fn writing(&self, waits: bool) {
        wait(&self.writing_since, waits, self.now.get());
    }

    /// Whether a request is being answered.
    pub(crate) fn is_busy(&self) -> bool {
        self.busy.get() > 0
    }

    /// Whether the peer is still to take bytes of an answer.
    pub(crate) fn is_writing(&self) -> bool {
        self.writing_since.get().is_some()
    }

    /// Why this connection is to end, if it is. Registers the task to wake when that changes.
    pub(crate) fn expired(&self, waker: &Waker) -> Option<Expired> {
        let mut registered = self.waker.borrow_mut();
        if !registered.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *registered = Some(waker.clone());
        }
        self.expired.get()
    }

    /// Whether this connection is to end after the answer it is at.
    pub(crate) fn draining(&self) -> bool {
        self.draining.get()
    }

    fn look(&self, patience: Patience) {
        let over = |since: Option<u64>, most| since.is_some_and(|since| self.age(since) >= most);
        let expired = if over(self.head_since.get(), patience.head) {
            Expired::Head
        } else if over(self.reading_since.get(), patience.stall)
            || over(self.writing_since.get(), patience.stall)
        {
            Expired::Stall
        } else if self.busy.get() == 0 && self.age(self.idle_since.get()) >= patience.idle {
            Expired::Idle
        } else {
            return;
        };
        self.expired.set(Some(expired));
        self.wake();
    }

    fn age(&self, since: u64) -> Duration {
        TICK * u32::try_from(self.now.get() - since).unwrap_or(u32::MAX)
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.set(self.0.busy.get() - 1);
        self.0.idle_since.set(self.0.now.get());
    }
}

fn wait(since: &Cell<Option<u64>>, waits: bool, now: u64) {
    match (waits, since.get()) {
        (true, None) => since.set(Some(now)),
        (false, Some(_)) => since.set(None),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience {
        idle: Duration::from_secs(3),
        head: Duration::from_secs(1),
        stall: Duration::from_secs(2),
    };

    fn ticks(watches: &Watches, seconds: u32) {
        (0..seconds * 4).for_each(|_| watches.tick(PATIENCE));
    }

    #[test]
    fn an_idle_connection_expires_but_not_a_busy_one() {
        let watches = Watches::new();
        let one = watches.add();
        let busy = one.watch.begin();
        ticks(&watches, 10);
        assert_eq!(one.watch.expired.get(), None);
        drop(busy);
        ticks(&watches, 2);
        assert_eq!(one.watch.expired.get(), None);
        ticks(&watches, 1);
        assert_eq!(one.watch.expired.get(), Some(Expired::Idle));
    }

    #[test]
    fn a_dripping_head_expires_however_often_it_drips() {
        let watches = Watches::new();
        let one = watches.add();
        for _ in 0..4 {
            one.watch.head_began();
            watches.tick(PATIENCE);
        }
        assert_eq!(one.watch.expired.get(), Some(Expired::Head));
    }

    #[test]
    fn a_body_expires_only_when_nothing_moves() {
        let watches = Watches::new();
        let one = watches.add();
        let _busy = one.watch.begin();
        for _ in 0..5 {
            one.watch.reading(true);
            ticks(&watches, 1);
            one.watch.reading(false);
        }
        assert_eq!(one.watch.expired.get(), None);
        one.watch.writing(true);
        ticks(&watches, 2);
        assert_eq!(one.watch.expired.get(), Some(Expired::Stall));
    }

    #[test]
    fn an_ended_connection_is_no_longer_watched() {
        let watches = Watches::new();
        let one = watches.add();
        assert_eq!(watches.len(), 1);
        drop(one);
        assert_eq!(watches.len(), 0);
    }
}
