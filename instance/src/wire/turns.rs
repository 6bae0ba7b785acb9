//! Whose turn it is to move a piece of a long body.
//!
//! Thousands of bodies may be ready to go on at one moment: readers that are slow at the same pace have room again at the same
//! time. Were all moved at once, whoever asks for something short would wait for all of them. So between two looks at the system's
//! events only so much is moved, and the others stand in line. The first piece of a body does not: most bodies have one.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    task::{Context, Poll, Waker},
};

use tokio::{sync::Notify, task::yield_now};

/// Bytes that may be moved between two looks, by whoever comes while nobody is in line.
pub(super) const ROUND_BYTES: usize = 512 << 10;
/// How many of the line may move a piece between two looks, at least.
pub(super) const ROUND_PLACES: usize = 8;
/// One of so many may, however many there are: so a turn comes after so many looks at most.
const LOOKS_MAX: usize = 64;

/// The line.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    left: Cell<usize>,
    /// In the order of their numbers, of which none is left out.
    waiting: RefCell<VecDeque<Waker>>,
    /// The number of the first of them: whoever has a smaller one may go.
    first: Cell<u64>,
    wanted: Notify,
}

/// One body's place in the line, if it has taken one.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    number: Option<u64>,
    /// Its turn has come, and it has moved nothing since.
    granted: bool,
}

impl Turns {
    /// Waits until a piece may be moved: until [`Turns::spend`] the turn is the body's.
    pub(crate) fn poll(&self, turn: &mut Turn, cx: &mut Context<'_>) -> Poll<()> {
        turn.granted = turn.granted || self.is_next(turn, cx);
        if turn.granted { Poll::Ready(()) } else { Poll::Pending }
    }

    fn is_next(&self, turn: &mut Turn, cx: &mut Context<'_>) -> bool {
        let (mut waiting, first) = (self.waiting.borrow_mut(), self.first.get());
        match turn.number {
            None if self.left.get() > 0 && waiting.is_empty() => return true,
            None => {
                turn.number = Some(first + waiting.len() as u64);
                waiting.push_back(cx.waker().clone());
                self.wanted.notify_one();
            }
            Some(number) if number < first => {
                turn.number = None;
                return true;
            }
            Some(number) => {
                if let Some(known) = waiting.get_mut((number - first) as usize) {
                    known.clone_from(cx.waker());
                }
            }
        }
        false
    }

    /// So many bytes have been moved: whoever moved them waits for the next turn.
    pub(crate) fn spend(&self, turn: &mut Turn, bytes: usize) {
        turn.granted = false;
        self.left.set(self.left.get().saturating_sub(bytes));
    }

    /// Lets those in line go on, for ever.
    pub(crate) async fn give_forever(&self) {
        loop {
            self.wanted.notified().await;
            while !self.waiting.borrow().is_empty() {
                // The runtime looks at the system's events before it comes back here.
                yield_now().await;
                self.begin_round();
            }
        }
    }

    fn begin_round(&self) {
        self.left.set(ROUND_BYTES);
        let places = ROUND_PLACES.max(self.waiting.borrow().len().div_ceil(LOOKS_MAX));
        for _ in 0..places {
            let Some(next) = self.waiting.borrow_mut().pop_front() else { return };
            self.first.set(self.first.get() + 1);
            next.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_next(turns: &Turns, turn: &mut Turn) -> bool {
        turns.poll(turn, &mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn whoever_comes_while_bytes_are_left_goes_at_once() {
        let turns = Turns::default();
        turns.begin_round();
        assert!((0..100).all(|_| is_next(&turns, &mut Turn::default())));
        turns.spend(&mut Turn::default(), ROUND_BYTES - 1);
        assert!(is_next(&turns, &mut Turn::default()));
        turns.spend(&mut Turn::default(), 1000);
        assert!(!is_next(&turns, &mut Turn::default()));
    }

    #[test]
    fn the_line_is_served_in_its_order_so_many_a_round() {
        let turns = Turns::default();
        let mut all: Vec<_> = (0..3 * ROUND_PLACES).map(|_| Turn::default()).collect();
        assert!(all.iter_mut().all(|turn| !is_next(&turns, turn)));
        for _ in 0..3 {
            turns.begin_round();
            assert!(!is_next(&turns, &mut Turn::default()), "nobody passes the line");
            let served: Vec<_> = all.iter_mut().map(|turn| is_next(&turns, turn)).collect();
            let expected: Vec<_> = (0..all.len()).map(|place| place < ROUND_PLACES).collect();
            assert_eq!(served, expected);
            all.drain(..ROUND_PLACES);
        }
    }

    #[test]
    fn a_long_line_is_served_in_so_many_looks() {
        let turns = Turns::default();
        let mut all: Vec<_> = (0..10_000).map(|_| Turn::default()).collect();
        assert!(all.iter_mut().all(|turn| !is_next(&turns, turn)));
        // The last of them are few, and fewer are served at a time.
        (0..6 * LOOKS_MAX).for_each(|_| turns.begin_round());
        assert!(all.iter_mut().all(|turn| is_next(&turns, turn)));
    }

    #[test]
    fn a_turn_lasts_until_something_is_moved() {
        let (turns, mut turn) = (Turns::default(), Turn::default());
        turns.begin_round();
        assert!(is_next(&turns, &mut turn));
        turns.spend(&mut Turn::default(), ROUND_BYTES);
        assert!(is_next(&turns, &mut turn));
        turns.spend(&mut turn, 1);
        assert!(!is_next(&turns, &mut turn));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn everyone_gets_a_turn_and_who_has_gone_stops_nobody() {
        let turns = Turns::default();
        let work = async {
            for _ in 0..10 * ROUND_PLACES {
                let mut gone = Turn::default();
                let _ = turns.poll(&mut gone, &mut Context::from_waker(Waker::noop()));
                let mut turn = Turn::default();
                std::future::poll_fn(|cx| turns.poll(&mut turn, cx)).await;
                turns.spend(&mut turn, ROUND_BYTES);
            }
        };
        tokio::select! {
            () = work => {}
            () = turns.give_forever() => {}
        }
    }
}
