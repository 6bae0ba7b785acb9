//! Since when each line waits for what. A sweep over all of them, a few times a second, ends those that have waited too
//! long: no line needs a timer, and reading or writing costs no look at the clock.
//!
//! Many lines are swept a part at a time, spread over the round: what expires together is then not answered together.

use std::{
    cell::{Cell, Ref, RefCell},
    rc::Rc,
    task::Waker,
    time::{Duration, SystemTime},
};

use slab::Slab;

use crate::wire::{
    pipe::Pipes,
    standing::{Doing, Expired, Patience, State, TICK},
    traffic::Spares,
    turns::Turns,
};

/// Most parts of a round.
const PARTS_MAX: usize = 25;
/// Lines that are not worth parting.
const PART_MIN: usize = 256;

/// All lines of an instance, and what they share.
#[derive(Debug)]
pub(crate) struct Lines {
    /// Rounds of the sweep, from 1: one a tick.
    now: Cell<u32>,
    all: RefCell<Slab<State>>,
    /// The first line that is not swept in this round.
    unswept: Cell<usize>,
    /// No line has a greater key.
    greatest: Cell<usize>,
    draining: Cell<bool>,
    /// Bytes that all lines hold.
    buffered: Cell<usize>,
    /// More than this is not to be held.
    buffered_max: usize,
    /// Where all lines read into; nothing stays here.
    pub(crate) scratch: RefCell<Vec<u8>>,
    pub(super) spares: Spares,
    pub(super) pipes: Pipes,
    pub(crate) turns: Turns,
    /// The present time as answers say it.
    date: RefCell<String>,
}

/// Keeps a line among the watched ones.
#[derive(Debug)]
pub(crate) struct Watched {
    of: Rc<Lines>,
    key: u32,
}

impl Lines {
    /// None yet. `scratch` bytes are read at a time; new work is refused while all lines hold `buffered_max` bytes.
    pub(crate) fn new(scratch: usize, buffered_max: usize) -> Rc<Self> {
        Rc::new(Self {
            now: Cell::new(1),
            all: RefCell::default(),
            unswept: Cell::new(0),
            greatest: Cell::new(0),
            draining: Cell::new(false),
            buffered: Cell::new(0),
            buffered_max,
            scratch: RefCell::new(vec![0; scratch]),
            spares: Spares::default(),
            pipes: Pipes::default(),
            turns: Turns::default(),
            date: RefCell::new(date()),
        })
    }

    /// Lines that are open.
    pub(crate) fn len(&self) -> usize {
        self.all.borrow().len()
    }

    /// Whether lines hold as much as they may: no new work then, and small pieces of what runs.
    pub(crate) fn are_full(&self) -> bool {
        self.buffered.get() >= self.buffered_max
    }

    /// The present time, exact to a tick, as RFC 9110 §5.6.7 has it.
    pub(crate) fn date(&self) -> Ref<'_, str> {
        Ref::map(self.date.borrow(), String::as_str)
    }

    /// Whether every line is to end after the answer it is at.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// A new line, idle from now on.
    pub(crate) fn add(self: &Rc<Self>) -> Watched {
        let key = self.all.borrow_mut().insert(State::new(self.now.get()));
        self.greatest.set(self.greatest.get().max(key));
        Watched { of: self.clone(), key: key as u32 }
    }

    /// Wakes those of the next part of all lines whose time is up. Gives after how long the part behind it is to follow.
    pub(crate) fn sweep(&self, patience: &Patience) -> Duration {
        let (from, end) = (self.unswept.get(), self.greatest.get() + 1);
        if from == 0 {
            self.now.set(self.now.get() + 1);
            self.date.replace(date());
        }
        let parts = end.div_ceil(PART_MIN).min(PARTS_MAX);
        let to = end.min(from + end.div_ceil(parts));
        let (now, mut all) = (self.now.get(), self.all.borrow_mut());
        for key in from..to {
            if let Some(state) = all.get_mut(key) {
                state.look(now, patience);
            }
        }
        self.unswept.set(if to < end { to } else { 0 });
        TICK / parts as u32
    }

    /// Asks every line to end after the answer it is at.
    pub(crate) fn drain(&self) {
        self.draining.set(true);
        for (_, state) in &*self.all.borrow() {
            state.wake();
        }
    }
}

impl Watched {
    /// What the line is at from now on.
    pub(crate) fn begin(&self, doing: Doing) {
        let now = self.of.now.get();
        self.with(|state| state.begin(doing, now));
    }

    /// The line waits for more of a body (`true`), or has got some or does not want any.
    pub(crate) fn reading(&self, waits: bool) {
        let now = self.of.now.get();
        self.with(|state| state.reading(waits, now));
    }

