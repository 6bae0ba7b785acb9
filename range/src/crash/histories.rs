//! Random histories of a fleet with faults and crashes anywhere.

use proptest::prelude::*;

use super::{
    disk::Fault,
    event::{EVERYONE, Event, Who},
    world::World,
};

fn master() -> impl Strategy<Value = Who> {
    prop_oneof![Just(Who::A), Just(Who::B)]
}

fn who() -> impl Strategy<Value = Who> {
    proptest::sample::select(EVERYONE.to_vec())
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        (0usize..12).prop_map(|after| Fault::Die { after }),
        (0usize..12, any::<bool>()).prop_map(|(after, done)| Fault::Fail { after, done }),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => who().prop_map(Event::Open),
        1 => who().prop_map(Event::Close),
        6 => (master(), 1u64..30, any::<bool>(), any::<bool>())
            .prop_map(|(master, n, back, lost)| Event::Grant { master, n, back: back && lost, lost }),
        4 => (1u64..30, any::<bool>()).prop_map(|(n, sibling)| Event::Serve { n, sibling }),
        1 => master().prop_map(Event::Claim),
        2 => master().prop_map(Event::Seal),
        3 => (0usize..6).prop_map(Event::Receive),
        2 => master().prop_map(Event::HandedOver),
        1 => who().prop_map(Event::Repair),
        1 => (who(), 0usize..200, any::<bool>()).prop_map(|(who, at, cut)| Event::Damage { who, at, cut }),
        3 => (who(), fault()).prop_map(|(who, fault)| Event::Fault(who, fault)),
        3 => (who(), any::<Option<u64>>()).prop_map(|(who, power)| Event::Crash(who, power)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn no_history_gives_an_id_twice(
        events in proptest::collection::vec(event(), 0..60),
        original: bool,
        last in any::<[Option<u64>; 3]>(),
    ) {
        let mut world = World::new(original);
        for who in EVERYONE {
            world.apply(&Event::Open(who));
        }
        for event in &events {
            world.apply(event);
        }
        for (who, power) in EVERYONE.into_iter().zip(last) {
            world.apply(&Event::Crash(who, power));
        }
        world.drain();
    }
}
