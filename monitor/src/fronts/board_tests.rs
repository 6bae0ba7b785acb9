use proptest::prelude::*;
use switchboard_fleet::front::{Backend, Change, Nginx, Table, Upstream};

use super::{
    super::front::{HEAT_MAX, NONCES_MAX, ORDERS_MAX},
    *,
};

const REFRESH: Duration = Duration::from_secs(1);
const HELD: Duration = Duration::from_millis(Parked::HELD_MAX_MS);

fn table(front: &str) -> Table {
    let backend = |address: &str| Backend { address: address.into(), ..Backend::default() };
    Table {
        front: front.into(),
        at_ms: 1,
        version: 1,
        nginx: Nginx::default(),
        slots: None,
        panic: None,
        wrong: Vec::new(),
        upstreams: vec![Upstream {
            name: "instances".into(),
            implicit: false,
            at: String::new(),
            switchable: true,
            no_live: 0,
            backends: (0..20).map(|number| backend(&number.to_string())).collect(),
        }],
        heat: Vec::new(),
        happened: Vec::new(),
    }
}

fn place(backend: &str) -> Place {
    Place { upstream: "instances".into(), backend: backend.into() }
}

fn order(id: &str) -> Order {
    Order {
        id: id.into(),
        place: place("0"),
        change: Change::Off,
        who: "ada".into(),
        why: String::new(),
        until_ms: None,
        force: false,
        seen: None,
    }
}

/// A board, and the moments at which things happen to it.
struct Scene {
    board: Board,
    began: Instant,
    nonce: u64,
}

impl Scene {
    fn new() -> Self {
        Self { board: Board::new(REFRESH), began: Instant::now(), nonce: 0 }
    }

    fn at(&self, seconds: f64) -> Instant {
        self.began + Duration::from_secs_f64(seconds)
    }

    fn park_as(&mut self, front: &str, seconds: f64, bytes: usize, done: Vec<Done>) -> Result<Seat, NoSeat> {
        self.nonce += 1;
        let nonce = self.nonce.to_be_bytes();
        let parked = Parked { table: table(front), done };
        let now = self.at(seconds);
        self.board.park(Arrival { parked, bytes, nonce: &nonce, now, now_ms: self.nonce })
    }

    fn park(&mut self, seconds: f64) -> u64 {
        self.park_as("a.example.net", seconds, 100, Vec::new()).unwrap().number
    }

    fn due(&mut self, seat: u64, seconds: f64) -> Due {
        let now = self.at(seconds);
        self.board.due("a.example.net", seat, now)
    }

    fn give(&mut self, id: &str) -> oneshot::Receiver<Done> {
        let (told, done) = oneshot::channel();
        self.board.give("a.example.net", order(id), told).unwrap();
        done
    }

    fn look(&mut self, heat: Option<&str>, seconds: f64) -> Vec<String> {
        let now = self.at(seconds);
        self.board.look(None, heat.map(place).as_ref(), now)
    }
}

fn ids(due: &Due) -> Vec<&str> {
    match due {
        Due::Answer(waiting) => waiting.orders.iter().map(|order| order.id.as_str()).collect(),
        other => panic!("{other:?} is no answer"),
    }
}

#[test]
fn a_call_is_held_until_somebody_looks_or_for_ten_seconds() {
    let mut scene = Scene::new();
    let seat = scene.park(0.0);
    assert_eq!(scene.due(seat, 0.0), Due::At(scene.began + HELD));
    assert_eq!(scene.due(seat, 10.0), Due::Answer(Waiting::default()));

    let seat = scene.park(20.0);
    assert_eq!(scene.look(None, 20.2), [""; 0], "the table is fresh enough");
    assert_eq!(scene.due(seat, 20.2), Due::At(scene.at(21.0)));
    assert_eq!(scene.due(seat, 21.0), Due::Answer(Waiting::default()));
    // As long as somebody looks, and a little longer.
    let seat = scene.park(25.0);
    assert_eq!(scene.due(seat, 25.1), Due::At(scene.at(26.0)));
    let seat = scene.park(26.0);
    assert_eq!(scene.due(seat, 26.0), Due::At(scene.at(36.0)));
    // An old table is worth waiting for, if there is somebody who could bring another.
    assert_eq!(scene.look(None, 30.0), ["a.example.net"]);
    assert_eq!(scene.due(seat, 30.0), Due::Answer(Waiting::default()));
    let fronts = ["a.example.net".to_owned()];
    let looked = scene.at(30.0);
    assert!(!scene.board.is_fresh(&fronts, looked));
    scene.park(30.1);
    assert!(scene.board.is_fresh(&fronts, looked));
    scene.board.leave("a.example.net", 4);
    scene.board.leave("a.example.net", 5);
    assert_eq!(scene.look(None, 60.0), [""; 0], "nobody is there to ask");
}

