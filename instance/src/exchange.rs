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
    /// Oldest first.
    polls: VecDeque<(Ticket, P)>,
    /// Oldest first.
    apps: VecDeque<(Ticket, A)>,
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
        let replaced =
            if desk.polls.len() >= most { desk.polls.pop_front().map(|(_, poll)| poll) } else { None };
        let first = desk.polls.is_empty() && replaced.is_none();
        desk.polls.push_back((ticket, poll));
        self.parked += usize::from(replaced.is_none());
        self.unique += usize::from(first);
        Parked { ticket, replaced }
    }

    /// A parked poll has ended without an app. Does nothing if it was no longer parked.
    pub fn unpark(&mut self, id: CustomerId, ticket: Ticket, now: Instant) {
        self.seen(id, now);
        let Some(desk) = self.desks.get_mut(&id) else { return };
        let Some(place) = desk.polls.iter().position(|(t, _)| *t == ticket) else { return };
        desk.polls.remove(place);
        self.parked -= 1;
        self.unique -= usize::from(desk.polls.is_empty());
    }

    /// Looks for the agent of a customer on behalf of an app.
    pub fn find(&mut self, id: CustomerId, now: Instant) -> Found<P> {
        let Some(desk) = self.desks.get_mut(&id) else { return Found::Nobody };
        if let Some((_, poll)) = desk.polls.pop_back() {
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
        if desk.apps.len() >= most {
            return Err(app);
        }
        desk.apps.push_back((ticket, app));
        self.waiting += 1;
        Ok(ticket)
    }

    /// An app leaves the line. Does nothing if it was no longer in it.
    pub fn leave(&mut self, id: CustomerId, ticket: Ticket) {
        let Some(desk) = self.desks.get_mut(&id) else { return };
        let Some(place) = desk.apps.iter().position(|(t, _)| *t == ticket) else { return };
        desk.apps.remove(place);
        self.waiting -= 1;
    }

    /// Takes the app that has waited longest for this customer out of the line.
    fn next_app(&mut self, id: CustomerId) -> Option<A> {
        let (_, app) = self.desks.get_mut(&id)?.apps.pop_front()?;
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
        self.waiting -= desk.apps.len();
        desk.apps.drain(..).map(|(_, app)| app).collect()
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
        self.desks.values_mut().flat_map(|desk| desk.apps.drain(..)).map(|(_, app)| app).collect()
    }

    /// Forgets customers of whom nothing is left. To be called now and then.
    pub fn sweep(&mut self, now: Instant) {
        self.desks.retain(|_, desk| !desk.polls.is_empty() || !desk.apps.is_empty() || desk.is_expected(now));
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
            polls: VecDeque::new(),
            apps: VecDeque::new(),
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
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    const RULES: Rules = Rules { parked_per_id: 3, waiting_per_id: 2, cache: Duration::from_secs(10) };

    fn id(number: u64) -> CustomerId {
        CustomerId::new(number).unwrap()
    }

    #[test]
    fn newest_poll_and_oldest_app_are_served_first() {
        let now = Instant::now();
        let mut exchange = Exchange::<u32, u32>::new(RULES);
        exchange.park(id(1), 10);
        exchange.park(id(1), 11);
        assert_eq!(exchange.find(id(1), now), Found::Poll(11));
        assert_eq!(exchange.find(id(1), now), Found::Poll(10));
        exchange.wait(id(1), 20).unwrap();
        exchange.wait(id(1), 21).unwrap();
        assert_eq!(exchange.wait(id(1), 22), Err(22));
        let mut served = Vec::new();
        // The first app has just gone.
        let serve = |app, poll| {
            served.push(app);
            if app == 20 { Err(poll) } else { Ok(()) }
        };
        assert_eq!(exchange.arrive(id(1), 12, now, serve), None);
        assert_eq!((served, exchange.waiting(), exchange.parked()), (vec![20, 21], 0, 0));
        assert!(exchange.arrive(id(1), 13, now, |_, _| unreachable!()).is_some());
        assert_eq!(exchange.find(id(1), now), Found::Poll(13));
    }

    #[test]
    fn a_poll_too_many_releases_the_oldest() {
        let mut exchange = Exchange::<u32, u32>::new(RULES);
        let first = exchange.park(id(1), 0).ticket;
        let released: Vec<_> = (1..5).map(|poll| exchange.park(id(1), poll).replaced).collect();
        assert_eq!(released, [None, None, Some(0), Some(1)]);
        exchange.unpark(id(1), first, Instant::now());
        assert_eq!((exchange.parked(), exchange.unique()), (3, 1));
    }

    #[test]
    fn an_agent_is_expected_for_a_while_and_as_long_as_it_works() {
        let now = Instant::now();
        let after = |seconds| now + Duration::from_secs(seconds);
        let mut exchange = Exchange::<u32, u32>::new(RULES);
        assert_eq!(exchange.find(id(1), now), Found::Nobody);
        let ticket = exchange.park(id(1), 1).ticket;
        exchange.unpark(id(1), ticket, now);
        assert_eq!(exchange.find(id(1), after(9)), Found::Expected);
        assert_eq!(exchange.find(id(1), after(10)), Found::Nobody);
        exchange.started(id(1));
        assert_eq!(exchange.find(id(1), after(100)), Found::Expected);
        exchange.ended(id(1), after(100));
        assert_eq!(exchange.find(id(1), after(109)), Found::Expected);
        exchange.wait(id(1), 7).unwrap();
        assert_eq!(exchange.present(after(109)).collect::<Vec<_>>(), [id(1)]);
        assert_eq!((exchange.moved(id(1)), exchange.waiting()), (vec![7], 0), "it waits for nobody");
        assert_eq!(exchange.find(id(1), after(109)), Found::Nobody);
        assert_eq!(exchange.present(after(109)).count(), 0);
        exchange.sweep(after(110));
        assert_eq!(exchange.remembered(), 0);
    }

    #[derive(Debug, Clone)]
    enum Event {
        Park(u64),
        Unpark(usize),
        Find(u64),
        Wait(u64),
        Leave(usize),
        NextApp(u64),
        Moved(u64),
        Sweep,
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            (1u64..4).prop_map(Event::Park),
            (0usize..40).prop_map(Event::Unpark),
            (1u64..4).prop_map(Event::Find),
            (1u64..4).prop_map(Event::Wait),
            (0usize..40).prop_map(Event::Leave),
            (1u64..4).prop_map(Event::NextApp),
            (1u64..4).prop_map(Event::Moved),
            Just(Event::Sweep),
        ]
    }

    proptest! {
        /// A plain list of who is there is the model.
        #[test]
        fn nobody_is_served_twice_lost_or_mixed_up(events in prop::collection::vec(event(), 1..80)) {
            let now = Instant::now();
            let mut exchange = Exchange::<(u64, u32), (u64, u32)>::new(RULES);
            let (mut polls, mut apps) = (Vec::new(), Vec::new());
            let (mut poll_tickets, mut app_tickets) = (Vec::new(), Vec::new());
            for (number, event) in events.into_iter().enumerate() {
                let number = number as u32;
                match event {
                    Event::Park(c) => {
                        let Parked { ticket, replaced } = exchange.park(id(c), (c, number));
                        if let Some(released) = replaced {
                            let oldest = polls.iter().position(|p: &(u64, u32)| p.0 == c).unwrap();
                            prop_assert_eq!(polls.remove(oldest), released);
                        }
                        polls.push((c, number));
                        poll_tickets.push((ticket, (c, number)));
                    }
                    Event::Unpark(n) => if let Some((ticket, poll)) = poll_tickets.get(n) {
                        exchange.unpark(id(poll.0), *ticket, now);
                        polls.retain(|p| p != poll);
                    },
                    Event::Find(c) => {
                        let newest = polls.iter().rposition(|p| p.0 == c);
                        match exchange.find(id(c), now) {
                            Found::Poll(poll) => prop_assert_eq!(polls.remove(newest.unwrap()), poll),
                            _ => prop_assert!(newest.is_none()),
                        }
                    }
                    Event::Wait(c) => {
                        let full = apps.iter().filter(|a: &&(u64, u32)| a.0 == c).count() == RULES.waiting_per_id;
                        match exchange.wait(id(c), (c, number)) {
                            Ok(ticket) => {
                                prop_assert!(!full);
                                apps.push((c, number));
                                app_tickets.push((ticket, (c, number)));
                            }
                            Err(_) => prop_assert!(full),
                        }
                    }
                    Event::Leave(n) => if let Some((ticket, app)) = app_tickets.get(n) {
                        exchange.leave(id(app.0), *ticket);
                        apps.retain(|a| a != app);
                    },
                    Event::NextApp(c) => {
                        let oldest = apps.iter().position(|a| a.0 == c).map(|place| apps.remove(place));
                        prop_assert_eq!(exchange.next_app(id(c)), oldest);
                    }
                    Event::Moved(c) => {
                        let gone: Vec<_> = apps.extract_if(.., |a| a.0 == c).collect();
                        prop_assert_eq!(exchange.moved(id(c)), gone);
                        let parked = polls.iter().any(|p| p.0 == c);
                        prop_assert_eq!(exchange.look(id(c), now) == Found::Nobody, !parked);
                    }
                    Event::Sweep => exchange.sweep(now),
                }
                prop_assert_eq!((exchange.parked(), exchange.waiting()), (polls.len(), apps.len()));
                let unique: HashSet<_> = polls.iter().map(|p| p.0).collect();
                prop_assert_eq!(exchange.unique(), unique.len());
                let present: HashSet<_> = exchange.present(now).map(CustomerId::get).collect();
                prop_assert!(unique.is_subset(&present));
            }
        }
    }
}
