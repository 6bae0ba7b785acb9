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
