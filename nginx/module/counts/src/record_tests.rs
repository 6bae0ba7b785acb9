use super::*;

const OUTCOME: Outcome = Outcome {
    end: End::Answered,
    status: 200,
    connect_ms: Some(1),
    header_ms: Some(2),
    response_ms: Some(3),
    sent: 10,
    received: 20,
    at_ms: 1_700_000_000_123,
};

fn counted(record: &Record) -> String {
    let mut json = Json::default();
    json.object();
    record.counts().write(&mut json);
    json.end();
    json.done()
}

#[test]
fn threads_count_together_without_losing_any() {
    let record = Record::default();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5_000 {
                    record.begun();
                    record.ended(&OUTCOME);
                }
            });
        }
    });
    let counts = record.counts();
    assert_eq!((counts.requests, counts.in_flight, counts.classes[1]), (20_000, 0, 20_000));
    assert_eq!((counts.sent, counts.received), (200_000, 400_000));
    assert_eq!(counts.times.each_ref().map(|(_, spread)| spread.count()), [20_000; 3]);
}

#[test]
fn the_last_failure_says_when_and_why() {
    let record = Record::default();
    record.ended(&OUTCOME);
    assert_eq!(record.counts().last_failure, None);
    record.ended(&Outcome { status: 503, ..OUTCOME });
    let failure = record.counts().last_failure.unwrap();
    assert_eq!(failure, Failure { at_ms: 1_700_000_000_123, end: End::Answered, status: 503 });
    record.ended(&Outcome { status: 0, end: End::Cut, at_ms: 1_700_000_000_124, ..OUTCOME });
    assert_eq!(record.counts().last_failure.unwrap().end, End::Cut);
    assert_eq!(record.counts().failures, 2);
    assert!(counted(&record).contains("\"why\":\"closed in the middle of the body\""));
}

#[test]
fn a_caller_that_leaves_and_a_stale_connection_are_no_failures() {
    let record = Record::default();
    record.ended(&Outcome { status: 0, end: End::ClientClosed, ..OUTCOME });
    record.ended(&Outcome { status: 0, end: End::Stale, ..OUTCOME });
    assert_eq!(record.counts().failures, 0);
    assert!(counted(&record).contains("\"499\":1"));
}

#[test]
fn a_switch_stays_until_the_configuration_holds_again() {
    let record = Record::default();
    assert_eq!(record.switch(), None);
    record.wish(Wish { state: Some(State::Off), weight: None }, 5);
    record.wish(Wish { state: None, weight: Some(7) }, 6);
    assert_eq!(record.switch(), Some(Switch { state: State::Off, weight: Some(7), since_ms: 6 }));
    record.wish(Wish { state: Some(State::Config), weight: None }, 7);
    assert_eq!(record.switch(), None);
}

#[test]
fn a_record_is_forgotten_only_when_nobody_needs_it() {
    let record = Record::default();
    record.begin(Key::of("a", "b"));
    record.keep(10);
    assert!(!record.is_forgotten(10) && !record.is_forgotten(11));
    assert!(record.is_forgotten(12));
    record.begun();
    assert!(!record.is_forgotten(12), "a request runs");
    record.ended(&OUTCOME);
    record.wish(Wish { state: Some(State::Off), weight: None }, 5);
    assert!(!record.is_forgotten(12), "an operator has switched it");
    record.begin(Key::of("a", "c"));
    assert_eq!(record.switch(), None);
    assert_eq!(record.counts().requests, 0);
    assert_eq!(record.key(), Key::of("a", "c"));
}

#[test]
fn who_takes_part_is_not_forgotten_and_who_came_without_a_configuration_is_at_once() {
    let record = Record::default();
    record.begin(Key::of("a", "b"));
    record.place().put(Part::Joined);
    assert!(!record.is_forgotten(100));
    record.place().put(Part::Left);
    assert!(record.is_forgotten(1));
    record.begun();
    assert!(!record.is_forgotten(1), "a request runs");
}

#[test]
fn who_has_left_stays_so_until_a_configuration_does_without_it() {
    let record = Record::default();
    record.begin(Key::of("a", "b"));
    record.keep(4);
    record.place().put(Part::Left);
    record.keep(5);
    record.keep(6);
    assert_eq!(record.place().part(), Part::Left);
    record.keep(8);
    assert_eq!(record.place().part(), Part::AsDeclared, "configuration 7 did not have it");
}

#[test]
fn a_share_is_whole_until_it_is_set() {
    let record = Record::default();
    assert_eq!(record.share(), 100);
    assert!(record.set_share(0) && !record.set_share(0) && record.set_share(40));
    assert_eq!(record.share(), 40);
    record.begin(Key::of("a", "c"));
    assert_eq!(record.share(), 100);
}

#[test]
fn numbers_never_fall_below_zero() {
    let record = Record::default();
    record.ended(&OUTCOME);
    assert_eq!(record.in_flight(), 0);
}

#[test]
fn keys_tell_name_and_address_apart() {
    assert_ne!(Key::of("ab", "c"), Key::of("a", "bc"));
    assert_ne!(Key::of("a", ""), Key::of("", "a"));
}