#[test]
fn the_newest_call_of_a_front_is_held() {
    let mut scene = Scene::new();
    let old = scene.park(0.0);
    let new = scene.park(1.0);
    assert_eq!(scene.due(old, 1.0), Due::Gone);
    let _done = scene.give("1");
    assert_eq!(scene.due(old, 2.0), Due::Gone);
    // The old one's end does not take the seat of the new one.
    scene.board.leave("a.example.net", old);
    assert_eq!(scene.look(None, 9.0), ["a.example.net"]);
    assert_eq!(ids(&scene.due(new, 9.0)), ["1"]);
    scene.board.close();
    let newest = scene.park(10.0);
    assert_eq!(scene.due(newest, 10.0), Due::Gone);
}

#[test]
fn an_order_is_given_at_once_again_after_a_while_and_no_more_when_it_is_done() {
    let mut scene = Scene::new();
    let seat = scene.park(0.0);
    let mut done = scene.give("1");
    assert_eq!(ids(&scene.due(seat, 0.5)), ["1"]);
    let seat = scene.park(1.0);
    let _other = scene.give("2");
    assert_eq!(ids(&scene.due(seat, 1.0)), ["2"]);
    let seat = scene.park(2.0);
    assert_eq!(scene.due(seat, 2.0), Due::At(scene.at(5.5)));
    assert_eq!(ids(&scene.due(seat, 5.5)), ["1"]);
    assert!(done.try_recv().is_err());
    let told = Done { id: "1".into(), outcome: Ok("it is off".into()) };
    let stranger = Done { id: "9".into(), outcome: Ok(String::new()) };
    let seat = scene.park_as("a.example.net", 6.0, 100, vec![stranger, told.clone()]).unwrap().number;
    assert_eq!(done.try_recv().unwrap(), told);
    assert_eq!(ids(&scene.due(seat, 20.0)), ["2"]);
    assert!(scene.board.withdraw("a.example.net", "2"), "it was given");
    let seat = scene.park(21.0);
    assert_eq!(scene.due(seat, 30.0), Due::At(scene.at(31.0)));
    let _third = scene.give("3");
    assert!(!scene.board.withdraw("a.example.net", "3"), "nobody has seen it");
    assert_eq!(scene.due(seat, 30.0), Due::At(scene.at(31.0)));
}

#[test]
fn response_times_are_asked_for_while_somebody_looks_at_a_backend() {
    let mut scene = Scene::new();
    let seat = scene.park(0.0);
    assert_eq!(scene.look(Some("3"), 0.1), ["a.example.net"]);
    assert_eq!(scene.look(Some("no such"), 0.1), [""; 0]);
    let Due::Answer(waiting) = scene.due(seat, 0.1) else { panic!("at once") };
    assert_eq!(waiting.heat, [place("3")]);
    let seat = scene.park(0.2);
    assert_eq!(scene.look(Some("3"), 0.3), [""; 0]);
    assert_eq!(scene.due(seat, 0.3), Due::At(scene.at(1.2)));
    let Due::Answer(waiting) = scene.due(seat, 1.2) else { panic!("it is asked for still") };
    assert_eq!(waiting.heat, [place("3")]);
    for number in 0..20 {
        scene.look(Some(&number.to_string()), 2.0);
    }
    let seat = scene.park(2.0);
    let Due::Answer(waiting) = scene.due(seat, 2.0) else { panic!("at once") };
    assert_eq!(waiting.heat.len(), HEAT_MAX);
    let seat = scene.park(30.0);
    assert_eq!(scene.due(seat, 40.0), Due::Answer(Waiting::default()));
}