    /// The line waits for the peer to take bytes (`true`), or it has taken some.
    pub(crate) fn writing(&self, waits: bool) {
        let now = self.of.now.get();
        self.with(|state| state.writing(waits, now));
    }

    /// Which condition has lasted too long, if one has. Registers the task to wake when that changes.
    pub(crate) fn expired(&self, waker: &Waker) -> Option<Expired> {
        self.with(|state| state.expired(waker))
    }

    /// Wakes the line's task.
    pub(crate) fn wake(&self) {
        self.with(|state| state.wake());
    }

    /// All lines.
    pub(crate) fn lines(&self) -> &Lines {
        &self.of
    }

    /// The line holds so many bytes where it held `before`.
    pub(crate) fn holds(&self, before: usize, now: usize) {
        let all = &self.of.buffered;
        all.set((all.get() + now).saturating_sub(before));
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        // In the slab from `add` to `drop`.
        change(&mut self.of.all.borrow_mut()[self.key as usize])
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // Waking may drop the last handle of a task, and with it another line: not while the slab is borrowed.
        let state = self.of.all.borrow_mut().remove(self.key as usize);
        drop(state);
    }
}

fn date() -> String {
    httpdate::fmt_http_date(SystemTime::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const PATIENCE: Patience = Patience {
        idle: SECOND.saturating_mul(3),
        head: SECOND,
        stall: SECOND.saturating_mul(2),
        parked: SECOND.saturating_mul(4),
        reply: SECOND.saturating_mul(5),
    };

    fn ticks(lines: &Lines, seconds: u32) {
        (0..seconds * 4).for_each(|_| assert_eq!(lines.sweep(&PATIENCE), TICK));
    }

    fn expired(watched: &Watched) -> Option<Expired> {
        watched.expired(Waker::noop())
    }

    #[test]
    fn each_condition_has_its_own_time() {
        for (doing, seconds, what) in [
            (Doing::Idle, 3, Expired::Idle),
            (Doing::Head, 1, Expired::Head),
            (Doing::Parked, 4, Expired::Parked),
            (Doing::Reply, 5, Expired::Reply),
        ] {
            let lines = Lines::new(1, 1);
            let one = lines.add();
            ticks(&lines, 1);
            one.begin(Doing::Busy);
            one.begin(doing);
            ticks(&lines, seconds - 1);
            assert_eq!(expired(&one), None, "{doing:?}");
            ticks(&lines, 1);
            assert_eq!(expired(&one), Some(what));
            one.begin(Doing::Busy);
            assert_eq!(expired(&one), None, "what has ended cannot be late");
        }
    }

    #[test]
    fn a_busy_line_does_not_expire() {
        let lines = Lines::new(1, 1);
        let one = lines.add();
        one.begin(Doing::Busy);
        ticks(&lines, 100);
        assert_eq!(expired(&one), None);
    }

    #[test]
    fn a_dripping_head_expires_however_often_it_drips() {
        let lines = Lines::new(1, 1);
        let one = lines.add();
        for _ in 0..4 {
            one.begin(Doing::Head);
            lines.sweep(&PATIENCE);
        }
        assert_eq!(expired(&one), Some(Expired::Head));
    }

    #[test]
    fn a_body_expires_only_when_nothing_moves() {
        let lines = Lines::new(1, 1);
        let one = lines.add();
        one.begin(Doing::Busy);
        for _ in 0..5 {
            one.reading(true);
            ticks(&lines, 1);
            one.reading(false);
        }
        assert_eq!(expired(&one), None);
        one.writing(true);
        ticks(&lines, 2);
        assert_eq!(expired(&one), Some(Expired::Stall));
        one.writing(false);
        assert_eq!(expired(&one), None, "it moved before anybody looked");
    }

    #[test]
    fn many_lines_are_swept_in_parts_each_once_in_a_round() {
        let lines = Lines::new(1, 1);
        let all: Vec<_> = (0..10 * PART_MIN).map(|_| lines.add()).collect();
        all.iter().for_each(|one| one.begin(Doing::Head));
        let late = || all.iter().filter(|one| expired(one).is_some()).count();
        let mut pauses = Duration::ZERO;
        let mut seen = Vec::new();
        while late() < all.len() {
            pauses += lines.sweep(&PATIENCE);
            seen.push(late());
        }
        assert_eq!(pauses, SECOND);
        let last_round: Vec<_> = (0..=10).map(|part| part * PART_MIN).collect();
        assert_eq!(seen[seen.len() - 11..], last_round);
    }

    #[test]
    fn an_ended_line_is_no_longer_watched() {
        let lines = Lines::new(1, 1);
        let one = lines.add();
        assert_eq!(lines.len(), 1);
        drop(one);
        assert_eq!(lines.len(), 0);
    }
}
