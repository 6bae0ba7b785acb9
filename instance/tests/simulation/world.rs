//! A fleet: servers with their fronts, instances with their clocks, the network between them, and what went wrong.

use std::{
    cell::{Cell, RefCell},
    fmt::Display,
    future::Future,
    rc::Rc,
    time::{Duration, Instant},
};

use switchboard_fleet::{CustomerId, InstanceName, ServerName};

use crate::{
    hub::Hub,
    kernel::{Kernel, Random, TaskId},
};

/// What all clocks would show at the beginning, ms since 1970.
const BEGINNING_MS: u64 = 1_700_000_000_000;

/// The timers of the fleet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timers {
    pub(crate) agent: Duration,
    pub(crate) cache: Duration,
    pub(crate) client: Duration,
    pub(crate) no_reply: Duration,
    pub(crate) lookup: Duration,
    pub(crate) drain: Duration,
}

/// What happens to calls, in cases of a thousand.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weather {
    pub(crate) lost: u64,
    pub(crate) repeated: u64,
    pub(crate) late: u64,
    /// The longest a message takes, in ms.
    pub(crate) delay: u64,
}

pub(crate) const CALM: Weather = Weather { lost: 0, repeated: 0, late: 0, delay: 20 };

/// A host with its front.
pub(crate) struct Server {
    pub(crate) name: ServerName,
    pub(crate) machines: Vec<usize>,
    /// The clients cannot reach it.
    pub(crate) hidden: Cell<bool>,
    turn: Cell<usize>,
}

/// What an instance runs on: stays when the instance dies.
pub(crate) struct Machine {
    pub(crate) name: InstanceName,
    pub(crate) server: usize,
    pub(crate) hub: RefCell<Option<Rc<Hub>>>,
    pub(crate) configured: Vec<ServerName>,
    tasks: RefCell<Vec<TaskId>>,
    /// How far its clock is ahead, in ms.
    pub(crate) skew: Cell<i64>,
}

/// Everything.
pub(crate) struct World {
    pub(crate) kernel: Rc<Kernel>,
    pub(crate) random: Random,
    pub(crate) timers: Timers,
    /// Whether clocks jump.
    pub(crate) jumping_clocks: bool,
    /// Entries of each instance's location table.
    pub(crate) locations: usize,
    pub(crate) servers: Vec<Server>,
    pub(crate) machines: Vec<Machine>,
    pub(crate) weather: Cell<Weather>,
    /// Pairs of servers that cannot reach each other, the lower number first.
    pub(crate) cut: RefCell<Vec<(usize, usize)>>,
    /// What will be done later, unless all is put right before.
    pub(crate) later: RefCell<Vec<TaskId>>,
    /// A client that goes now goes without a word: its end of the connection vanishes.
    pub(crate) vanishing: Cell<bool>,
    /// The run is nearly over: nobody is greeted any more.
    pub(crate) ending: Cell<bool>,
    pub(crate) tally: Tally,
    began: Instant,
    traced: bool,
    fault: RefCell<Option<String>>,
}

/// What happened in a run, to see that it is worth running.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) answers: Cell<u64>,
    pub(crate) nobody: Cell<u64>,
    pub(crate) errors: Cell<u64>,
    pub(crate) redirects: Cell<u64>,
    pub(crate) waits: Cell<u64>,
    pub(crate) unread: Cell<u64>,
    pub(crate) no_replies: Cell<u64>,
    pub(crate) refused_replies: Cell<u64>,
    pub(crate) probes: Cell<u64>,
}

/// Adds one.
pub(crate) fn count(counter: &Cell<u64>) {
    counter.set(counter.get() + 1);
}

impl World {
    /// A fleet of which no instance runs yet: so many instances on each server.
    pub(crate) fn new(
        random: Random,
        timers: Timers,
        locations: usize,
        sizes: &[usize],
        traced: bool,
    ) -> Rc<Self> {
        let name = |server: usize| -> ServerName {
            format!("s{server}.example.net").parse().expect("a server name")
        };
        let mut machines = Vec::new();
        let mut servers = Vec::new();
        for (server, size) in sizes.iter().enumerate() {
            let first = machines.len();
            for number in 0..*size {
                // Enough to find everyone: each server is told of one before it, or of all.
                let all = random.in_1000(300);
                let known = |other: usize| {
                    if all { other != server } else { server > 0 && other == (server - 1) / 2 }
                };
                let configured = (0..sizes.len()).filter(|other| known(*other)).map(name).collect();
                let name = InstanceName { server: name(server), port: 8081 + number as u16 };
                let (hub, tasks) = (RefCell::default(), RefCell::default());
                machines.push(Machine { name, server, hub, configured, tasks, skew: Cell::new(0) });
            }
            let machines = (first..machines.len()).collect();
            servers.push(Server {
                name: name(server),
                machines,
                hidden: Cell::new(false),
                turn: Cell::new(0),
            });
        }
        Rc::new(Self {
            kernel: Rc::default(),
            jumping_clocks: random.in_1000(600),
            random,
            timers,
            locations,
            servers,
            machines,
            weather: Cell::new(CALM),
            cut: RefCell::default(),
            later: RefCell::default(),
            vanishing: Cell::new(false),
            ending: Cell::new(false),
            tally: Tally::default(),
            began: Instant::now(),
            traced,
            fault: RefCell::new(None),
        })
    }

