//! Virtual time and chance: tasks that run one at a time, timers that fire in order, nothing else.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, VecDeque},
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Wake, Waker},
};

use futures_util::future::{Either, select};

/// More steps than any run needs: beyond it something runs in circles.
const STEPS_MAX: u64 = 2_000_000;

type Work = Pin<Box<dyn Future<Output = ()>>>;

/// Runs the tasks. Times are in ms.
#[derive(Default)]
pub(super) struct Kernel {
    now: Cell<u64>,
    numbers: Cell<u64>,
    pub(super) steps: Cell<u64>,
    tasks: RefCell<BTreeMap<u64, Task>>,
    timers: RefCell<BTreeMap<(u64, u64), Waker>>,
    ready: Arc<Mutex<VecDeque<u64>>>,
}

struct Task {
    /// The machine with whose process it ends.
    owner: Option<usize>,
    /// Away while it is being carried on.
    work: Option<Work>,
    waker: Waker,
}

struct Ready {
    task: u64,
    queue: Arc<Mutex<VecDeque<u64>>>,
}

impl Wake for Ready {
    fn wake(self: Arc<Self>) {
        self.queue.lock().unwrap().push_back(self.task);
    }
}

impl Kernel {
    pub(super) fn now(&self) -> u64 {
        self.now.get()
    }

    pub(super) fn spawn(&self, owner: Option<usize>, work: impl Future<Output = ()> + 'static) {
        let task = self.number();
        let waker = Waker::from(Arc::new(Ready { task, queue: self.ready.clone() }));
        self.tasks.borrow_mut().insert(task, Task { owner, work: Some(Box::pin(work)), waker });
        self.ready.lock().unwrap().push_back(task);
    }

    /// Ends every task of a machine's process where it stands.
    pub(super) fn abort(&self, owner: usize) {
        let mut tasks = self.tasks.borrow_mut();
        let ended: Vec<_> = tasks.extract_if(.., |_, task| task.owner == Some(owner)).collect();
        drop(tasks);
        drop(ended);
    }

    /// Ends every task.
    pub(super) fn close(&self) {
        let tasks = self.tasks.take();
        drop(tasks);
        self.timers.take();
    }

    pub(super) async fn sleep(&self, ms: u64) {
        let due = (self.now() + ms, self.number());
        poll_fn(|context| {
            if self.now() >= due.0 {
                return Poll::Ready(());
            }
            self.timers.borrow_mut().insert(due, context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// What comes of `work` within `ms`.
    pub(super) async fn timeout<T>(&self, ms: u64, work: impl Future<Output = T>) -> Option<T> {
        match select(Box::pin(work), Box::pin(self.sleep(ms))).await {
            Either::Left((done, _)) => Some(done),
            Either::Right(_) => None,
        }
    }

    /// Carries the tasks on until `over` says so.
    pub(super) fn run(&self, over: impl Fn() -> bool) -> Result<(), String> {
        while !over() {
            let task = self.ready.lock().unwrap().pop_front();
            match task {
                Some(task) => self.carry_on(task),
                None => {
                    let next = self.timers.borrow_mut().pop_first();
                    let ((due, _), waker) = next.ok_or("nothing is left to do")?;
                    self.now.set(due.max(self.now()));
                    waker.wake();
                }
            }
            self.steps.set(self.steps.get() + 1);
            if self.steps.get() > STEPS_MAX {
                return Err("it runs in circles".into());
            }
        }
        Ok(())
    }

    fn carry_on(&self, task: u64) {
        let mut tasks = self.tasks.borrow_mut();
        let Some(Task { work, waker, .. }) = tasks.get_mut(&task) else { return };
        let (Some(mut work), waker) = (work.take(), waker.clone()) else { return };
        drop(tasks);
        let polled = work.as_mut().poll(&mut Context::from_waker(&waker));
        let mut tasks = self.tasks.borrow_mut();
        if polled.is_ready() {
            tasks.remove(&task);
        } else if let Some(task) = tasks.get_mut(&task) {
            task.work = Some(work);
            return;
        }
        drop(tasks);
    }

    fn number(&self) -> u64 {
        self.numbers.set(self.numbers.get() + 1);
        self.numbers.get()
    }
}

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
#[derive(Debug)]
pub(super) struct Random(Cell<u64>);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(Cell::new(seed))
    }

    pub(super) fn next(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From `low` to `high`, both inclusive.
    pub(super) fn range(&self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    /// Below `len`.
    pub(super) fn index(&self, len: usize) -> usize {
        (self.next() % len as u64) as usize
    }

    pub(super) fn in_1000(&self, share: u64) -> bool {
        self.next() % 1000 < share
    }
}
