//! Virtual time: tasks that run one at a time, timers that fire in order, nothing else. The same tasks with the same
//! seed take the same steps.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, VecDeque},
    future::Future,
    pin::Pin,
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

/// More steps than any run needs: beyond it something runs in circles.
const STEPS_MAX: u64 = 20_000_000;

type Work = Pin<Box<dyn Future<Output = ()>>>;

/// Names a task; its end makes the name void.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TaskId {
    slot: usize,
    number: u64,
}

/// Runs the tasks.
#[derive(Default)]
pub(crate) struct Kernel {
    now: Cell<u64>,
    numbers: Cell<u64>,
    steps: Cell<u64>,
    closed: Cell<bool>,
    tasks: RefCell<Vec<Task>>,
    /// Slots whose tasks have ended.
    free: RefCell<Vec<usize>>,
    timers: RefCell<BTreeMap<(u64, u64), Waker>>,
    ready: Arc<Mutex<VecDeque<TaskId>>>,
}

struct Task {
    number: u64,
    waker: Waker,
    state: State,
}

enum State {
    Waiting(Work),
    /// Its work is away, being carried on.
    Running,
    Ended,
}

struct Ready {
    id: TaskId,
    queue: Arc<Mutex<VecDeque<TaskId>>>,
}

impl Wake for Ready {
    fn wake(self: Arc<Self>) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).push_back(self.id);
    }
}

impl Task {
    fn is_running(&self, id: TaskId) -> bool {
        self.number == id.number && matches!(self.state, State::Running)
    }
}

impl Kernel {
    /// Time since the beginning.
    pub(crate) fn now(&self) -> Duration {
        Duration::from_micros(self.now.get())
    }

    /// Steps taken.
    pub(crate) fn steps(&self) -> u64 {
        self.steps.get()
    }

    /// A number never given before.
    pub(crate) fn number(&self) -> u64 {
        self.numbers.set(self.numbers.get() + 1);
        self.numbers.get()
    }

    /// A new task.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + 'static) -> TaskId {
        let mut tasks = self.tasks.borrow_mut();
        let slot = self.free.borrow_mut().pop().unwrap_or(tasks.len());
        let id = TaskId { slot, number: self.number() };
        let waker = Waker::from(Arc::new(Ready { id, queue: self.ready.clone() }));
        if !self.closed.get() {
            waker.wake_by_ref();
        }
        let task = Task { number: id.number, waker, state: State::Waiting(Box::pin(work)) };
        if slot == tasks.len() {
            tasks.push(task);
        } else {
            tasks[slot] = task;
        }
        id
    }

    /// Ends a task where it stands: what it holds is dropped.
    pub(crate) fn abort(&self, id: TaskId) {
        let ended = self.change(id, State::Ended);
        if matches!(ended, Some(State::Waiting(_))) {
            self.free.borrow_mut().push(id.slot);
        }
        // Dropping may abort others.
        drop(ended);
    }

    /// Puts a task that has not ended into another state; gives the one before.
    fn change(&self, id: TaskId, state: State) -> Option<State> {
        let mut tasks = self.tasks.borrow_mut();
        let task = tasks.get_mut(id.slot).filter(|task| task.number == id.number)?;
        (!matches!(task.state, State::Ended)).then(|| std::mem::replace(&mut task.state, state))
    }

    /// Carries on whatever there is until `root` has ended. `Err` says why it cannot.
    pub(crate) fn run<T: 'static>(&self, root: impl Future<Output = T> + 'static) -> Result<T, String> {
        let result = Rc::new(RefCell::new(None));
        let end = result.clone();
        self.spawn(async move {
            let ended = root.await;
            *end.borrow_mut() = Some(ended);
        });
        loop {
            while let Some(id) = self.next_ready() {
                self.step(id);
                if let Some(result) = result.borrow_mut().take() {
                    return Ok(result);
                }
            }
            if self.steps.get() > STEPS_MAX {
                return Err("it runs in circles".into());
            }
            let Some(((at, _), waker)) = self.timers.borrow_mut().pop_first() else {
                return Err("nothing is left to happen".into());
            };
            self.now.set(at);
            waker.wake();
        }
    }

    /// Drops every task, and those that come of that.
    pub(crate) fn close(&self) {
        self.closed.set(true);
        while let Some(tasks) = Some(self.tasks.take()).filter(|tasks| !tasks.is_empty()) {
            self.free.borrow_mut().clear();
            drop(tasks);
        }
    }

    fn next_ready(&self) -> Option<TaskId> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    fn step(&self, id: TaskId) {
        let Some(State::Waiting(mut work)) = self.change(id, State::Running) else { return };
        let Some(waker) = self.tasks.borrow().get(id.slot).map(|task| task.waker.clone()) else { return };
        self.steps.set(self.steps.get() + 1);
        let ended = work.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        if ended {
            self.change(id, State::Ended);
        } else if self.tasks.borrow()[id.slot].is_running(id) {
            self.change(id, State::Waiting(work));
            return;
        }
        // It has ended, or was aborted by its own doing.
        self.free.borrow_mut().push(id.slot);
    }

    /// Waits so long.
    pub(crate) fn sleep(self: &Rc<Self>, time: Duration) -> Sleep {
        let at = self.now.get().saturating_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
        Sleep { kernel: self.clone(), at, timer: None }
    }

    /// Waits for `work`, at most so long.
    pub(crate) async fn timeout<T>(
        self: &Rc<Self>,
        time: Duration,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        tokio::select! {
            biased;
            done = work => Some(done),
            () = self.sleep(time) => None,
        }
    }
}

/// A wait.
pub(crate) struct Sleep {
    kernel: Rc<Kernel>,
    at: u64,
    timer: Option<(u64, u64)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.kernel.now.get() >= self.at {
            return Poll::Ready(());
        }
        let timer = self.timer.unwrap_or_else(|| (self.at, self.kernel.number()));
        self.timer = Some(timer);
        self.kernel.timers.borrow_mut().insert(timer, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(timer) = self.timer {
            self.kernel.timers.borrow_mut().remove(&timer);
        }
    }
}

/// Numbers that look like chance (splitmix64).
#[derive(Debug)]
pub(crate) struct Random(Cell<u64>);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        let random = Self(Cell::new(seed));
        random.next();
        random
    }

    pub(crate) fn next(&self) -> u64 {
        self.0.set(self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
        let z = self.0.get();
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From `low` to `high`, both inclusive.
    pub(crate) fn range(&self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    /// A place in a list of `len`.
    pub(crate) fn index(&self, len: usize) -> usize {
        self.range(0, len as u64 - 1) as usize
    }

    /// True in so many of a thousand cases.
    pub(crate) fn in_1000(&self, cases: u64) -> bool {
        self.next() % 1000 < cases
    }

    /// From `low` to `high` milliseconds.
    pub(crate) fn millis(&self, low: u64, high: u64) -> Duration {
        Duration::from_micros(self.range(low * 1000, high * 1000))
    }
}
