//! Who waits for whom: parked polls of agents, waiting apps, and how long an agent is expected back.
//!
//! Pure: events and `now` in, decisions out. `P` is how a parked poll is reached, `A` how a waiting app is.
//! A rule of docs/protocol.md each: the newest poll is served first; the oldest app is served first; an app waits only
//! while the agent is expected.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use hashbrown::HashMap;
use smallvec::SmallVec;
use switchboard_fleet::CustomerId;

/// Names one parked poll or one waiting app of an [`Exchange`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket(u64);

/// The bounds and times of an [`Exchange`].
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Polls of one customer parked at a time; a further one releases the oldest.
    pub parked_per_id: usize,
    /// Apps waiting for one customer at a time.
    pub waiting_per_id: usize,
    /// How long an agent is expected back after it was last seen.
    pub cache: Duration,
}

/// Everyone present at one instance.
#[derive(Debug)]
pub struct Exchange<P, A> {
    rules: Rules,
    desks: HashMap<CustomerId, Desk<P, A>>,
    tickets: u64,
    parked: usize,
    unique: usize,
    waiting: usize,
}

/// One customer.
#[derive(Debug)]
struct Desk<P, A> {
    /// Oldest first. Nearly all have one.
    polls: SmallVec<[(Ticket, P); 1]>,
    /// Oldest first. Gone while nobody waits, as is nearly always so.
    #[expect(clippy::box_collection, reason = "8 bytes instead of 32 for each of very many")]
    apps: Option<Box<VecDeque<(Ticket, A)>>>,
    /// Transactions that the agent is working on.
    running: u32,
    expected_until: Option<Instant>,
}

/// What an app finds.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<P> {
    /// The newest poll; it is no longer parked.
    Poll(P),
    /// No poll, but the agent is expected back.
    Expected,
    /// Nobody.
    Nobody,
}

/// A poll that has been parked.
#[derive(Debug, PartialEq, Eq)]
pub struct Parked<P> {
    /// Names it.
    pub ticket: Ticket,
    /// The customer's oldest poll, no longer parked, if there were as many as are allowed.
    pub replaced: Option<P>,
}

impl<P, A> Exchange<P, A> {
    /// An empty one.
    pub fn new(rules: Rules) -> Self {
        Self { rules, desks: HashMap::new(), tickets: 0, parked: 0, unique: 0, waiting: 0 }
    }

    /// Polls parked now.
    pub fn parked(&self) -> usize {
        self.parked
    }

    /// Customers that have a poll parked now.
    pub fn unique(&self) -> usize {
        self.unique
    }

    /// Apps waiting now.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// An agent's poll has come. `serve` hands it to the app that has waited longest, or gives it back if that app has
    /// just gone; a poll that nobody took is parked. `None` if an app took it.
    pub fn arrive(
        &mut self,
        id: CustomerId,
        mut poll: P,
        now: Instant,
        mut serve: impl FnMut(A, P) -> Result<(), P>,
    ) -> Option<Parked<P>> {
        self.seen(id, now);
        while let Some(app) = self.next_app(id) {
            match serve(app, poll) {
                Ok(()) => return None,
                Err(back) => poll = back,
            }
        }
        Some(self.park(id, poll))
    }

    /// Parks a poll for which no app waits.
    fn park(&mut self, id: CustomerId, poll: P) -> Parked<P> {
        let ticket = self.ticket();
        let most = self.rules.parked_per_id.max(1);
        let desk = self.desk(id);
        let replaced = (desk.polls.len() >= most).then(|| desk.polls.remove(0).1);
        let first = desk.polls.is_empty() && replaced.is_none();
        desk.polls.push((ticket, poll));
        self.parked += usize::from(replaced.is_none());
        self.unique += usize::from(first);
        Parked { ticket, replaced }
    }

    /// A parked poll has ended without an app: gives it, if it was still parked.
    pub fn unpark(&mut self, id: CustomerId, ticket: Ticket, now: Instant) -> Option<P> {
        self.seen(id, now);
        let desk = self.desks.get_mut(&id)?;
        let place = desk.polls.iter().position(|(t, _)| *t == ticket)?;
        let (_, poll) = desk.polls.remove(place);
        self.parked -= 1;
        self.unique -= usize::from(desk.polls.is_empty());
        Some(poll)
    }

    /// Looks for the agent of a customer on behalf of an app.
    pub fn find(&mut self, id: CustomerId, now: Instant) -> Found<P> {
        let Some(desk) = self.desks.get_mut(&id) else { return Found::Nobody };
        if let Some((_, poll)) = desk.polls.pop() {
            self.parked -= 1;
            self.unique -= usize::from(desk.polls.is_empty());
            self.seen(id, now);
            return Found::Poll(poll);
        }
        if desk.is_expected(now) { Found::Expected } else { Found::Nobody }
    }

