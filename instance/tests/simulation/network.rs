//! Calls: a request that takes its time, is lost, repeated or late, and an answer that does the same.

use std::{
    future::{Future, pending},
    rc::Rc,
    time::Duration,
};

use tokio::sync::oneshot;

use crate::{hub::Hub, kernel::TaskId, world::World};

/// A connection whose other end says nothing any more is given up after this.
const STALL: Duration = Duration::from_secs(60);

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    Client,
    Machine(usize),
}

/// Why a call brought nothing. A call that vanishes brings not even this: the caller's own deadline ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Nobody listens there.
    Gone,
    /// The connection broke.
    Broken,
}

/// What the network does with one call.
#[derive(Debug, Clone, Copy)]
struct Fate {
    there: Duration,
    back: Duration,
    /// It arrives even if its caller has gone meanwhile.
    late: bool,
    repeated: bool,
    lost: Option<Loss>,
    silent: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    There,
    Back,
}

fn fate(world: &World, caller: Caller, to: usize) -> Fate {
    let (random, weather) = (&world.random, world.weather.get());
    let near =
        matches!(caller, Caller::Machine(from) if world.machines[from].server == world.machines[to].server);
    let late = !near && random.in_1000(weather.late);
    let delay = if near {
        2
    } else if late {
        6000
    } else {
        weather.delay
    };
    let lost = !near && random.in_1000(weather.lost);
    Fate {
        there: random.millis(0, delay),
        back: random.millis(0, if near { 2 } else { weather.delay }),
        late,
        repeated: random.in_1000(weather.repeated),
        lost: lost.then(|| if random.in_1000(500) { Loss::There } else { Loss::Back }),
        silent: random.in_1000(500),
    }
}

fn is_cut(world: &World, caller: Caller, to: usize) -> bool {
    let to = world.machines[to].server;
    match caller {
        Caller::Client => world.servers[to].hidden.get(),
        Caller::Machine(from) => {
            let from = world.machines[from].server;
            world.cut.borrow().contains(&(from.min(to), from.max(to)))
        }
    }
}

/// Whether clients reach the instance of a machine.
pub(crate) fn answers(world: &World, machine: usize) -> bool {
    world.is_up(machine) && !is_cut(world, Caller::Client, machine)
}

/// Has `work` done at an instance and gives its result. If the caller goes before that, what is being done there is
/// dropped as soon as the instance learns of it.
pub(crate) async fn call<T: 'static, F: Future<Output = T> + 'static>(
    world: &Rc<World>,
    caller: Caller,
    to: usize,
    work: impl Fn(Rc<Hub>) -> F + 'static,
) -> Result<T, Trouble> {
    let fate = fate(world, caller, to);
    let (answer, answered) = oneshot::channel();
    let courier = world.kernel.spawn(carry(world.clone(), caller, to, fate, work, answer));
    let mut line = Line { world: world.clone(), caller, to, fate, courier, over: false };
    match answered.await {
        Ok(answer) => {
            line.over = true;
            answer
        }
        Err(_) => pending().await,
    }
}

/// As [`call`], to whichever instance the server's front chooses; another if that one does not listen.
pub(crate) async fn call_server<T: 'static, F: Future<Output = T> + 'static>(
    world: &Rc<World>,
    caller: Caller,
    server: usize,
    work: impl Fn(Rc<Hub>) -> F + Clone + 'static,
) -> Result<T, Trouble> {
    while let Some(machine) = world.front(server) {
        match call(world, caller, machine, work.clone()).await {
            Err(Trouble::Gone) => {}
            answer => return answer,
        }
    }
    // A front without instances answers all the same, if it can be reached.
    if is_cut(world, caller, world.servers[server].machines[0]) {
        pending().await
    } else {
        Err(Trouble::Gone)
    }
}

async fn carry<T: 'static, F: Future<Output = T> + 'static>(
    world: Rc<World>,
    caller: Caller,
    to: usize,
    fate: Fate,
    work: impl Fn(Rc<Hub>) -> F + 'static,
    answer: oneshot::Sender<Result<T, Trouble>>,
) {
    world.kernel.sleep(fate.there).await;
    if fate.lost == Some(Loss::There) || is_cut(&world, caller, to) {
        return lose(answer, fate);
    }
    let Some(hub) = world.hub(to) else {
        world.kernel.sleep(fate.back).await;
        let _ = answer.send(Err(Trouble::Gone));
        return;
    };
    if fate.repeated {
        let (again, clock) = (work(hub.clone()), world.clone());
        let pause = world.random.millis(0, 3000);
        world.spawn_at(to, async move {
            clock.kernel.sleep(pause).await;
            drop(again.await);
        });
    }
    let (done, result) = oneshot::channel();
    let doing = work(hub);
    let handler = world.spawn_at(to, async move {
        // Whoever waited for this may be gone.
        let _ = done.send(doing.await);
    });
    let _handler = Handler { world: world.clone(), task: handler };
    let result = result.await;
    world.kernel.sleep(fate.back).await;
    if fate.lost == Some(Loss::Back) || is_cut(&world, caller, to) {
        drop(result);
        return lose(answer, fate);
    }
    // The caller may be gone: then the answer is dropped on the way.
    let _ = answer.send(result.map_err(|_| Trouble::Broken));
}

fn lose<T>(answer: oneshot::Sender<Result<T, Trouble>>, fate: Fate) {
    if !fate.silent {
        let _ = answer.send(Err(Trouble::Broken));
    }
}

/// What an instance does for a call, ended on drop.
struct Handler {
    world: Rc<World>,
    task: TaskId,
}

impl Drop for Handler {
    fn drop(&mut self) {
        self.world.kernel.abort(self.task);
    }
}

/// The caller's end of a connection.
struct Line {
    world: Rc<World>,
    caller: Caller,
    to: usize,
    fate: Fate,
    courier: TaskId,
    over: bool,
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let (world, courier) = (self.world.clone(), self.courier);
        let unnoticed = world.vanishing.get() || is_cut(&world, self.caller, self.to);
        let after = match unnoticed {
            true => STALL,
            false if self.fate.late => self.fate.there,
            false => world.random.millis(0, 20),
        };
        self.world.kernel.spawn(async move {
            world.kernel.sleep(after).await;
            world.kernel.abort(courier);
        });
    }
}
