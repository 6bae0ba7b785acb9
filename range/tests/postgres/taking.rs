//! Ranges taken from the database: by many at once, to the end, and over a crash.

use std::{cell::RefCell, future::Future, pin::pin, task::Poll, time::Duration};

use futures_util::future::{join, join_all};
use switchboard_range::{IdRange, PgStore, StoreError, StoreState};
use tokio::sync::Notify;

use crate::{filled, range, server::Server, store};

/// Whether the ranges follow each other without a gap from `first`, whatever their order; the ID after the last.
fn contiguous(mut ranges: Vec<IdRange>, first: u64) -> u64 {
    ranges.sort_by_key(|range| range.first());
    ranges.into_iter().fold(first, |next, range| {
        assert_eq!(range.first().get(), next, "a gap or an ID given twice");
        range.last().get() + 1
    })
}

#[tokio::test]
async fn a_range_is_put_there_once() {
    let server = Server::start();
    let whole = range(26_018_363, 80_000_000);
    for database in ["a", "b", "c", "d"] {
        server.sql("postgres", &format!("CREATE DATABASE {database}"));
        // Each with a store and numbers of its own, all making the table at once.
        let stores = [whole, range(1, 5), range(7, 7)].map(|whole| (store(&server, database), whole));
        let made = join_all(stores.iter().map(|(store, whole)| store.init(*whole))).await;
        let won: Vec<_> = made.iter().zip(&stores).filter(|(made, _)| made.is_ok()).collect();
        let [(_, (store, whole))] = won[..] else { panic!("not one of them, but {made:?}") };
        let lost = made.iter().filter(|made| matches!(made, Err(StoreError::Exists { .. }))).count();
        assert_eq!(lost, 2, "{made:?}");
        let state = StoreState { whole: *whole, left: whole.count(), generation: 1 };
        assert_eq!(store.state().await.unwrap(), state);
        assert!(matches!(store.init(*whole).await, Err(StoreError::Exists { .. })));
        assert_eq!(store.state().await.unwrap(), state);
    }
}

/// On one server, as starting one takes longer than all of it.
#[tokio::test]
async fn ranges_follow_each_other() {
    let server = Server::start();
    many_takers_get_ranges_of_their_own(&server).await;
    the_end_is_the_end(&server).await;
    a_take_that_is_broken_off_is_at_worst_a_gap(&server).await;
    who_holds_the_row_and_says_nothing_is_not_waited_for_long(&server).await;
}

async fn many_takers_get_ranges_of_their_own(server: &Server) {
    let whole = range(1000, 9_999_999);
    let first = filled(server, "many", whole).await;
    let stores = [first, store(server, "many"), store(server, "many"), store(server, "many")];
    let taker = async |n: u64| {
        let mut taken = Vec::new();
        for round in 0..2 {
            let size = 1 + 10 * n + round;
            let range = stores[n as usize % stores.len()].take(size).await.unwrap().unwrap();
            assert_eq!(range.count(), size);
            taken.push(range);
        }
        taken
    };
    let taken = join_all((0..32).map(taker)).await.concat();
    let next = contiguous(taken, 1000);
    let state = stores[0].state().await.unwrap();
    assert_eq!(state, StoreState { whole, left: 9_999_999 - next + 1, generation: 1 + 32 * 2 });
}

async fn the_end_is_the_end(server: &Server) {
    let store = filled(server, "short", range(5, 14)).await;
    assert_eq!(store.take(0).await, Ok(None));
    assert_eq!(store.take(4).await, Ok(Some(range(5, 8))));
    assert_eq!(store.take(100).await, Ok(Some(range(9, 14))), "fewer than asked for");
    assert_eq!((store.take(1).await, store.take(1).await), (Ok(None), Ok(None)));
    assert_eq!(store.state().await.unwrap(), StoreState { whole: range(5, 14), left: 0, generation: 3 });

    // As an ID has no number above that, nothing may count one too far.
    let store = filled(server, "last", range(u64::MAX - 3, u64::MAX)).await;
    assert_eq!(store.take(3).await, Ok(Some(range(u64::MAX - 3, u64::MAX - 1))));
    assert_eq!(store.take(u64::MAX).await, Ok(Some(range(u64::MAX, u64::MAX))));
    assert_eq!(store.take(u64::MAX).await, Ok(None));

    let store = filled(server, "every", range(1, u64::MAX)).await;
    assert_eq!(store.state().await.unwrap().left, u64::MAX);
    assert_eq!(store.take(1).await, Ok(Some(range(1, 1))));
    assert_eq!(store.take(u64::MAX).await, Ok(Some(range(2, u64::MAX))));
    assert_eq!(store.take(1).await, Ok(None));
}