    /// The time that everyone would agree on.
    pub(crate) fn instant(&self) -> Instant {
        self.began + self.kernel.now()
    }

    /// What the clock of a machine shows, ms since 1970.
    pub(crate) fn clock_ms(&self, machine: usize) -> u64 {
        let true_ms = BEGINNING_MS + self.kernel.now().as_millis() as u64;
        true_ms.saturating_add_signed(self.machines[machine].skew.get())
    }

    /// The machine of an instance's name.
    pub(crate) fn machine(&self, name: &InstanceName) -> usize {
        self.machines
            .iter()
            .position(|machine| machine.name == *name)
            .expect("only names of this fleet are told")
    }

    /// The instance that the front of a server hands the next call to: one that runs.
    pub(crate) fn front(&self, server: usize) -> Option<usize> {
        let server = &self.servers[server];
        server.turn.set(server.turn.get() + 1);
        let count = server.machines.len();
        (0..count)
            .map(|n| server.machines[(server.turn.get() + n) % count])
            .find(|machine| self.is_up(*machine))
    }

    pub(crate) fn is_up(&self, machine: usize) -> bool {
        self.machines[machine].hub.borrow().is_some()
    }

    /// The instances that run.
    pub(crate) fn running(&self) -> Vec<usize> {
        (0..self.machines.len()).filter(|machine| self.is_up(*machine)).collect()
    }

    pub(crate) fn hub(&self, machine: usize) -> Option<Rc<Hub>> {
        self.machines[machine].hub.borrow().clone()
    }

    /// A task that ends with the instance of this machine.
    pub(crate) fn spawn_at(&self, machine: usize, work: impl Future<Output = ()> + 'static) -> TaskId {
        let id = self.kernel.spawn(work);
        self.machines[machine].tasks.borrow_mut().push(id);
        id
    }

    /// Starts the instance of a machine, unless it runs.
    pub(crate) fn start(self: &Rc<Self>, machine: usize) {
        if !self.is_up(machine) {
            self.trace(|| format!("{} starts", self.machines[machine].name));
            let hub = Hub::new(self, machine);
            *self.machines[machine].hub.borrow_mut() = Some(hub.clone());
            self.spawn_at(machine, crate::gossip::greet_forever(hub.clone()));
            self.spawn_at(machine, crate::hub::sweep_forever(hub));
        }
    }

    /// Ends an instance at once, with all its tasks and connections.
    pub(crate) fn kill(&self, machine: usize) {
        let hub = self.machines[machine].hub.borrow_mut().take();
        if hub.is_some() {
            self.trace(|| format!("{} is gone", self.machines[machine].name));
        }
        let tasks = std::mem::take(&mut *self.machines[machine].tasks.borrow_mut());
        tasks.into_iter().for_each(|task| self.kernel.abort(task));
    }

    /// Something that must never happen. The first is kept.
    pub(crate) fn fault(&self, what: impl Display) {
        let mut fault = self.fault.borrow_mut();
        let text = format!("{:.3} s: {what}", self.kernel.now().as_secs_f64());
        self.trace(|| format!("FAULT {text}"));
        fault.get_or_insert(text);
    }

    pub(crate) fn first_fault(&self) -> Option<String> {
        self.fault.borrow().clone()
    }

    /// A line for the reader of one run.
    pub(crate) fn trace(&self, line: impl FnOnce() -> String) {
        if self.traced {
            println!("{:9.3} {}", self.kernel.now().as_secs_f64(), line());
        }
    }

    /// Forgets everything, so that nothing keeps itself alive in a circle.
    pub(crate) fn close(&self) {
        self.kernel.close();
        for machine in &self.machines {
            machine.hub.borrow_mut().take();
        }
    }
}

/// A customer by number.
pub(crate) fn customer(number: u64) -> CustomerId {
    CustomerId::new(number).expect("customers are numbered from 1")
}