    /// What an app would find now; nothing changes. `Found::Poll(())` stands for a parked poll.
    pub fn look(&self, id: CustomerId, now: Instant) -> Found<()> {
        match self.desks.get(&id) {
            Some(desk) if !desk.polls.is_empty() => Found::Poll(()),
            Some(desk) if desk.is_expected(now) => Found::Expected,
            _ => Found::Nobody,
        }
    }

    /// Puts an app in line for a customer's next poll. Gives the app back if the line is full.
    pub fn wait(&mut self, id: CustomerId, app: A) -> Result<Ticket, A> {
        let ticket = self.ticket();
        let most = self.rules.waiting_per_id;
        let desk = self.desk(id);
        if desk.apps.as_ref().map_or(0, |line| line.len()) >= most {
            return Err(app);
        }
        desk.apps.get_or_insert_default().push_back((ticket, app));
        self.waiting += 1;
        Ok(ticket)
    }

    /// An app leaves the line. Does nothing if it was no longer in it.
    pub fn leave(&mut self, id: CustomerId, ticket: Ticket) {
        let Some(desk) = self.desks.get_mut(&id) else { return };
        let Some(line) = desk.apps.as_mut() else { return };
        // Sorted, as tickets only grow.
        let Ok(place) = line.binary_search_by_key(&ticket.0, |(known, _)| known.0) else { return };
        line.remove(place);
        if line.is_empty() {
            desk.apps = None;
        }
        self.waiting -= 1;
    }

    /// Takes the app that has waited longest for this customer out of the line.
    fn next_app(&mut self, id: CustomerId) -> Option<A> {
        let desk = self.desks.get_mut(&id)?;
        let line = desk.apps.as_mut()?;
        let (_, app) = line.pop_front()?;
        if line.is_empty() {
            desk.apps = None;
        }
        self.waiting -= 1;
        Some(app)
    }

    /// The agent of a customer has shown itself: it is expected back for a while.
    pub fn seen(&mut self, id: CustomerId, now: Instant) {
        let until = now + self.rules.cache;
        let desk = self.desk(id);
        desk.expected_until = desk.expected_until.max(Some(until));
    }

    /// The agent of a customer has taken a request; until [`Exchange::ended`] it counts as present.
    pub fn started(&mut self, id: CustomerId) {
        self.desk(id).running += 1;
    }

    /// The other half of [`Exchange::started`].
    pub fn ended(&mut self, id: CustomerId, now: Instant) {
        self.seen(id, now);
        let desk = self.desk(id);
        desk.running = desk.running.saturating_sub(1);
    }

    /// The agent of a customer is known to have gone elsewhere: it is not expected here, whatever it did before. Takes
    /// the apps that wait for it out of the line, so that they look elsewhere.
    pub fn moved(&mut self, id: CustomerId) -> Vec<A> {
        let Some(desk) = self.desks.get_mut(&id) else { return Vec::new() };
        desk.expected_until = None;
        let gone = desk.apps.take().map_or_else(VecDeque::new, |line| *line);
        self.waiting -= gone.len();
        gone.into_iter().map(|(_, app)| app).collect()
    }

    /// Takes every parked poll, as an instance does that is about to end.
    pub fn release_all(&mut self) -> Vec<P> {
        self.parked = 0;
        self.unique = 0;
        self.desks.values_mut().flat_map(|desk| desk.polls.drain(..)).map(|(_, poll)| poll).collect()
    }

    /// Takes every waiting app, as an instance does whose time is up.
    pub fn take_waiting(&mut self) -> Vec<A> {
        self.waiting = 0;
        let lines = self.desks.values_mut().filter_map(|desk| desk.apps.take());
        lines.flat_map(|line| *line).map(|(_, app)| app).collect()
    }

    /// Forgets customers of whom nothing is left. To be called now and then.
    pub fn sweep(&mut self, now: Instant) {
        self.desks.retain(|_, desk| !desk.polls.is_empty() || desk.apps.is_some() || desk.is_expected(now));
    }

    /// Customers that have a poll parked, or are expected back.
    pub fn present(&self, now: Instant) -> impl Iterator<Item = CustomerId> {
        self.desks
            .iter()
            .filter(move |(_, desk)| !desk.polls.is_empty() || desk.is_expected(now))
            .map(|(id, _)| *id)
    }

    /// Customers remembered, present or expected.
    pub fn remembered(&self) -> usize {
        self.desks.len()
    }

    fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    fn desk(&mut self, id: CustomerId) -> &mut Desk<P, A> {
        self.desks.entry(id).or_insert_with(|| Desk {
            polls: SmallVec::new(),
            apps: None,
            running: 0,
            expected_until: None,
        })
    }
}

impl<P, A> Desk<P, A> {
    fn is_expected(&self, now: Instant) -> bool {
        self.running > 0 || self.expected_until.is_some_and(|until| now < until)
    }
}

#[cfg(test)]
#[path = "exchange_tests.rs"]
mod tests;