/// Takes until `enough` is told, and keeps what it was given. Whatever fails is tried again.
async fn take_on(store: &PgStore, given: &RefCell<Vec<IdRange>>, each: &Notify, failures: &RefCell<u32>) {
    loop {
        match store.take(3).await {
            Ok(range) => given.borrow_mut().push(range.expect("an endless range")),
            Err(_) => {
                *failures.borrow_mut() += 1;
                // Not a race for the processor while the server is away.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        each.notify_waiters();
    }
}

#[tokio::test]
async fn a_crash_of_the_server_gives_no_id_twice() {
    let mut server = Server::start();
    let setup = filled(&server, "ids", range(1, u64::MAX)).await;
    let stores: Vec<_> = (0..8).map(|_| store(&server, "ids")).collect();
    let (given, failures, each) = (RefCell::default(), RefCell::default(), Notify::new());
    let takers = join_all(stores.iter().map(|store| take_on(store, &given, &each, &failures)));
    let story = async {
        let more = async |n: usize| {
            let enough = given.borrow().len() + n;
            while given.borrow().len() < enough {
                each.notified().await;
            }
        };
        for crash in 1..=3 {
            more(40).await;
            // On another thread, so that the takers go on meanwhile, and meet the dying server.
            server = tokio::task::spawn_blocking(move || {
                server.kill();
                server
            })
            .await
            .unwrap();
            while *failures.borrow() < 8 * crash {
                each.notified().await;
            }
            server = tokio::task::spawn_blocking(move || {
                server.up();
                server
            })
            .await
            .unwrap();
        }
        more(40).await;
        server
    };
    let _server = tokio::select! {
        _ = takers => unreachable!("takers take for ever"),
        server = story => server,
    };

    let mut ranges = given.take();
    ranges.sort_by_key(|range| range.first());
    assert!(ranges.windows(2).all(|two| !two[0].overlaps(two[1])), "an ID was given twice");
    // The database has taken all that was given, and what is lost besides is no more than was under way.
    let taken = u64::MAX - setup.state().await.unwrap().left;
    assert!(ranges.iter().all(|range| range.last().get() <= taken));
    let lost = taken - ranges.iter().map(|range| range.count()).sum::<u64>();
    assert!(lost <= 3 * 8 * 4, "{lost} IDs are lost");
}

/// Polls `work` so many times; whether it was done by then.
async fn broken_off(work: impl Future, polls: u32) -> bool {
    let mut work = pin!(work);
    let mut left = polls;
    std::future::poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        match work.as_mut().poll(context) {
            Poll::Ready(_) => Poll::Ready(true),
            Poll::Pending if left == 0 => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

async fn a_take_that_is_broken_off_is_at_worst_a_gap(server: &Server) {
    let store = filled(server, "broken", range(1, 10_000)).await;
    let mut next = 1;
    let mut polls = 1;
    while !broken_off(store.take(10), polls).await {
        let range = store.take(1).await.unwrap().unwrap();
        let first = range.first().get();
        assert!([next, next + 10].contains(&first), "{first} after {next}");
        next = first + 1;
        polls += 1;
    }
    assert!(polls > 3, "it was never broken off on the way");
}

async fn who_holds_the_row_and_says_nothing_is_not_waited_for_long(server: &Server) {
    filled(server, "held", range(1, 100)).await;
    let deadline = Duration::from_secs(1);
    let store = PgStore::new(&server.url("held"), deadline).unwrap();
    let config: tokio_postgres::Config = server.url("held").parse().unwrap();
    let (client, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
    let held = async {
        client.batch_execute("BEGIN; SELECT * FROM switchboard_range FOR UPDATE").await.unwrap();
        assert!(matches!(store.take(1).await, Err(StoreError::Timeout { .. })));
        drop(client);
    };
    join(held, async { connection.await.unwrap() }).await;
    // The taker that gave up has left nothing behind that another would wait for.
    assert_eq!(crate::store(server, "held").take(1).await, Ok(Some(range(1, 1))));
}