#[test]
fn there_are_bounds_for_everything() {
    let mut scene = Scene::new();
    scene.park(0.0);
    let nonce = scene.nonce;
    scene.nonce -= 1;
    assert!(matches!(scene.park_as("a.example.net", 60.0, 1, Vec::new()), Err(NoSeat::Again)));
    scene.nonce = nonce - 1;
    assert!(scene.park_as("a.example.net", 61.0, 1, Vec::new()).is_ok(), "its signature is too old by then");
    for front in
        ["", "a b", "a.example.net#1", "a.example.net#02", "a.example.net#", "#2", "a#2#3", "a/b", "<b>"]
    {
        assert!(matches!(scene.park_as(front, 61.0, 1, Vec::new()), Err(NoSeat::Name)), "{front}");
    }
    for front in ["a.example.net#2", "https://a.example.net:8443", "[::1]:80#65535"] {
        assert!(scene.park_as(front, 61.0, 1, Vec::new()).is_ok(), "{front}");
    }
    for _ in 0..ORDERS_MAX {
        drop(scene.give("1"));
    }
    let (told, _done) = oneshot::channel();
    assert_eq!(scene.board.give("a.example.net", order("1"), told), Err(NotGiven::Full));
    let (told, _done) = oneshot::channel();
    assert_eq!(scene.board.give("b.example.net", order("1"), told), Err(NotGiven::NoFront));

    assert!(scene.park_as("b.example.net", 61.0, TABLES_BYTES_MAX, Vec::new()).is_err());
    assert!(
        scene.park_as("a.example.net", 61.0, TABLES_BYTES_MAX - 3, Vec::new()).is_ok(),
        "in place of its own"
    );
    assert!(matches!(scene.park_as("a.example.net#2", 61.0, 2, Vec::new()), Err(NoSeat::Full)));
    scene.park_as("a.example.net", 61.0, 1, Vec::new()).unwrap();
    for number in 4..FRONTS_MAX {
        scene.park_as(&format!("n{number}"), 62.0, 1, Vec::new()).unwrap();
    }
    assert!(matches!(scene.park_as("more", 62.0, 1, Vec::new()), Err(NoSeat::Full)));
    // Silent ones make room.
    assert!(scene.park_as("more", 3661.5, 1, Vec::new()).is_ok());
    let now = scene.at(3661.5);
    assert_eq!(scene.board.seen(now).len(), FRONTS_MAX - 3);
    for _ in 1..NONCES_MAX {
        scene.park_as("more", 3662.0, 1, Vec::new()).unwrap();
    }
    assert!(matches!(scene.park_as("more", 3662.0, 1, Vec::new()), Err(NoSeat::TooOften)));
}

proptest! {
    /// Whatever comes in whatever order: no order is given before five seconds have passed, none to a call that was replaced, and none that is done.
    #[test]
    fn orders_are_given_as_they_should(steps in prop::collection::vec((0u8..5, 0u64..8, 0u32..3000), 1..60)) {
        let mut scene = Scene::new();
        let mut newest = scene.park(0.0);
        let (mut seats, mut now_s, mut waiters) = (vec![newest], 0.0, BTreeMap::new());
        let mut given: BTreeMap<String, f64> = BTreeMap::new();
        for (what, which, pause_ms) in steps {
            now_s += f64::from(pause_ms) / 1000.0;
            let id = which.to_string();
            match what {
                0 => {
                    newest = scene.park(now_s);
                    seats.push(newest);
                }
                1 if !waiters.contains_key(&id) => {
                    waiters.insert(id.clone(), scene.give(&id));
                    given.remove(&id);
                }
                2 => {
                    let done = vec![Done { id: id.clone(), outcome: Ok(String::new()) }];
                    newest = scene.park_as("a.example.net", now_s, 1, done).unwrap().number;
                    seats.push(newest);
                    if let Some(mut waiter) = waiters.remove(&id) {
                        prop_assert!(waiter.try_recv().is_ok());
                    }
                }
                3 => {
                    waiters.remove(&id);
                    scene.board.withdraw("a.example.net", &id);
                }
                _ => {
                    let seat = seats[usize::try_from(which).unwrap() % seats.len()];
                    match scene.due(seat, now_s) {
                        Due::Answer(waiting) => {
                            prop_assert_eq!(seat, newest);
                            for order in waiting.orders {
                                prop_assert!(waiters.contains_key(&order.id));
                                let before = given.insert(order.id, now_s);
                                prop_assert!(before.is_none_or(|before| now_s - before >= 4.999));
                            }
                        }
                        Due::Gone => prop_assert_ne!(seat, newest),
                        Due::At(at) => prop_assert!(at > scene.at(now_s) && at <= scene.at(now_s) + HELD),
                    }
                }
            }
        }
    }
}
